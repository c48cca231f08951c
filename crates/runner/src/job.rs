//! One leased job: its machine, its steps in order, its posts in reverse, its end.
//!
//! ```text
//! lease ──> boot ──> Started ──> pre of actions ──> steps ──> background steps end ──> posts ──> outputs ──> Finished
//!             └─ cannot ──────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Invariants: `Finished` is reported exactly once, and last, unless the control plane takes nothing any more. A machine
//! that dies fails the step and the job. Whatever happens, the machine is stopped.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use indexmap::IndexMap;
use machine::Machine;
use run::event::JobEvent;
use run::id::LeaseId;
use run::job::{Extent, JobSpec};
use run::lease::Lease;
use run::status::Conclusion;
use tokio::sync::watch;
use tokio::task::JoinSet;
use workflow::expr::{Contexts, JobStatus, Object, Value};
use workflow::model::Step;

use crate::action::resolve::Loaded;
use crate::cancel::Stop;
use crate::checkpoint::{Begin, Keeper};
use crate::context::{Evaluator, status_word};
use crate::dispatch::{Dispatch, DispatchError};
use crate::options::Options;
use crate::output::mask::Masker;
use crate::output::matcher::Matchers;
use crate::sink::{Sink, SinkFailed};
use crate::step::Frame;
use crate::steps::Ending;
use crate::workspace::Tree;
use crate::{setup, steps, watch as watching};

/// What is said of a job that met a mistake in the runner.
const BROKE_DOWN: &str = "the runner broke down while it ran the job; what it printed last says where";

/// What ends a job at once.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Fatal {
    /// Events cannot be kept.
    #[error(transparent)]
    Sink(#[from] SinkFailed),
    /// The machine is gone.
    #[error("{0}")]
    Machine(String),
}

/// `post` of an action that has begun.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    /// The action's step, its condition that of the post.
    pub(crate) step: Step,
    pub(crate) loaded: Arc<Loaded>,
    pub(crate) frame: Frame,
    /// The `steps` context of a step in a composite action.
    pub(crate) steps: Value,
}

/// `defaults.run`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Defaults {
    pub(crate) shell: Option<String>,
    pub(crate) working_directory: Option<String>,
}

/// A job in its machine.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) options: Arc<Options>,
    pub(crate) spec: JobSpec,
    /// Under which the job is held.
    pub(crate) lease: LeaseId,
    /// The `secrets` context.
    pub(crate) secrets: Arc<[(String, String)]>,
    pub(crate) machine: Machine,
    /// The step that began last.
    pub(crate) current: Mutex<Option<u32>>,
    pub(crate) sink: Sink,
    pub(crate) masker: Arc<Masker>,
    pub(crate) matchers: Arc<Matchers>,
    pub(crate) stop: watch::Receiver<Stop>,
    /// The files of the working tree.
    pub(crate) tree: Arc<Tree>,
    /// `GITHUB_WORKSPACE`.
    pub(crate) workspace: String,
    /// `RUNNER_TEMP`.
    pub(crate) temp: String,
    /// The contexts that every step has.
    pub(crate) contexts: Contexts,
    /// The `runner` context.
    pub(crate) runner: Value,
    pub(crate) defaults: Defaults,
    /// Whether debug messages are shown.
    pub(crate) debug: bool,
    /// Actions of other repositories, by reference.
    pub(crate) actions: Mutex<HashMap<String, Arc<Loaded>>>,
    /// Repositories of actions that are in the machine.
    pub(crate) installed: tokio::sync::Mutex<HashSet<String>>,
    /// What actions saved, by the path of their step.
    pub(crate) states: Mutex<HashMap<String, IndexMap<String, String>>>,
    pub(crate) posts: Mutex<Vec<Post>>,
    pub(crate) failed: AtomicBool,
    pub(crate) missing: Mutex<Option<String>>,
    pub(crate) next: AtomicU32,
    /// Where programs are, by name and search path.
    pub(crate) programs: Mutex<HashMap<(String, String), Option<String>>>,
    /// Whether a process has run that may have changed the workspace.
    pub(crate) touched: AtomicBool,
    /// What was kept last before a step.
    pub(crate) keeper: Keeper,
}

