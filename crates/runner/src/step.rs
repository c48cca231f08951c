//! One step, of a job or of a composite action: its variables, its condition, its time, what it does, how that counts.

use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use machine::FileToWrite;
use run::status::Conclusion;
use tokio::time::Instant;
use workflow::expr::{Contexts, Expr, JobStatus, Names, Value, parse};
use workflow::model::{Step, StepKind};
use workflow::template::Token;

use crate::action;
use crate::cancel::{StepStop, Stop};
use crate::context::{Evaluator, status_word, with_properties};
use crate::environment::Globals;
use crate::job::{Fatal, Job};
use crate::process::{self, Around, Command, CommandFiles};
use crate::script::{Shell, USUAL_SHELLS};

/// The longest name of a step, in characters.
const MAX_NAME: usize = 1000;

/// How what a step did ended.
#[derive(Clone, Debug)]
pub(crate) struct End {
    /// Before `continue-on-error`.
    pub(crate) outcome: Conclusion,
    pub(crate) outputs: IndexMap<String, String>,
    pub(crate) exit_code: Option<i32>,
    pub(crate) error: Option<String>,
    /// Its time was over.
    pub(crate) timed_out: bool,
}

impl End {
    pub(crate) fn new(outcome: Conclusion) -> Self {
        Self { outcome, outputs: IndexMap::new(), exit_code: None, error: None, timed_out: false }
    }

    pub(crate) fn failed(error: impl Into<String>) -> Self {
        Self { error: Some(error.into()), ..Self::new(Conclusion::Failure) }
    }

    /// Makes it a failure, where it is not worse.
    pub(crate) fn fail(&mut self, error: String) {
        if self.outcome == Conclusion::Success {
            self.outcome = Conclusion::Failure;
        }
        self.error.get_or_insert(error);
    }
}

/// Where a step runs: what surrounds it.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// The index of the top-level step.
    pub(crate) step: u32,
    /// Names the step among all steps of the job, those in composite actions included.
    pub(crate) path: String,
    /// The contexts around the step: those of the job, `inputs` and `github` those of the composite action.
    pub(crate) contexts: Contexts,
    /// Variables that the steps around it set in their `env`.
    pub(crate) env: IndexMap<String, String>,
    /// What can end it.
    pub(crate) stop: StepStop,
    /// How many composite actions are around it.
    pub(crate) depth: u32,
}

impl Frame {
    /// The frame of a top-level step.
    pub(crate) fn top(job: &Job, step: u32) -> Self {
        let stop = StepStop { job: job.stop.clone(), own: None, deadline: None };
        let contexts = job.contexts.clone();
        Self { step, path: step.to_string(), contexts, env: IndexMap::new(), stop, depth: 0 }
    }
}

/// A step whose variables and contexts are known.
#[derive(Clone, Debug)]
pub(crate) struct Ready {
    pub(crate) contexts: Contexts,
    /// The step's variables, and those of the steps around it.
    pub(crate) env: IndexMap<String, String>,
    pub(crate) files: Arc<CommandFiles>,
}

/// Evaluates a step's `env` and sets up its contexts; `steps` is its `steps` context. A mistake fails the step.
pub(crate) async fn prepare(
    job: &Job,
    step: &Step,
    frame: &Frame,
    steps: Value,
    status: JobStatus,
    globals: &Globals,
) -> Result<Ready, String> {
    let files = Arc::new(CommandFiles::new(job));
    let mut contexts = frame.contexts.clone();
    let mut more = vec![("action", Value::from(step.id.as_str()))];
    if frame.depth > 0 {
        more.push(("action_status", Value::from(status_word(status))));
    }
    let github = files.github(contexts.get("github").unwrap_or(&Value::Null), more);
    contexts.set("github", github);
    contexts.set("steps", steps);
    contexts.set("job", job.job_context());
    contexts.set("env", globals.context(&frame.env));
    let mut env = frame.env.clone();
    if let Some(token) = &step.env {
        env.extend(evaluator(job, status).mapping(token, &contexts).await?);
        contexts.set("env", globals.context(&env));
    }
    Ok(Ready { contexts, env, files })
}

pub(crate) fn evaluator(job: &Job, status: JobStatus) -> Evaluator<'_> {
    Evaluator { machine: &job.machine, workspace: &job.workspace, status }
}

