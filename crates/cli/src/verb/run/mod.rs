//! `firedog run`: workflows run, end to end.
//!
//! The same way as everywhere: the plans go to the control plane, which writes to the store; a runner in this process
//! leases the jobs and reports what happens; the screen is a fold of the events that come back.

pub(super) mod args;
mod dispatch;
mod fork;
pub(super) mod machines;
pub(super) mod network;
mod place;
mod prepare;
mod rewind;
mod shell;
pub(super) mod signal;
mod snapshots;
mod values;
mod watch;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use control::{Control, Labels, Settings, Submission, SystemClock, Unserved};
use run::id::RunId;
use run::lease::Cancel;
use run::status::Conclusion;
use runner::dispatch::DispatchError;
use runner::listener;
use runner::options::Options;
use store::Store;
use tokio::sync::mpsc;
use tokio::task::JoinError;
use workflow::plan::Plan;

pub(crate) use self::args::RunArgs;
use self::args::RunFormat;
use self::dispatch::InProcess;
pub(crate) use self::fork::{ForkArgs, run as run_fork};
use self::machines::Machines;
use self::prepare::Prepared;
pub(crate) use self::rewind::{RewindArgs, run as run_rewind};
use self::signal::Signals;
use self::watch::{Batch, Ended, Watch};
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::history;
use crate::output;
use crate::render::Render;
use crate::render::ending::Detail;
use crate::render::ndjson::Ndjson;
use crate::render::plain::Plain;
use crate::render::terminal::Terminal;
use crate::render::text::shown;
use crate::state::StateFolder;
use crate::sweep;

/// Batches of events that wait to be shown. Each may be large; what does not fit waits in the control plane.
const WAITING_BATCHES: usize = 1;
/// How long threads that are stuck in a system call may hold up the end.
const LAST_THREADS: Duration = Duration::from_millis(100);

pub(crate) fn run(args: &RunArgs, config: &Config) -> Result<Exit, Failure> {
    let machines = machines::look_for(args.into(), config);
    let prepared = prepare::prepare(args, config.stderr)?;
    let mut screen = screen(args.format, config, prepared.plans.len());
    if prepared.plans.is_empty() {
        let count = prepared.considered;
        let workflows = if count == 1 { "workflow" } else { "workflows" };
        output::to_stderr(&format!("`{}` triggers none of the {count} {workflows}", args.event));
        for (file, reason) in &prepared.held {
            output::to_stderr(&format!("  {}: {}", shown(file, false), shown(&reason.message, false)));
        }
        output::to_stderr("help: a workflow runs whatever its filters are when its FILE is given");
        drop(screen.finish(Conclusion::Success));
        return Ok(Exit::Success);
    }
    if !config.quiet {
        prepared.plans.iter().filter_map(note_on_event).for_each(|note| output::to_stderr(&note));
    }
    let runtime = runtime()?;
    let ended = runtime.block_on(drive(args, config, machines, prepared, screen.as_mut()));
    // Gives the terminal back before anything else is said.
    drop(screen);
    machine::scratch::wait_for_removals();
    runtime.shutdown_timeout(LAST_THREADS);
    ended
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Usage, error).while_doing("cannot start"))
}

/// What is said of a workflow that runs because it is named, though its event never starts it.
fn note_on_event(plan: &Plan) -> Option<String> {
    let workflow = &plan.root.workflow;
    let own: Vec<&str> = workflow.on.events.keys().map(String::as_str).collect();
    (!own.contains(&plan.event.name.as_str())).then(|| {
        format!(
            "note: `{}` does not start on `{}`; `--event` can be one of its own: {}",
            shown(&workflow.file, false),
            shown(&plan.event.name, false),
            own.join(", ")
        )
    })
}

fn screen(format: RunFormat, config: &Config, runs: usize) -> Box<dyn Render> {
    match format {
        RunFormat::Ndjson => Box::new(Ndjson::new(io::stdout())),
        RunFormat::Text if config.quiet => {
            Box::new(Plain::new(io::stdout(), config.stdout, Detail::Failures, runs))
        }
        RunFormat::Text if config.terminal => {
            Box::new(Terminal::new(console::Term::buffered_stdout(), config.stdout, runs))
        }
        RunFormat::Text => Box::new(Plain::new(io::stdout(), config.stdout, Detail::Full, runs)),
    }
}

async fn drive(
    args: &RunArgs,
    config: &Config,
    machines: Machines,
    mut prepared: Prepared,
    screen: &mut dyn Render,
) -> Result<Exit, Failure> {
    let mut signals = Signals::listen()
        .map_err(|error| Failure::new(Exit::Usage, error).while_doing("cannot listen for signals"))?;
    let state = StateFolder::open(&config.state)?;
    let store = history::open_store(&state).await?;
    sweep::sweep(&store, &state).await?;
    store.leave_open();
    number(&store, &mut prepared).await?;
    let checkpoints = args.snapshots.open(&state, &store).await?;
    let vault = checkpoints.as_ref().map(|checkpoints| Arc::clone(&checkpoints.vault));
    let options = machines.options(prepared.tree.clone(), &state, checkpoints)?;
    let control = Control::open(store.clone(), settings(&state, &options));
    let runs = submit(&control, prepared.submissions()).await?;
    let cancel_after = args.cancel_after;
    let launch =
        Launch { control: &control, runs: &runs, options, screen, signals: &mut signals, cancel_after };
    let ended = launch.run().await?;
    if let Some(vault) = vault {
        args.snapshots.tidy(vault, &store).await?;
    }
    exit(ended, &control, &runs)
}

