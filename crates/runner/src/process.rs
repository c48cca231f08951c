//! One process of a step: its command files, its environment, its output, its end.

use std::sync::atomic::Ordering;
use std::sync::{OnceLock, PoisonError};

use indexmap::IndexMap;
use machine::{ExecSpec, ExitStatus, FileToWrite, MachineError, OutputMode, Process, RunAs, Stdin};
use run::event::JobEvent;
use run::status::Conclusion;
use tokio::sync::watch;
use workflow::expr::{Contexts, Value};

use crate::cancel::{Reason, Stop, end_process};
use crate::context::with_properties;
use crate::environment::{Globals, Parts};
use crate::files::{
    MAX_COMMAND_FILE, MAX_SUMMARY, decode, read_env, read_pairs, read_paths, summary_too_large,
};
use crate::job::{Fatal, Job};
use crate::output::command::{Allowed, Commands};
use crate::output::{Effects, NeedsFile, Pipeline};
use crate::step::{End, Frame};

/// The largest file of problem matchers, in bytes.
const MAX_MATCHER_FILE: u64 = 1024 * 1024;

/// The folder of command files, in `RUNNER_TEMP`.
pub(crate) const COMMAND_FOLDER: &str = "_runner_file_commands";

/// The command files: the property of the `github` context and the beginning of the file's name.
const COMMAND_FILES: [(&str, &str); 5] = [
    ("path", "add_path_"),
    ("env", "set_env_"),
    ("step_summary", "step_summary_"),
    ("state", "save_state_"),
    ("output", "set_output_"),
];

/// A program to run for a step.
#[derive(Debug)]
pub(crate) struct Command {
    /// The program and its arguments.
    pub(crate) argv: Vec<String>,
    /// Where it starts.
    pub(crate) folder: String,
    /// Files that it needs.
    pub(crate) files: Vec<FileToWrite>,
    /// Inputs, state and services of an action.
    pub(crate) variables: Vec<(String, String)>,
}

/// The command files of one step. No other step has the same ones, so that what a child writes late, whose step has ended,
/// counts for nothing.
#[derive(Debug)]
pub(crate) struct CommandFiles([String; COMMAND_FILES.len()]);

impl CommandFiles {
    pub(crate) fn new(job: &Job) -> Self {
        let number = job.next_number();
        let folder = format!("{}/{COMMAND_FOLDER}", job.temp);
        Self(COMMAND_FILES.map(|(_, prefix)| format!("{folder}/{prefix}{number}")))
    }

    /// The `github` context of a step that has them.
    pub(crate) fn github(&self, github: &Value, more: Vec<(&str, Value)>) -> Value {
        let paths = COMMAND_FILES.iter().zip(&self.0);
        let paths = paths.map(|((name, _), path)| (*name, Value::from(path.as_str())));
        with_properties(github, paths.chain(more))
    }

    /// What must be written before a process gets them.
    pub(crate) fn empty(&self) -> impl Iterator<Item = FileToWrite> {
        self.0.iter().map(|path| FileToWrite { path: path.clone(), data: Vec::new(), mode: 0o644 })
    }
}

/// What a process needs to know of its step.
#[derive(Debug)]
pub(crate) struct Around<'a> {
    pub(crate) job: &'a Job,
    pub(crate) frame: &'a Frame,
    /// The contexts of the step, `github` with the command files.
    pub(crate) contexts: &'a Contexts,
    /// The step's variables, those of the actions around it included.
    pub(crate) env: &'a IndexMap<String, String>,
    pub(crate) files: &'a CommandFiles,
    /// Whether the step goes on when the job is cancelled, because its condition still holds.
    pub(crate) outlives_cancel: bool,
}

/// How a process ended.
enum Ended {
    Exited(ExitStatus),
    Stopped(Reason),
}