/// The name that people see: the author's, or what the step does. Best effort: what cannot be evaluated is shown as it
/// was written.
pub(crate) async fn name(job: &Job, step: &Step, contexts: &Contexts) -> String {
    let (prefix, token) = match (&step.name, &step.kind) {
        (Some(name), _) => ("", Some(name)),
        (None, StepKind::Run { run, .. }) => ("Run ", Some(run)),
        (None, _) => ("", None),
    };
    let text = match (token, &step.kind) {
        (Some(token), _) => {
            let evaluated = evaluator(job, job.status()).text(token, contexts).await;
            evaluated.map_or_else(|_| step.id.clone(), |text| text.to_string())
        }
        (None, StepKind::Uses { uses, .. }) => format!("Run {}", uses.value),
        (None, StepKind::Wait { steps }) => format!("Wait for {}", ids(steps)),
        (None, StepKind::WaitAll) => "Wait for all background steps".to_owned(),
        (None, StepKind::Cancel { steps }) => format!("Cancel {}", ids(steps)),
        (None, StepKind::Run { .. }) => step.id.clone(),
    };
    let first =
        text.trim_start_matches([' ', '\t', '\r', '\n']).split(['\r', '\n']).next().unwrap_or_default();
    let name: String = first.chars().take(MAX_NAME).collect();
    job.masker.mask(&format!("{prefix}{name}"))
}

/// The condition of what always runs.
pub(crate) fn always() -> Expr {
    parse("always()", &Names::any()).expect("a fixed expression")
}

fn ids(steps: &[workflow::source::Spanned<String>]) -> String {
    steps.iter().map(|step| step.value.as_str()).collect::<Vec<_>>().join(", ")
}

/// Whether the step's condition holds.
pub(crate) async fn condition(
    job: &Job,
    step: &Step,
    ready: &Ready,
    status: JobStatus,
) -> Result<bool, String> {
    evaluator(job, status).condition(&step.condition, &ready.contexts).await
}

/// Sets the time at which the step must have ended. A mistake in `timeout-minutes` is said, and means no limit.
pub(crate) async fn limit_time(
    job: &Job,
    step: &Step,
    ready: &Ready,
    frame: &mut Frame,
) -> Result<Option<f64>, Fatal> {
    let Some(token) = &step.timeout_minutes else { return Ok(None) };
    match evaluator(job, job.status()).number(token, &ready.contexts).await {
        Ok(minutes) if minutes > 0.0 => {
            frame.stop.deadline = deadline(frame.stop.deadline, minutes);
            Ok(Some(minutes))
        }
        Ok(_) => Ok(None),
        Err(error) => {
            job.say(
                Some(frame.step),
                "Error: An error occurred when attempting to determine the step timeout.",
            )
            .await?;
            job.say(Some(frame.step), &format!("Error: {error}")).await?;
            Ok(None)
        }
    }
}

/// The earlier of a deadline and the end of these minutes; a time too far away to be counted is none.
pub(crate) fn deadline(before: Option<Instant>, minutes: f64) -> Option<Instant> {
    let time =
        Duration::try_from_secs_f64(minutes * 60.0).ok().and_then(|time| Instant::now().checked_add(time));
    match (before, time) {
        (Some(before), Some(time)) => Some(before.min(time)),
        (before, time) => before.or(time),
    }
}

/// Runs the main part of a step whose condition held.
pub(crate) async fn execute(
    job: &Arc<Job>,
    step: &Step,
    frame: &Frame,
    ready: &Ready,
    globals: &mut Globals,
) -> Result<End, Fatal> {
    match &step.kind {
        StepKind::Run { run, shell, working_directory } => {
            let script = Script { run, shell: shell.as_ref(), folder: working_directory.as_ref() };
            run_script(job, step, frame, ready, script, globals).await
        }
        StepKind::Uses { uses, with } => {
            action::run(job, step, &uses.value, with.as_ref(), frame, ready, globals).await
        }
        StepKind::Wait { .. } | StepKind::WaitAll | StepKind::Cancel { .. } => {
            Ok(End::failed("`wait`, `wait-all` and `cancel` exist only among the steps of a job"))
        }
    }
}

struct Script<'a> {
    run: &'a Token,
    shell: Option<&'a Token>,
    folder: Option<&'a Token>,
}

/// The folder that a step's script begins in, and the script with its file; none where the step has no script.
pub(crate) async fn folder_and_script(
    job: &Job,
    step: &Step,
    frame: &Frame,
    ready: &Ready,
) -> Result<(String, Option<(String, String)>), String> {
    let StepKind::Run { run, shell, working_directory } = &step.kind else {
        return Ok((job.workspace.clone(), None));
    };
    let script = Script { run, shell: shell.as_ref(), folder: working_directory.as_ref() };
    let Evaluated { run, shell, folder } = evaluate_script(job, frame, ready, script).await?;
    let shell = match shell {
        Some(named) => Shell::named(&named).map_err(|error| error.to_string())?,
        None => Shell::default_of("bash"),
    };
    let file = format!("{}/{}{}", job.temp, job.next_number(), shell.extension);
    Ok((folder, Some((file, shell.script(&run)))))
}

/// What the texts of a script come to.
struct Evaluated {
    run: Arc<str>,
    /// None where the default is wanted.
    shell: Option<String>,
    folder: String,
}

