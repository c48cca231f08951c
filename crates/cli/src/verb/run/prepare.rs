//! From the command line to plans: files, payload and secrets are read once, workflows checked, called ones found.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use control::Submission;
use indexmap::{IndexMap, IndexSet};
use runner::workspace::WorkingTree;
use workflow::diagnostic::{Diagnostic, Severity};
use workflow::event::{Event, Facts};
use workflow::expr::Object;
use workflow::model::Workflow;
use workflow::plan::{MatrixKeys, Plan, Request, RunFacts, Selection, matrix_keys, plan};
use workflow::read::{ReadOptions, Strictness, parse};
use workflow::resolve::CallRules;
use workflow::source::SourceFile;
use workflow::trigger::{NotTriggered, decide};

use super::args::RunArgs;
use super::values;
use crate::failure::{Exit, Failure};
use crate::files::{self, CalledWorkflows};
use crate::payload;
use crate::render::diagnostic::to_text;
use crate::render::style::Style;
use crate::repository::{self, Repository};

/// What is to run.
pub(super) struct Prepared {
    /// ROOT, absolute.
    pub(super) root: PathBuf,
    /// Its files, being listed.
    pub(super) tree: WorkingTree,
    /// One plan for each workflow that the event starts.
    pub(super) plans: Vec<Plan>,
    /// How many workflows were looked at.
    pub(super) considered: usize,
    /// The files of those that the event does not start, with the reason.
    pub(super) held: Vec<Held>,
    /// The `secrets`.
    pub(super) secrets: Vec<(String, String)>,
}

impl Prepared {
    /// What the control plane is asked to run.
    pub(super) fn submissions(self) -> Vec<Submission> {
        let root = self.root.display().to_string();
        let submission = |plan| {
            let (root, secrets) = (root.clone(), self.secrets.clone());
            Submission { plan, root, secrets, taken_over: Vec::new() }
        };
        self.plans.into_iter().map(submission).collect()
    }
}

/// A workflow's file, and why the event does not start it.
pub(super) type Held = (String, NotTriggered);

/// Reads and plans. Nothing has been started when this fails.
pub(super) fn prepare(args: &RunArgs, style: Style) -> Result<Prepared, Failure> {
    let root = root(args.root.as_deref())?;
    let tree = WorkingTree::read(root.clone());
    let files = match &args.file {
        Some(file) => vec![files::read_workflow(file, &root)?],
        None => files::workflows_of(&root)?,
    };
    if files.is_empty() {
        return Err(Failure::usage(format!(
            "there is no workflow in `{}`",
            root.join(".github/workflows").display()
        ))
        .with_help("name a workflow's file, or the repository's folder with `--root FOLDER`"));
    }
    let read = if args.file.is_some() { payload::read_for_any_event } else { payload::read };
    let payload = read(&args.event, args.payload.as_deref())?;
    let secrets =
        values::secrets(args.secrets_file.as_deref(), &args.secret, &|name| std::env::var(name).ok())?;
    let repository = repository::read(&root);
    let facts = Facts {
        repository: Some(repository.name.clone()),
        git_ref: repository.git_ref.clone(),
        sha: repository.sha.clone(),
        default_branch: repository.default_branch.clone(),
        actor: Some(actor(&repository)),
        ..Facts::default()
    };
    let told = Event::new(&args.event, &payload, &facts);
    let event = told.clone().with_filled_payload(&facts);
    let resolver = CalledWorkflows { root: &root, files: &[], repositories: &args.action };
    let planner = Planner { args, style, options: options(&resolver), told: &told, event: &event };
    let (plans, held) = planner.plans(&files)?;
    Ok(Prepared { root, tree, plans, considered: files.len(), held, secrets })
}

pub(super) fn root(given: Option<&Path>) -> Result<PathBuf, Failure> {
    let folder = given.unwrap_or(Path::new("."));
    let cannot = |error| {
        Failure::new(Exit::Usage, error)
            .while_doing(format!("cannot use the repository `{}`", folder.display()))
    };
    let root = folder.canonicalize().map_err(cannot)?;
    if root.is_dir() { Ok(root) } else { Err(cannot(std::io::ErrorKind::NotADirectory.into())) }
}

/// Who starts the run, as a login: GitHub's have no spaces.
fn actor(repository: &Repository) -> String {
    let user = repository.user.clone().or_else(|| std::env::var("USER").ok()).unwrap_or_default();
    let login: String = user.split_whitespace().collect::<Vec<_>>().join("-");
    if login.is_empty() { "local".to_owned() } else { login }
}

pub(super) fn options<'a>(resolver: &'a CalledWorkflows<'a>) -> ReadOptions<'a> {
    ReadOptions {
        background_steps: true,
        strictness: Strictness::Runner,
        call_rules: CallRules::Local,
        resolver,
        ..ReadOptions::default()
    }
}

/// Plans the workflows that an event starts.
struct Planner<'a> {
    args: &'a RunArgs,
    style: Style,
    options: ReadOptions<'a>,
    /// The event as it is told: what it does not say holds no workflow back.
    told: &'a Event,
    /// The event with what a real payload has besides.
    event: &'a Event,
}

