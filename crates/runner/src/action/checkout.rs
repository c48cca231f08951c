//! `actions/checkout` of the run's own repository, served from the working tree.
//!
//! The files are in the workspace from the start; a checkout puts them there again where a step may have changed them,
//! or into `path`, and makes the folder a repository whose objects are the host's, read-only.

use std::sync::atomic::Ordering;

use indexmap::IndexMap;
use machine::{ExecSpec, FileToWrite, OutputMode, RunAs, Stdin};
use run::status::Conclusion;
use workflow::expr::Value;

use super::resolve::{Reference, put_folder};
use crate::environment::{Globals, Parts};
use crate::job::{Fatal, Job};
use crate::process::not_lost;
use crate::step::{End, Frame};
use crate::workspace::State;

/// The most bytes of git's words that a message repeats.
const MAX_WORDS: usize = 4096;

/// Whether `uses` names the action.
pub(crate) fn is_checkout(reference: &Reference) -> bool {
    matches!(reference, Reference::Repository { name, path, .. } if path.is_empty() && name.eq_ignore_ascii_case("actions/checkout"))
}

/// Whether the runner itself can serve a checkout with these inputs: one of the run's own repository.
pub(crate) fn serves(job: &Job, with: &IndexMap<String, String>) -> bool {
    let wanted = input(with, "repository");
    wanted.is_empty() || wanted.eq_ignore_ascii_case(&github(job, "repository"))
}

fn input<'a>(with: &'a IndexMap<String, String>, name: &str) -> &'a str {
    with.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value.trim())
}

fn github(job: &Job, name: &str) -> String {
    let github = job.contexts.get("github").unwrap_or(&Value::Null);
    github.get(name).map(|value| value.to_text().into_owned()).unwrap_or_default()
}

/// Serves a checkout.
pub(crate) async fn run(job: &Job, frame: &Frame, with: &IndexMap<String, String>) -> Result<End, Fatal> {
    let path = input(with, "path").trim_start_matches("./").trim_end_matches('/');
    let folder = job.in_workspace(path);
    let leads_out = path.split('/').any(|part| part == "..") || !is_below(&folder, &job.workspace);
    if leads_out {
        return Ok(End::failed(format!("Repository path '{folder}' is not under '{}'", job.workspace)));
    }
    if folder != job.workspace || job.touched.load(Ordering::Relaxed) {
        let failed = put_folder(job, &job.tree.root, Some(job.tree.entries.clone()), &folder).await?;
        if let Some(failed) = failed {
            return Ok(End::failed(failed));
        }
    }
    let state = job.tree.state().await;
    if let Some(state) = state
        && let Some(failed) = write_repository(job, state, &folder).await?
    {
        return Ok(End::failed(failed));
    }
    let mut end = End::new(Conclusion::Success);
    let mut commit = state.and_then(|state| state.commit.clone());
    let wanted = input(with, "ref");
    if !is_current(job, wanted, commit.as_deref()) {
        match switch(job, &folder, wanted).await? {
            Ok(switched) => commit = Some(switched),
            Err(message) => return Ok(End::failed(message)),
        }
    }
    if !input(with, "sparse-checkout").is_empty() {
        job.say(
            Some(frame.step),
            "The workspace holds all files of the working tree, `sparse-checkout` or not.",
        )
        .await?;
    }
    let reference = if wanted.is_empty() { github(job, "ref") } else { wanted.to_owned() };
    end.outputs.insert("ref".to_owned(), reference);
    end.outputs.insert("commit".to_owned(), commit.unwrap_or_else(|| github(job, "sha")));
    Ok(end)
}