/// Runs a program with everything that belongs to a step, and takes over what it set.
pub(crate) async fn run(around: &Around<'_>, command: Command, globals: &mut Globals) -> Result<End, Fatal> {
    let job = around.job;
    let files = command.files.into_iter().chain(around.files.empty()).collect();
    if let Some(failed) = not_lost(job.machine.write_files(files).await)? {
        return Ok(End::failed(failed));
    }
    job.touched.store(true, Ordering::Relaxed);
    let env = environment(around, command.variables, globals);
    let exec = ExecSpec {
        argv: command.argv,
        env,
        cwd: command.folder,
        stdin: Stdin::Null,
        output: OutputMode::Merged,
        user: RunAs::User,
    };
    let process = match job.machine.exec(exec).await {
        Ok(process) => process,
        Err(error) => {
            let message = not_lost::<()>(Err(error))?.unwrap_or_default();
            return Ok(End::failed(message));
        }
    };
    let mut pipeline = pipeline(around, globals);
    let ended = watch_process(around, process, &mut pipeline).await?;
    let (events, effects) = pipeline.end();
    job.sink.send_all(events).await?;
    let mut end = end_of(ended);
    apply(around, effects, globals, &mut end).await?;
    Ok(end)
}

pub(crate) fn environment(
    around: &Around<'_>,
    action: Vec<(String, String)>,
    globals: &Globals,
) -> Vec<(String, String)> {
    let github = around.contexts.get("github").unwrap_or(&Value::Null);
    let parts = Parts {
        tracking: around.job.next_tracking(),
        machine: around.job.machine.environment(),
        globals,
        step: around.env,
        action,
        github,
        runner: &around.job.runner,
    };
    parts.assemble()
}

/// The search path of the step's processes.
pub(crate) fn search_path_of(around: &Around<'_>, globals: &Globals) -> String {
    globals.search_path(around.env, around.job.machine.environment())
}

fn pipeline(around: &Around<'_>, globals: &Globals) -> Pipeline {
    let job = around.job;
    // GitHub's runner reads the two variables differently: the first as .NET's `bool`, the second more kindly.
    let allows = |name: &str, words: &[&str]| {
        let value = globals.variable(around.env, name);
        value.is_some_and(|value| words.iter().any(|yes| value.eq_ignore_ascii_case(yes)))
    };
    let allowed = Allowed {
        unsecure_commands: allows("ACTIONS_ALLOW_UNSECURE_COMMANDS", &["true"]),
        unsecure_tokens: allows("ACTIONS_ALLOW_UNSECURE_STOPCOMMAND_TOKENS", &["true", "$true", "1"]),
    };
    let commands = Commands::new(allowed, &job.workspace, job.debug);
    Pipeline::new(
        around.frame.step,
        commands,
        job.debug,
        job.masker.clone(),
        job.matchers.clone(),
        &job.workspace,
    )
}

/// `Some` is what went wrong inside the machine; a machine that is lost ends the job.
pub(crate) fn not_lost<T>(result: Result<T, MachineError>) -> Result<Option<String>, Fatal> {
    match result {
        Ok(_) => Ok(None),
        Err(error @ MachineError::Lost { .. }) => Err(Fatal::Machine(error.to_string())),
        Err(error) => Ok(Some(error.to_string())),
    }
}

/// Takes the output until the process ends, and ends it when it must.
async fn watch_process(
    around: &Around<'_>,
    mut process: Process,
    pipeline: &mut Pipeline,
) -> Result<Ended, Fatal> {
    let signaller = process.signaller();
    let mut stop = around.frame.stop.clone();
    let reason = OnceLock::new();
    let stopping = async {
        let why = stop.wait(around.outlives_cancel).await;
        reason.get_or_init(|| why);
        let mut job: watch::Receiver<Stop> = stop.job.clone();
        // A machine that is lost ends the output too, which says so.
        let _ = end_process(&signaller, why, &mut job).await;
        std::future::pending::<()>().await;
    };
    let pumping = pump(around, &mut process, pipeline);
    let status = tokio::select! {
        status = pumping => status?,
        () = stopping => unreachable!("stopping waits for the end of the output"),
    };
    Ok(reason.into_inner().map_or(Ended::Exited(status), Ended::Stopped))
}

async fn pump(
    around: &Around<'_>,
    process: &mut Process,
    pipeline: &mut Pipeline,
) -> Result<ExitStatus, Fatal> {
    let job = around.job;
    while let Some(output) = process.next_output().await {
        let mut at = 0;
        while let Some(needed) = pipeline.feed(&output.bytes, &mut at) {
            let content = read_text(job, &needed).await?;
            pipeline.file(&needed, content);
        }
        job.sink.send_all(pipeline.take_events()).await?;
    }
    if let Some(needed) = pipeline.finish() {
        let content = read_text(job, &needed).await?;
        pipeline.file(&needed, content);
    }
    process.wait().await.map_err(|error| Fatal::Machine(error.to_string()))
}

