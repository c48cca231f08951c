//! Calls the binary for a section, in a repository made for it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::document::{File, Print, Printed, Section};
use crate::judge;

/// How long a section may take, as `timeout` reads it; a stuck one is killed and fails.
const TIME_LIMIT: &str = "60s";

/// What this machine can do for the specification.
#[derive(Debug)]
pub(crate) struct Setting {
    /// Whether bubblewrap can make a sandbox here.
    namespace: bool,
}

/// What a process left.
pub(crate) struct Ended {
    /// The exit code; none after a signal.
    pub(crate) code: Option<i32>,
    pub(crate) output: String,
    pub(crate) errors: String,
}

impl Setting {
    pub(crate) fn find() -> Self {
        let sandbox = Command::new("bwrap")
            .args(["--unshare-user", "--unshare-pid", "--ro-bind", "/", "/", "true"])
            .output();
        Self { namespace: sandbox.is_ok_and(|output| output.status.success()) }
    }
}

pub(crate) fn plan(section: &Section, _: &Setting) -> Result<(), String> {
    let place = Place::lay(section);
    let mut arguments = vec!["plan", ".github/workflows/ci.yml", "--format", "json", "--root", "."];
    let payload = place.event(section, &mut arguments);
    let arguments = arguments.into_iter().map(str::to_owned).chain(payload);
    let ended = place.call(arguments.chain(section.plan_arguments.iter().cloned()).collect())?;
    let answer = one_object(&ended)?;
    judge::plan(section.plan.as_deref().unwrap_or_default(), &answer).map_err(|e| explain(&e, &ended))
}

pub(crate) fn print(section: &Section, printed: &Printed) -> Result<(), String> {
    let place = Place::lay(section);
    let arguments: Vec<String> = match &printed.what {
        Print::List(after) => ["list", "--root", ".", "--after", after].map(str::to_owned).to_vec(),
        Print::Plan(format) => {
            let mut arguments = vec!["plan", ".github/workflows/ci.yml", "--format", format, "--root", "."];
            let payload = place.event(section, &mut arguments);
            let arguments = arguments.into_iter().map(str::to_owned).chain(payload);
            arguments.chain(section.plan_arguments.iter().cloned()).collect()
        }
    };
    let ended = place.call(arguments)?;
    if ended.code == Some(0) && ended.output == printed.text {
        return Ok(());
    }
    Err(explain(&format!("exit code 0 and this output are expected:\n{}", printed.text), &ended))
}

pub(crate) fn check(section: &Section, _: &Setting) -> Result<(), String> {
    let place = Place::lay(section);
    let arguments = ["check", ".github/workflows/ci.yml", "--format", "json", "--root", ".", "--no-tools"];
    let ended = place.call(arguments.map(str::to_owned).to_vec())?;
    let answer = one_object(&ended)?;
    judge::diagnostics(section.diagnostics.as_deref().unwrap_or_default(), &answer, ended.code)
        .map_err(|e| explain(&e, &ended))
}

pub(crate) fn run(section: &Section, setting: &Setting) -> Result<(), String> {
    if let Some(missing) = section.needs.iter().find(|program| !on_path(program)) {
        skipped(missing);
        return Ok(());
    }
    if !setting.namespace {
        skipped("namespace machines: bubblewrap makes no sandbox here, the host is used");
        if section.namespace_only {
            return Ok(());
        }
    }
    let place = Place::lay(section);
    let machine = if setting.namespace { "namespace" } else { "host" };
    let mut arguments =
        vec!["run", ".github/workflows/ci.yml", "--format", "ndjson", "--root", ".", "--machine", machine];
    let payload = place.event(section, &mut arguments);
    if section.secrets.is_some() {
        arguments.extend(["--secrets-file", "../secrets.json"]);
    }
    let mut arguments: Vec<String> = arguments.into_iter().map(str::to_owned).chain(payload).collect();
    arguments.extend(section.arguments.iter().cloned());
    let before = place.files();
    let ended = place.call(arguments)?;
    if setting.namespace && place.files() != before {
        return Err(explain("the run has changed the repository's own files", &ended));
    }
    let expected = section.run.as_ref().expect("a run is tested only where one is expected");
    judge::run(expected, &section.logs, &ended).map_err(|e| explain(&e, &ended))
}