/// Runs that have been submitted, with the runner that runs their jobs.
struct Launch<'a> {
    control: &'a Control,
    runs: &'a [RunId],
    options: Options,
    screen: &'a mut dyn Render,
    signals: &'a mut Signals,
    cancel_after: Option<Duration>,
}

impl Launch<'_> {
    /// Runs the jobs and shows what happens, until all runs have ended.
    async fn run(self) -> Result<Ended, Failure> {
        let Self { control, runs, options, screen, signals, cancel_after } = self;
        let events = events(control, runs).await?;
        let (dispatch, mut failed) = InProcess::new(control.clone());
        let mut runner = tokio::spawn(listener::serve(Arc::new(dispatch), Arc::new(options)));
        let watch = Watch { runs: runs.len(), events, screen, signals: &mut *signals, cancel_after };
        let watching = watch::watch(watch, |cancel, reason| cancel_all(control, runs, cancel, reason));
        let ended = tokio::select! {
            // A failure to keep something also ends the runner, which knows less of it.
            biased;
            ended = watching => ended,
            Some(failure) = failed.recv() => return Err(failure),
            // It has no reason to end before the runs do, but that it cannot go on.
            stopped = &mut runner => {
                stopped_runner(stopped)?;
                return Err(Failure::usage("the runner ended before the run did"));
            }
        };
        control.drain();
        if ended != Ended::Left {
            // The machines of the last jobs are still being put away. Who does not want to wait need not.
            tokio::select! {
                stopped = runner => stopped_runner(stopped)?,
                _ = signals.next() => {}
            }
        }
        Ok(ended)
    }
}

/// What a runner that has stopped says.
fn stopped_runner(stopped: Result<Result<(), DispatchError>, JoinError>) -> Result<(), Failure> {
    match stopped {
        Ok(result) => result.map_err(|error| Failure::new(Exit::Usage, error)),
        Err(broken) => Err(Failure::new(Exit::Usage, broken).while_doing("the runner broke down")),
    }
}

fn settings(state: &StateFolder, options: &Options) -> Settings {
    Settings {
        owner: state.owner().id().to_owned(),
        clock: Arc::new(SystemClock),
        serves: Some(Labels::new(&options.labels)),
        // The runner lives in this process: when it is gone, so is the control plane.
        lease_duration: None,
    }
}

/// Gives each run its number among those of its workflow in this folder.
async fn number(store: &Store, prepared: &mut Prepared) -> Result<(), Failure> {
    let root = prepared.root.display().to_string();
    for plan in &mut prepared.plans {
        let earlier = store.runs_of(&root, &plan.root.workflow.file).await.map_err(history::unreadable)?;
        plan.set_run_number(earlier + 1);
    }
    Ok(())
}

async fn submit(control: &Control, submissions: Vec<Submission>) -> Result<Vec<RunId>, Failure> {
    let mut runs = Vec::new();
    for submission in submissions {
        runs.push(control.submit(submission).await.map_err(|error| Failure::new(Exit::Usage, error))?);
    }
    Ok(runs)
}

/// The events of all runs on one way.
async fn events(control: &Control, runs: &[RunId]) -> Result<mpsc::Receiver<Batch>, Failure> {
    let (sender, receiver) = mpsc::channel(WAITING_BATCHES);
    for (number, run) in runs.iter().enumerate() {
        let mut watch = control.watch(run).await.map_err(|error| Failure::new(Exit::Usage, error))?;
        let sender = sender.clone();
        tokio::spawn(async move {
            loop {
                let events = match watch.next().await {
                    Ok(Some(events)) => events,
                    Ok(None) => return,
                    Err(error) => return output::to_stderr(&format!("error: {error}")),
                };
                if sender.send((number, events)).await.is_err() {
                    return;
                }
            }
        });
    }
    Ok(receiver)
}

async fn cancel_all(control: &Control, runs: &[RunId], cancel: Cancel, reason: &str) {
    for run in runs {
        // A run that has ended by now needs no request; one that cannot be kept is told by whoever reports next.
        drop(control.cancel(run, cancel, reason).await);
    }
}

fn exit(ended: Ended, control: &Control, runs: &[RunId]) -> Result<Exit, Failure> {
    match ended {
        Ended::Concluded(Conclusion::Failure) => {
            let unserved: Vec<Unserved> = runs.iter().flat_map(|run| control.unserved(run)).collect();
            if unserved.is_empty() {
                return Ok(Exit::Negative);
            }
            output::to_stderr(&help_for_unserved(&unserved));
            Ok(Exit::Missing)
        }
        Ended::Concluded(Conclusion::Cancelled) | Ended::Left => Ok(Exit::Cancelled),
        Ended::Concluded(Conclusion::Success | Conclusion::Skipped) => Ok(Exit::Success),
        Ended::Broken => Err(Failure::usage("the events of the run ended before the run did")),
    }
}

/// How jobs whose labels nobody serves can be run here all the same.
fn help_for_unserved(unserved: &[Unserved]) -> String {
    let mut labels: Vec<&str> = unserved.iter().flat_map(|job| &job.labels).map(String::as_str).collect();
    labels.sort_unstable();
    labels.dedup();
    let label = labels.first().copied().unwrap_or("*");
    format!("help: `--platform '{}=auto'` runs such jobs in a machine of this host", shown(label, false))
}