/// The text of a file that a command names, relative to the workspace.
async fn read_text(job: &Job, needed: &NeedsFile) -> Result<Result<String, String>, Fatal> {
    let path = job.in_workspace(needed.path());
    match job.machine.read_files(vec![path.clone()], MAX_MATCHER_FILE).await {
        Ok(mut files) => {
            let content = files.pop().flatten().map(|bytes| decode(&bytes));
            Ok(content.ok_or_else(|| format!("Could not find file '{path}'.")))
        }
        Err(error) => not_lost::<()>(Err(error)).map(|message| Err(message.unwrap_or_default())),
    }
}

fn end_of(ended: Ended) -> End {
    match ended {
        Ended::Exited(status) if status.success() => {
            End { exit_code: Some(0), ..End::new(Conclusion::Success) }
        }
        Ended::Exited(status) => {
            let code = status.code();
            let error = Some(format!("Process completed with exit code {code}."));
            End { exit_code: Some(code), error, ..End::new(Conclusion::Failure) }
        }
        Ended::Stopped(reason) => stopped(reason),
    }
}

/// The end of a step that had to end.
pub(crate) fn stopped(reason: Reason) -> End {
    match reason {
        Reason::Deadline => End { timed_out: true, ..End::new(Conclusion::Failure) },
        Reason::Job | Reason::Own | Reason::Now => {
            End { error: Some("The operation was canceled.".to_owned()), ..End::new(Conclusion::Cancelled) }
        }
    }
}

/// Takes over what commands and command files have set.
async fn apply(
    around: &Around<'_>,
    effects: Effects,
    globals: &mut Globals,
    end: &mut End,
) -> Result<(), Fatal> {
    let mut states = effects.states;
    end.outputs.extend(effects.outputs);
    effects.env.into_iter().for_each(|(name, value)| globals.set_env(name, value));
    effects.paths.into_iter().for_each(|path| globals.add_path(path));
    let mut problems = Problems { said: Vec::new(), failure: effects.failure };
    let paths = around.files.0.to_vec();
    match around.job.machine.read_files(paths, MAX_COMMAND_FILE).await {
        Ok(contents) => {
            let [path, env, summary, state, output] = decoded(contents);
            read_paths(&path).into_iter().for_each(|path| globals.add_path(path));
            let (read, refused) = read_env(&env);
            problems.said.extend(refused.into_iter().map(|message| format!("Error: {message}")));
            read.values.into_iter().for_each(|(name, value)| globals.set_env(name, value));
            problems.file("env", read.error);
            send_summary(around, &summary, &mut problems).await?;
            let read = read_pairs(&state);
            states.extend(read.values);
            problems.file("state", read.error);
            let read = read_pairs(&output);
            end.outputs.extend(read.values);
            problems.file("output", read.error);
        }
        Err(error) => {
            let message = not_lost::<()>(Err(error))?.unwrap_or_default();
            problems.file("files", Some(message));
        }
    }
    if !states.is_empty() {
        let mut all = around.job.states.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(around.frame.path.clone()).or_default().extend(states);
    }
    for line in problems.said {
        around.job.say(Some(around.frame.step), &line).await?;
    }
    if let Some(failure) = problems.failure {
        end.fail(failure);
    }
    Ok(())
}

fn decoded(contents: Vec<Option<Vec<u8>>>) -> [String; COMMAND_FILES.len()] {
    let mut contents = contents.into_iter();
    std::array::from_fn(|_| contents.next().flatten().map(|bytes| decode(&bytes)).unwrap_or_default())
}

/// What is wrong with command files.
struct Problems {
    said: Vec<String>,
    failure: Option<String>,
}

impl Problems {
    fn file(&mut self, name: &str, error: Option<String>) {
        if let Some(error) = error {
            self.said.push(format!("Error: Unable to process file command '{name}' successfully."));
            self.said.push(format!("Error: {error}"));
            self.failure.get_or_insert(error);
        }
    }
}

async fn send_summary(around: &Around<'_>, summary: &str, problems: &mut Problems) -> Result<(), Fatal> {
    if summary.len() > MAX_SUMMARY {
        problems.said.push(format!("Error: {}", summary_too_large(summary.len())));
    } else if !summary.is_empty() {
        let markdown = around.job.masker.mask(summary);
        around.job.sink.send(JobEvent::Summary { step: around.frame.step, markdown }).await?;
    }
    Ok(())
}