/// Says aloud what this machine cannot test; whoever runs the tests counts these lines.
#[expect(clippy::print_stdout, reason = "the report of a skipped test is its output")]
fn skipped(what: &str) {
    println!("skipped: {what}");
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// The failure with all that was printed.
fn explain(error: &str, ended: &Ended) -> String {
    format!(
        "{error}\n--- exit code {:?}, standard output:\n{}--- standard error:\n{}",
        ended.code, ended.output, ended.errors
    )
}

fn one_object(ended: &Ended) -> Result<Value, String> {
    serde_json::from_str(&ended.output).map_err(|error| explain(&format!("no JSON object: {error}"), ended))
}

/// A section's repository and state folder.
struct Place {
    folder: TempDir,
}

impl Place {
    fn lay(section: &Section) -> Self {
        let place = Self { folder: tempfile::tempdir().expect("a temporary folder can be made") };
        let root = place.folder.path().join("repository");
        write(&root, ".github/workflows/ci.yml", &section.workflow, false);
        let write_all = |uncommitted: bool| {
            for File { path, text, executable, .. } in
                section.files.iter().filter(|f| f.uncommitted == uncommitted)
            {
                write(&root, path, text, *executable);
            }
        };
        write_all(false);
        if section.git {
            commit(&root);
        }
        write_all(true);
        for (name, text) in [("payload.json", &section.payload), ("secrets.json", &section.secrets)] {
            if let Some(text) = text {
                write(place.folder.path(), name, text, false);
            }
        }
        place
    }

    /// Adds the event to the arguments; returns those that name the payload.
    fn event<'a>(&self, section: &'a Section, arguments: &mut Vec<&'a str>) -> Vec<String> {
        arguments.extend(["--event", section.event.as_deref().unwrap_or("push")]);
        let payload =
            section.payload.as_ref().map(|_| self.folder.path().join("payload.json").display().to_string());
        payload.into_iter().flat_map(|path| ["--payload".to_owned(), path]).collect()
    }

    /// The repository's files with their contents, without git's own.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.folder.path().join("repository")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).expect("the repository can be listed") {
                let path = entry.expect("the repository can be listed").path();
                if path.is_dir() && !path.ends_with(".git") {
                    folders.push(path);
                } else if path.is_file() {
                    let bytes = fs::read(&path).expect("the repository can be read");
                    found.insert(path, bytes);
                }
            }
        }
        found
    }

    /// Runs the binary in the repository to its end, or to the limit of time.
    fn call(&self, arguments: Vec<String>) -> Result<Ended, String> {
        let mut command = Command::new("timeout");
        command.args(["--signal=KILL", TIME_LIMIT, env!("CARGO_BIN_EXE_firedog")]).args(&arguments);
        command.current_dir(self.folder.path().join("repository")).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            let own = ["GITHUB_", "RUNNER_", "ACTIONS_", "INPUT_", "STATE_", "FIREDOG_"];
            if own.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        command.env("XDG_STATE_HOME", self.folder.path().join("state"));
        let output = command.output().map_err(|error| format!("starting firedog: {error}"))?;
        let text =
            |bytes| String::from_utf8(bytes).map_err(|error| format!("firedog prints no UTF-8: {error}"));
        let ended =
            Ended { code: output.status.code(), output: text(output.stdout)?, errors: text(output.stderr)? };
        match ended.code {
            Some(0..=4) => Ok(ended),
            _ => Err(explain(
                &format!("crashed, or no end within {TIME_LIMIT}: firedog {}", arguments.join(" ")),
                &ended,
            )),
        }
    }
}

fn write(root: &Path, path: &str, text: &str, executable: bool) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("a file has a folder")).expect("folders can be made");
    fs::write(&path, text).expect("the temporary folder can be written");
    if executable {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("the mode can be set");
    }
}

fn commit(root: &Path) {
    let identity =
        ["-c", "user.name=Spec", "-c", "user.email=spec@example.com", "-c", "commit.gpgsign=false"];
    for arguments in [&["init", "-q", "-b", "main"][..], &["add", "-A"], &["commit", "-q", "-m", "All files"]]
    {
        let output = Command::new("git")
            .args(identity)
            .args(arguments)
            .current_dir(root)
            .output()
            .expect("git can be started");
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