impl Job {
    /// The status that conditions see.
    pub(crate) fn status(&self) -> JobStatus {
        if *self.stop.borrow() >= Stop::Graceful {
            JobStatus::Cancelled
        } else if self.failed.load(Ordering::Relaxed) {
            JobStatus::Failure
        } else {
            JobStatus::Success
        }
    }

    /// A step has failed and that counts.
    pub(crate) fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    /// The job needs what this host does not have.
    pub(crate) fn lacks(&self, capability: &str) {
        self.missing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert_with(|| capability.to_owned());
    }

    /// The `job` context.
    pub(crate) fn job_context(&self) -> Value {
        let context: Object = [("status", status_word(self.status()))].into_iter().collect();
        context.into()
    }

    /// A number that the job has not used, for names of files.
    pub(crate) fn next_number(&self) -> u32 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// A value of `RUNNER_TRACKING_ID` that no other process has.
    pub(crate) fn next_tracking(&self) -> String {
        format!("github_{}_{}_{}", self.spec.run, self.spec.job, self.next_number())
    }

    /// A path that is relative to the workspace, as an absolute one.
    pub(crate) fn in_workspace(&self, path: &str) -> String {
        let path = path.strip_prefix("./").unwrap_or(path);
        match path {
            "" | "." => self.workspace.clone(),
            _ if path.starts_with('/') => path.to_owned(),
            _ => format!("{}/{path}", self.workspace),
        }
    }

    /// Says something in the log, masked.
    pub(crate) async fn say(&self, step: Option<u32>, text: &str) -> Result<(), SinkFailed> {
        let mut text = self.masker.mask(text);
        text.push('\n');
        self.sink.send(JobEvent::Log { step, text }).await
    }

    /// Where a program is on a search path of the machine.
    pub(crate) async fn which(&self, program: &str, path: &str) -> Result<Option<String>, Fatal> {
        if program.contains('/') {
            return Ok(Some(program.to_owned()));
        }
        let key = (program.to_owned(), path.to_owned());
        let known = self.programs.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        // What was missing may have been installed since.
        if let Some(found @ Some(_)) = known {
            return Ok(found);
        }
        let found = self.machine.which(vec![program.to_owned()], path.to_owned()).await;
        let found = found.map_err(|error| Fatal::Machine(error.to_string()))?.pop().flatten();
        self.programs.lock().unwrap_or_else(PoisonError::into_inner).insert(key, found.clone());
        Ok(found)
    }
}

/// Runs a leased job to its end. Everything that happens is reported.
///
/// # Errors
/// When a report fails: what came after it is lost.
pub(crate) async fn execute(
    dispatch: Arc<dyn Dispatch>,
    options: Arc<Options>,
    lease: Lease,
) -> Result<(), DispatchError> {
    let (sink, reporting) = Sink::start(Arc::clone(&dispatch), lease.id.clone());
    let (stopping, stop) = watch::channel(Stop::No);
    let watched = watching::Watch::new(dispatch, lease.id.clone(), sink.clone(), stopping);
    let mut running = JoinSet::new();
    running.spawn(run(options, lease, sink.clone(), stop, watched.limit()));
    let ended = watched.during(running.join_next()).await.expect("one job was started");
    // A mistake in the runner ends the job that met it, and no other. What a panic says is not masked, and not reported.
    let finished = ended.unwrap_or_else(|_| finished(&Refused::error(BROKE_DOWN), false));
    // Where this fails, the reporting does, and says why.
    let _ = sink.send(finished).await;
    drop(sink);
    drop(watched);
    reporting.await.expect("reporting does not panic")
}

