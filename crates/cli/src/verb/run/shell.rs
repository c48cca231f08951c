//! `firedog rewind --shell`: a shell in a machine as it was when a step was about to begin.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use machine::{MachineError, Process, ProcessInput, TerminalSize};
use run::event::EventKind;
use run::id::LeaseId;
use run::job::{Extent, JobSpec, Resume};
use run::lease::Lease;
use run::secrets::secrets_of;
use run::state::RunState;
use runner::checkpoint::{Checkpoints, Entered, Keep, enter};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::place::Place;
use super::rewind::{ValueArgs, options};
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::history::History;
use crate::output;
use crate::render::resumed::restored;
use crate::terminal::{RawTerminal, read_stdin, size};

/// The most bytes that are read at a time.
const CHUNK: usize = 4096;

/// Opens a shell, and waits until it ends.
pub(super) async fn open(
    values: &ValueArgs,
    config: &Config,
    history: &History,
    mut place: Place,
    root: PathBuf,
) -> Result<Exit, Failure> {
    let spec = spec(&mut place)?;
    let named = format!("{} of `{}`", place.step_name(), place.job_name());
    let kind = place.row.kind;
    let vault = Arc::new(place.vault);
    let checkpoints = Checkpoints { vault, keep: Keep::Nothing, renew_workspace: false, retries: 0 };
    let (options, secrets) = options(&place.about, values, Some(1), &root, checkpoints, config, history)?;
    let state = RunState::from_events(&place.events);
    let secrets = secrets_of(&place.plan, &state, &spec.job, &secrets)
        .map_err(|_| Failure::usage("the secrets of the job's call cannot be evaluated"))?;
    let lease = Lease { id: LeaseId(format!("shell-{}", std::process::id())), spec, secrets };
    let entered = enter(Arc::new(options), lease).await.map_err(Failure::usage)?;
    if !config.quiet {
        output::to_stderr(&format!("before {named}: {}", restored(kind)));
        let script = entered.script().map(|script| format!("; the step's script is {script}"));
        output::to_stderr(&format!("a shell in {}{}", entered.folder(), script.unwrap_or_default()));
    }
    let ended = attach(&entered).await;
    entered.leave().await;
    let status = ended.map_err(|error| Failure::new(Exit::Usage, error))?;
    Ok(if status == 0 { Exit::Success } else { Exit::Negative })
}

/// The job as it was queued, to go on from the checkpoint.
fn spec(place: &mut Place) -> Result<JobSpec, Failure> {
    let queued = place.events.iter().rev().find_map(|event| match &event.kind {
        EventKind::JobQueued { spec } if spec.job == place.row.job => Some(spec.as_ref().clone()),
        _ => None,
    });
    let mut spec =
        queued.ok_or_else(|| Failure::usage(format!("the job `{}` never waited", place.row.job)))?;
    spec.resume = Some(Resume {
        job: place.row.job.clone(),
        step: place.row.step,
        checkpoint: place.row.id.clone(),
        extent: Extent::Step,
    });
    Ok(spec)
}

/// Connects a shell with this process's standard input and output; returns its exit code.
async fn attach(entered: &Entered) -> Result<i32, MachineError> {
    let is_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    let terminal = is_terminal.then(|| {
        let kind = std::env::var("TERM").unwrap_or_else(|_| "dumb".to_owned());
        (window(), kind)
    });
    let process = entered.shell(terminal).await?;
    let _raw = is_terminal.then(RawTerminal::take).and_then(Result::ok);
    converse(process, is_terminal).await
}

/// Passes input, output and sizes on until the shell has ended.
async fn converse(mut process: Process, is_terminal: bool) -> Result<i32, MachineError> {
    let mut input = process.take_input();
    let signaller = process.signaller();
    let mut typed = read_stdin(CHUNK);
    let mut resized = is_terminal.then(|| signal(SignalKind::window_change()).ok()).flatten();
    loop {
        tokio::select! {
            biased;
            output = process.next_output() => match output {
                // Nobody reads it any more: the shell ends with its input.
                Some(output) if print(&output.bytes).is_err() => drop(input.take()),
                Some(_) => {}
                None => break,
            },
            chunk = typed.recv(), if input.is_some() => feed(&mut input, chunk).await,
            () = next_size(&mut resized) => drop(signaller.resize(window()).await),
        }
    }
    process.wait().await.map(|status| status.code())
}

/// Gives the shell what was typed; the end of it is its end.
async fn feed(input: &mut Option<ProcessInput>, chunk: Option<Bytes>) {
    let goes_on = match (input.as_mut(), chunk) {
        (Some(input), Some(chunk)) => input.write(&chunk).await,
        _ => false,
    };
    if !goes_on {
        drop(input.take());
    }
}

fn print(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush())
}

async fn next_size(resized: &mut Option<Signal>) {
    match resized {
        Some(resized) => drop(resized.recv().await),
        None => std::future::pending().await,
    }
}

fn window() -> TerminalSize {
    let size = size().ok().filter(|size| size.rows > 0 && size.columns > 0);
    size.unwrap_or(TerminalSize { rows: 24, columns: 80 })
}