async fn evaluate_script(
    job: &Job,
    frame: &Frame,
    ready: &Ready,
    script: Script<'_>,
) -> Result<Evaluated, String> {
    let evaluator = evaluator(job, job.status());
    let is_top = frame.depth == 0;
    let text = async |token: Option<&Token>| match token {
        Some(token) => evaluator.text(token, &ready.contexts).await.map(Some),
        None => Ok(None),
    };
    let run = text(Some(script.run)).await?.unwrap_or_default();
    let (shell, folder) = (text(script.shell).await?, text(script.folder).await?);
    let shell = shell.as_deref().filter(|shell| !shell.is_empty());
    let shell = shell.or(job.defaults.shell.as_deref().filter(|_| is_top)).map(str::to_owned);
    let folder = folder.as_deref().or(job.defaults.working_directory.as_deref().filter(|_| is_top));
    Ok(Evaluated { run, shell, folder: job.in_workspace(folder.unwrap_or_default()) })
}

async fn run_script(
    job: &Job,
    step: &Step,
    frame: &Frame,
    ready: &Ready,
    script: Script<'_>,
    globals: &mut Globals,
) -> Result<End, Fatal> {
    let Evaluated { run, shell, folder } = match evaluate_script(job, frame, ready, script).await {
        Ok(evaluated) => evaluated,
        Err(error) => return Ok(End::failed(error)),
    };
    let around = around(job, step, frame, ready).await;
    let path = process::search_path_of(&around, globals);
    let found = match find_shell(job, shell.as_deref(), &path).await? {
        Ok(found) => found,
        Err(message) => return Ok(End::failed(message)),
    };
    let (shell, program) = found;
    let file = format!("{}/{}{}", job.temp, job.next_number(), shell.extension);
    let argv = std::iter::once(program).chain(shell.arguments(&file)).collect();
    let files = vec![FileToWrite { path: file, data: shell.script(&run).into_bytes(), mode: 0o755 }];
    process::run(&around, Command { argv, folder, files, variables: Vec::new() }, globals).await
}

/// What a process of the step needs to know.
pub(crate) async fn around<'a>(job: &'a Job, step: &Step, frame: &'a Frame, ready: &'a Ready) -> Around<'a> {
    let mut around = Around {
        job,
        frame,
        contexts: &ready.contexts,
        env: &ready.env,
        files: &ready.files,
        outlives_cancel: frame.stop.job() >= Stop::Graceful,
    };
    if !around.outlives_cancel {
        let mut contexts = ready.contexts.clone();
        let job_context = contexts.get("job").cloned().unwrap_or_default();
        contexts.set("job", with_properties(&job_context, [("status", Value::from("cancelled"))]));
        let condition = evaluator(job, JobStatus::Cancelled).condition(&step.condition, &contexts).await;
        around.outlives_cancel = condition.unwrap_or(false);
    }
    around
}

/// The shell that `shell` names, or the default one, and where it is.
async fn find_shell(
    job: &Job,
    shell: Option<&str>,
    path: &str,
) -> Result<Result<(Shell, String), String>, Fatal> {
    let Some(named) = shell else {
        for program in ["bash", "sh"] {
            if let Some(place) = job.which(program, path).await? {
                return Ok(Ok((Shell::default_of(program), place)));
            }
        }
        return Ok(Err("this machine has neither `bash` nor `sh`, which `run` steps need".to_owned()));
    };
    let shell = match Shell::named(named) {
        Ok(shell) => shell,
        Err(error) => return Ok(Err(error.to_string())),
    };
    if let Some(place) = job.which(&shell.program, path).await? {
        return Ok(Ok((shell, place)));
    }
    let mut there = Vec::new();
    for program in USUAL_SHELLS {
        if job.which(program, path).await?.is_some() {
            there.push(format!("`{program}`"));
        }
    }
    Ok(Err(format!("the shell `{}` is not on this machine; there is {}", shell.program, there.join(", "))))
}

/// What counts after `continue-on-error`. A mistake in it counts as `false` and is said.
pub(crate) async fn conclude(
    job: &Job,
    step: &Step,
    frame: &Frame,
    ready: &Ready,
    end: &End,
) -> Result<Conclusion, Fatal> {
    let Some(token) = step.continue_on_error.as_ref().filter(|_| end.outcome == Conclusion::Failure) else {
        return Ok(end.outcome);
    };
    match evaluator(job, job.status()).boolean(token, &ready.contexts).await {
        Ok(true) => Ok(Conclusion::Success),
        Ok(false) => Ok(Conclusion::Failure),
        Err(error) => {
            job.say(Some(frame.step), &format!("Error: The step failed and an error occurred when attempting to determine whether to continue on error. {error}")).await?;
            Ok(Conclusion::Failure)
        }
    }
}