fn is_below(folder: &str, root: &str) -> bool {
    folder.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether a ref is what the working tree stands for.
fn is_current(job: &Job, wanted: &str, commit: Option<&str>) -> bool {
    let names = [github(job, "ref"), github(job, "ref_name"), github(job, "sha"), github(job, "head_ref")];
    wanted.is_empty() || wanted == "HEAD" || commit == Some(wanted) || names.iter().any(|name| name == wanted)
}

/// Makes the folder a repository: refs and index of its own, objects of the host's. `Some` is what went wrong.
async fn write_repository(job: &Job, state: &State, folder: &str) -> Result<Option<String>, Fatal> {
    let Some(git) = &job.tree.git else { return Ok(None) };
    let name = github(job, "repository");
    let config = format!(
        "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n\
         [remote \"origin\"]\n\turl = {}/{name}\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n",
        github(job, "server_url"),
    );
    let alternates = format!("{}\n", git.common().join("objects").display());
    let mut files = vec![
        ("HEAD", format!("{}\n", state.head).into_bytes()),
        ("config", config.into_bytes()),
        ("packed-refs", format!("# pack-refs with:\n{}", state.packed_refs).into_bytes()),
        ("objects/info/alternates", alternates.into_bytes()),
        // Without this folder it would be no repository to git.
        ("refs/.keep", Vec::new()),
    ];
    files.extend(state.index.clone().map(|index| ("index", index)));
    files.extend(state.shallow.clone().map(|shallow| ("shallow", shallow)));
    let files = files.into_iter().map(|(name, data)| FileToWrite {
        path: format!("{folder}/.git/{name}"),
        data,
        mode: 0o644,
    });
    not_lost(job.machine.write_files(files.collect()).await)
}

/// Checks out another ref by git of the machine. The commit is returned, or what went wrong.
async fn switch(job: &Job, folder: &str, wanted: &str) -> Result<Result<String, String>, Fatal> {
    if job.tree.git.is_none() {
        return Ok(Err(format!("cannot check out `{wanted}`: the working tree is no git repository")));
    }
    if wanted.starts_with('-') {
        return Ok(Err(format!("`{wanted}` is no ref")));
    }
    let short =
        wanted.strip_prefix("refs/heads/").or_else(|| wanted.strip_prefix("refs/tags/")).unwrap_or(wanted);
    let target = format!("{short}^{{commit}}");
    for arguments in [vec!["checkout", "--quiet", "--force", "--detach", &target], vec!["clean", "-ffdxq"]] {
        let (succeeded, words) = run_git(job, folder, &arguments).await?;
        if !succeeded {
            return Ok(Err(format!("cannot check out `{wanted}` of the working tree's repository: {words}")));
        }
    }
    let (succeeded, words) = run_git(job, folder, &["rev-parse", "HEAD"]).await?;
    Ok(if succeeded { Ok(words) } else { Err(format!("cannot read the commit of `{wanted}`: {words}")) })
}

/// Runs git in the machine: whether it succeeded, and what it said.
async fn run_git(job: &Job, folder: &str, arguments: &[&str]) -> Result<(bool, String), Fatal> {
    let git = ["git", "-C", folder, "-c", "safe.directory=*"];
    let argv = git.iter().chain(arguments);
    let parts = Parts {
        tracking: job.next_tracking(),
        machine: job.machine.environment(),
        globals: &Globals::default(),
        step: &IndexMap::new(),
        action: Vec::new(),
        github: &Value::Null,
        runner: &job.runner,
    };
    let exec = ExecSpec {
        argv: argv.map(|argument| (*argument).to_owned()).collect(),
        env: parts.assemble(),
        cwd: folder.to_owned(),
        stdin: Stdin::Null,
        output: OutputMode::Merged,
        user: RunAs::User,
    };
    let mut process = match job.machine.exec(exec).await {
        Ok(process) => process,
        Err(error) => return not_lost::<()>(Err(error)).map(|message| (false, message.unwrap_or_default())),
    };
    let mut words = Vec::new();
    while let Some(output) = process.next_output().await {
        let room = MAX_WORDS.saturating_sub(words.len()).min(output.bytes.len());
        words.extend_from_slice(&output.bytes[..room]);
    }
    let status = process.wait().await.map_err(|error| Fatal::Machine(error.to_string()))?;
    Ok((status.success(), String::from_utf8_lossy(&words).trim().to_owned()))
}