/// Runs the job; the event that ends it is returned.
async fn run(
    options: Arc<Options>,
    lease: Lease,
    sink: Sink,
    stop: watch::Receiver<Stop>,
    limit: watching::Limit,
) -> JobEvent {
    let tree = match options.tree.found().await {
        Ok(tree) => tree,
        Err(error) => return finished(&Refused::error(error), false),
    };
    let refused = |refused: &Refused| finished(refused, *stop.borrow() >= Stop::Graceful);
    let begin = Begin::of(&lease.spec, &options, &lease.secrets).await;
    let mut begin = match begin {
        Ok(begin) => begin,
        Err(error) => return refused(&Refused::error(error)),
    };
    let set_up = setup::Setup::new(options, tree, sink, stop.clone(), lease);
    let set_up = match set_up {
        Ok(set_up) => set_up,
        Err(error) => return refused(&error),
    };
    loop {
        let (job, mut globals) = match set_up.run(&begin, &limit).await {
            Ok(job) => job,
            Err(error) => return refused(&error),
        };
        let job = Arc::new(job);
        match steps::run(&job, &mut globals, &begin).await {
            Ok(Ending::RollBack(boundary)) => {
                job.machine.stop().await;
                let extent = if begin.is_single() { Extent::Step } else { Extent::Rest };
                begin = Begin::At(boundary, extent);
            }
            Ok(Ending::Ended(contexts)) => return end(&job, Ok(*contexts), &begin).await,
            Err(fatal) => return end(&job, Err(fatal), &begin).await,
        }
    }
}

/// Puts the machine away; the event that ends the job is returned.
async fn end(job: &Job, result: Result<Contexts, Fatal>, begin: &Begin) -> JobEvent {
    let outputs = match &result {
        Ok(contexts) if !begin.is_single() => outputs(job, contexts).await,
        _ => IndexMap::new(),
    };
    job.machine.stop().await;
    let error = result.err().map(|fatal| fatal.to_string());
    let conclusion = match job.status() {
        JobStatus::Cancelled => Conclusion::Cancelled,
        JobStatus::Failure => Conclusion::Failure,
        _ if error.is_some() => Conclusion::Failure,
        JobStatus::Success | JobStatus::Skipped => Conclusion::Success,
    };
    let missing_capability = job.missing.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let error = error.map(|error| job.masker.mask(&error)).or_else(|| watching::reason(&job.stop));
    JobEvent::Finished { conclusion, outputs, error, missing_capability }
}

/// Why a job never came to its steps.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    pub(crate) error: String,
    pub(crate) missing_capability: Option<String>,
}

impl Refused {
    pub(crate) fn error(error: impl Into<String>) -> Self {
        Self { error: error.into(), missing_capability: None }
    }

    pub(crate) fn lacks(capability: impl Into<String>) -> Self {
        let capability = capability.into();
        Self { error: capability.clone(), missing_capability: Some(capability) }
    }
}

fn finished(refused: &Refused, cancelled: bool) -> JobEvent {
    JobEvent::Finished {
        conclusion: if cancelled { Conclusion::Cancelled } else { Conclusion::Failure },
        outputs: IndexMap::new(),
        error: Some(refused.error.clone()),
        missing_capability: refused.missing_capability.clone(),
    }
}

/// The job's outputs; one that holds a secret is dropped, and that is said.
async fn outputs(job: &Job, contexts: &Contexts) -> IndexMap<String, String> {
    let Some(token) = &job.spec.definition.outputs else { return IndexMap::new() };
    let evaluator = Evaluator { machine: &job.machine, workspace: &job.workspace, status: job.status() };
    let evaluated = match evaluator.mapping(token, contexts).await {
        Ok(outputs) => outputs,
        Err(error) => {
            job.fail();
            let _ = job.say(None, &format!("Error: {error}")).await;
            return IndexMap::new();
        }
    };
    let mut outputs = IndexMap::new();
    for (name, value) in evaluated {
        if job.masker.finds(&value) {
            let _ =
                job.say(None, &format!("Warning: Skip output '{name}' since it may contain secret.")).await;
        } else if !value.is_empty() {
            outputs.insert(name, value);
        }
    }
    outputs
}