impl Planner<'_> {
    /// The plans of the workflows that start, and those that do not.
    fn plans(&self, files: &[SourceFile]) -> Result<(Vec<Plan>, Vec<Held>), Failure> {
        let mut started: Vec<(&SourceFile, Workflow)> = Vec::new();
        let mut refused: Vec<(&SourceFile, Vec<Diagnostic>)> = Vec::new();
        let mut held = Vec::new();
        for file in files {
            let parsed = parse(file, &self.options);
            let wrong = parsed.has_errors();
            // Of a file with mistakes nobody knows whether the event would start it, unless it says so clearly.
            match parsed.value.map(|workflow| self.starts(&workflow).map(|()| workflow)) {
                Some(Err(reason)) => held.push((file.name().to_string(), reason)),
                Some(Ok(workflow)) if !wrong => started.push((file, workflow)),
                _ => refused.push((file, parsed.diagnostics)),
            }
        }
        if self.args.file.is_none() {
            self.keep_selected(&mut started)?;
        }
        let mut plans = Vec::new();
        for (number, (file, workflow)) in started.into_iter().enumerate() {
            match plan(self.request(number, file, workflow), &self.options) {
                Ok(plan) => plans.push(plan),
                Err(diagnostics) => refused.push((file, diagnostics)),
            }
        }
        if !refused.is_empty() {
            return Err(refusal(&refused, self.style));
        }
        self.check_matrix(&plans)?;
        Ok((plans, held))
    }

    /// A workflow that is named runs whether or not its filters match.
    fn starts(&self, workflow: &Workflow) -> Result<(), NotTriggered> {
        if self.args.file.is_some() { Ok(()) } else { decide(workflow, self.told).map(|_| ()) }
    }

    /// Refuses a `--matrix KEY=VALUE` whose key no leg has: every leg would run.
    fn check_matrix(&self, plans: &[Plan]) -> Result<(), Failure> {
        if self.args.matrix.is_empty() || plans.is_empty() {
            return Ok(());
        }
        let found: Vec<MatrixKeys> = plans.iter().map(matrix_keys).collect();
        if found.iter().any(|found| found.may_be_more) {
            return Ok(());
        }
        let keys: IndexSet<&str> = found.iter().flat_map(|found| &found.keys).map(String::as_str).collect();
        let wanted = self.args.matrix.iter().map(|(key, _)| key);
        match wanted.clone().find(|wanted| !keys.iter().any(|key| key.eq_ignore_ascii_case(wanted))) {
            None => Ok(()),
            Some(key) => {
                let keys: Vec<&str> = keys.into_iter().collect();
                Err(Failure::usage(format!("no leg of a matrix has the key '{key}'")).with_help(
                    if keys.is_empty() {
                        "no job has a matrix".to_owned()
                    } else {
                        format!("there are the keys {}", keys.join(", "))
                    },
                ))
            }
        }
    }

    /// Of several workflows, those run that have the selected jobs.
    fn keep_selected(&self, started: &mut Vec<(&SourceFile, Workflow)>) -> Result<(), Failure> {
        let wanted = &self.args.job;
        let known = |id: &String| started.iter().any(|(_, workflow)| workflow.job(id).is_some());
        if let Some(unknown) = wanted.iter().find(|id| !started.is_empty() && !known(id)) {
            return Err(Failure::usage(format!(
                "no workflow that `{}` triggers has a job '{unknown}'",
                self.event.name
            ))
            .with_help("`firedog list` lists the workflows and their jobs"));
        }
        started.retain(|(_, workflow)| wanted.iter().all(|id| workflow.job(id).is_some()));
        Ok(())
    }

    fn request<'b>(&self, number: usize, file: &'b SourceFile, workflow: Workflow) -> Request<'b> {
        let mut matrix: IndexMap<String, Vec<String>> = IndexMap::new();
        for (key, value) in &self.args.matrix {
            matrix.entry(key.clone()).or_default().push(value.clone());
        }
        let vars: Object =
            self.args.var.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Request {
            file,
            workflow,
            event: self.event.clone(),
            inputs: self.args.input.clone(),
            vars: vars.into(),
            env: self.args.env.clone(),
            selection: Selection { jobs: self.args.job.clone(), matrix },
            // GitHub's ids of runs are growing numbers; a run on this machine is always a first attempt.
            run: RunFacts {
                run_id: (since.as_millis() + u128::try_from(number).unwrap_or_default()).to_string(),
                run_attempt: "1".to_owned(),
            },
        }
    }
}

/// The failure that shows every error with its place.
pub(super) fn refusal(refused: &[(&SourceFile, Vec<Diagnostic>)], style: Style) -> Failure {
    let names: Vec<_> = refused.iter().map(|(file, _)| format!("`{}`", file.name())).collect();
    let mut count = 0;
    let mut notes = Vec::new();
    for (file, diagnostics) in refused {
        for error in diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error) {
            count += 1;
            notes.push(to_text(error, file, style));
        }
    }
    let errors = if count == 1 { "1 error".to_owned() } else { format!("{count} errors") };
    let failure = Failure::usage(format!("{errors} in {}: nothing was run", names.join(", ")));
    notes.into_iter().fold(failure, Failure::with_note)
}
