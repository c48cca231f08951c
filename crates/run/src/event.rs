//! The public vocabulary of a run. A run *is* its events: what is shown or stored is a fold of them.
//!
//! The vocabulary is append-only: a variant or field is never given another meaning, new ones get defaults.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use workflow::expr::Value;
use workflow::plan::Concurrency;

use crate::id::{CheckpointId, JobId, LeaseId, RunId, RunnerId};
use crate::job::{JobSpec, Resume};
use crate::lease::Cancel;
use crate::status::Conclusion;

/// The version of the vocabulary, stored with each run.
pub const EVENT_VERSION: u32 = 1;

/// Milliseconds since 1970-01-01T00:00:00Z.
pub type Timestamp = i64;

/// One event of a run, in its place.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Event {
    /// Its place among the run's events, from 1, without gaps.
    pub sequence: u64,
    /// When it happened, by the clock of whoever saw it.
    pub at: Timestamp,
    /// What happened.
    pub kind: EventKind,
}

/// What can happen in a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum EventKind {
    /// The run exists.
    RunQueued {
        /// The workflow's name, or its file where it has none.
        workflow: String,
        /// The workflow's file, as given.
        file: String,
        /// The event's name.
        event: String,
    },
    /// The run goes on where a step of another run began. What that run's other jobs came to is taken over: their events
    /// follow.
    RunResumed {
        /// From where.
        resume: Resume,
        /// The run whose step that was.
        from: RunId,
    },
    /// A job's matrix and name are known: from now on it has these legs.
    JobExpanded {
        /// The job without its leg, such as `caller[0]/test`.
        group: JobId,
        /// Its legs in GitHub's order; one without a matrix.
        legs: Vec<Leg>,
        /// Whether a failed leg cancels the others.
        fail_fast: bool,
        /// How many legs may run at a time.
        max_parallel: Option<u32>,
        /// How many legs the matrix has, also those that the selection leaves out.
        total: u32,
    },
    /// The leg waits for its concurrency group, which another job of the run holds.
    JobPending {
        /// The leg.
        job: JobId,
        /// The group.
        group: String,
    },
    /// A leg that calls a workflow is open: the called workflow's jobs may start.
    CallOpened {
        /// The calling leg.
        job: JobId,
        /// The called workflow's `inputs`.
        inputs: Value,
    },
    /// The job waits for a runner.
    JobQueued {
        /// All that the runner needs.
        spec: Box<JobSpec>,
    },
    /// A runner holds the job.
    JobLeased {
        /// The job.
        job: JobId,
        /// The hold.
        lease: LeaseId,
        /// Who holds it.
        runner: RunnerId,
    },
    /// A runner reports.
    Reported {
        /// The job.
        job: JobId,
        /// The hold under which it was said.
        lease: LeaseId,
        /// What was said.
        event: JobEvent,
    },
    /// A runner is gone; its job is requeued or failed.
    LeaseExpired {
        /// The job.
        job: JobId,
        /// The hold that is over.
        lease: LeaseId,
        /// Why, for people.
        reason: String,
    },
    /// Somebody asked to end the run, or fail-fast asks to end one job.
    CancelRequested {
        /// The job; the whole run without one.
        job: Option<JobId>,
        /// How hard.
        cancel: Cancel,
        /// Why, for people.
        reason: String,
    },
    /// The job has ended: exactly once for each leg. A job that is skipped, or fails, before it is expanded ends as a
    /// whole, under the id of its group.
    JobFinished {
        /// The job.
        job: JobId,
        /// Its name, as people see it.
        name: String,
        /// After the job's `continue-on-error`, as in `needs.X.result`.
        conclusion: Conclusion,
        /// Whether the job failed and `continue-on-error` made that a success.
        tolerated: bool,
        /// Its outputs.
        outputs: IndexMap<String, String>,
        /// Why it failed or was skipped, where no step says so.
        reason: Option<String>,
    },
    /// The run has ended: exactly once, the last event.
    RunFinished {
        /// How.
        conclusion: Conclusion,
        /// Why, where no job says so.
        reason: Option<String>,
    },
}

/// One leg of a job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Leg {
    /// The leg's id.
    pub job: JobId,
    /// The evaluated name.
    pub name: String,
    /// The leg's `matrix`; null without one.
    pub matrix: Value,
    /// The leg's place in the matrix, from 0.
    pub index: u32,
    /// The leg's concurrency group.
    pub concurrency: Option<Concurrency>,
}

/// Which script of a step runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// An action's `pre`.
    Pre,
    /// The step itself.
    Main,
    /// An action's `post`.
    Post,
}

/// What a runner reports of one job. `step` is the 0-based index of the top-level step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum JobEvent {
    /// The machine is there.
    Started {
        /// The backend, such as `namespace`.
        machine: String,
    },
    /// The machine, the files and the runner are as they were when a step was about to begin.
    Resumed {
        /// The step.
        step: u32,
        /// The checkpoint that they were made from.
        checkpoint: CheckpointId,
        /// What was kept in it.
        kind: CheckpointKind,
    },
    /// What is there before a step begins was kept.
    CheckpointKept {
        /// The step.
        step: u32,
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// What was kept.
        kind: CheckpointKind,
        /// How many bytes of the disk that took beyond what was kept before.
        bytes: u64,
    },
    /// A checkpoint is not needed any more: its step succeeded.
    CheckpointDropped {
        /// The step.
        step: u32,
        /// The checkpoint.
        checkpoint: CheckpointId,
    },
    /// A step failed, and all is again as it was before it; it is tried once more.
    RolledBack {
        /// The step.
        step: u32,
        /// Which attempt follows, from 2.
        attempt: u32,
        /// How many attempts there are at most.
        attempts: u32,
        /// What was restored.
        kind: CheckpointKind,
    },
    /// A phase of a step begins.
    StepStarted {
        /// Which step.
        step: u32,
        /// The step's id, the author's or a generated one.
        id: String,
        /// The evaluated name.
        name: String,
        /// Which phase.
        phase: Phase,
    },
    /// Output, masked: whole lines, each ended by a newline, at most [`MAX_LOG_TEXT`] bytes together.
    Log {
        /// Which step; none for what the runner says of the job as a whole.
        step: Option<u32>,
        /// The lines.
        text: String,
    },
    /// A group of lines begins; groups do not nest.
    GroupStarted {
        /// Which step.
        step: u32,
        /// Its title.
        title: String,
    },
    /// The group ends.
    GroupEnded {
        /// Which step.
        step: u32,
    },
    /// A finding of a tool.
    Annotation {
        /// Which step.
        step: u32,
        /// The finding.
        annotation: Annotation,
    },
    /// The machine's network refused a destination.
    NetworkRefused {
        /// The step that ran then; none before the first.
        step: Option<u32>,
        /// What was refused. Told again for the same step it is the same destination, refused so many times more.
        refusal: NetworkRefusal,
    },
    /// Markdown that a step wrote for the run's summary.
    Summary {
        /// Which step.
        step: u32,
        /// The text.
        markdown: String,
    },
    /// A phase of a step has ended.
    StepFinished {
        /// Which step.
        step: u32,
        /// The step's id.
        id: String,
        /// The evaluated name.
        name: String,
        /// Which phase.
        phase: Phase,
        /// Before `continue-on-error`.
        outcome: Conclusion,
        /// After it.
        conclusion: Conclusion,
        /// Its outputs.
        outputs: IndexMap<String, String>,
        /// The process's exit code, where there was a process and it had one.
        exit_code: Option<i32>,
        /// The runner's own words on a failure, such as `Process completed with exit code 1.`
        error: Option<String>,
    },
    /// The job is over on the runner's side.
    Finished {
        /// Before the job's `continue-on-error`.
        conclusion: Conclusion,
        /// The evaluated outputs.
        outputs: IndexMap<String, String>,
        /// Why, where no step says so.
        error: Option<String>,
        /// What this host lacks and the job needs, such as a container engine: the job failed for that.
        #[serde(default)]
        missing_capability: Option<String>,
    },
}

impl JobEvent {
    /// About how much memory it takes, in bytes: its texts and a little more.
    pub fn size(&self) -> usize {
        const BESIDE_TEXTS: usize = 256;
        let pairs = |pairs: &IndexMap<String, String>| -> usize {
            pairs.iter().map(|(name, value)| name.len() + value.len()).sum()
        };
        let optional = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let texts = match self {
            Self::Started { machine } => machine.len(),
            Self::StepStarted { id, name, .. } => id.len() + name.len(),
            Self::Log { text, .. } => text.len(),
            Self::GroupStarted { title, .. } => title.len(),
            Self::Resumed { checkpoint, .. }
            | Self::CheckpointKept { checkpoint, .. }
            | Self::CheckpointDropped { checkpoint, .. } => checkpoint.0.len(),
            Self::GroupEnded { .. } | Self::RolledBack { .. } => 0,
            Self::Annotation { annotation: Annotation { message, title, file, .. }, .. } => {
                message.len() + optional(title) + optional(file)
            }
            Self::NetworkRefused {
                refusal: NetworkRefusal { name, address, transport, reason, .. }, ..
            } => optional(name) + optional(address) + transport.len() + reason.len(),
            Self::Summary { markdown, .. } => markdown.len(),
            Self::StepFinished { id, name, outputs, error, .. } => {
                id.len() + name.len() + pairs(outputs) + optional(error)
            }
            Self::Finished { outputs, error, missing_capability, .. } => {
                pairs(outputs) + optional(error) + optional(missing_capability)
            }
        };
        BESIDE_TEXTS + texts
    }
}

/// What a checkpoint keeps beside the runner's own state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckpointKind {
    /// The machine's memory, devices and disk: processes that ran run on.
    Memory,
    /// The files of the machine. Processes that ran are gone.
    Files,
}

impl CheckpointKind {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Files => "files",
        }
    }
}

/// The largest text of one [`JobEvent::Log`], in bytes.
pub const MAX_LOG_TEXT: usize = 256 * 1024;

/// A runner's event with its time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reported {
    /// When it happened, by the runner's clock.
    pub at: Timestamp,
    /// What happened.
    pub event: JobEvent,
}

/// A destination that a machine's network refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkRefusal {
    /// The name, where the machine asked for one, masked.
    pub name: Option<String>,
    /// The address; none where the name was not even resolved.
    pub address: Option<String>,
    /// The port, of what has one.
    pub port: Option<u16>,
    /// `dns`, `tcp`, `udp` or `icmp`.
    pub transport: String,
    /// `not-listed`, `private`, `host`, `other-name` (a listed name's address, asked for another name), `ipv6`, or `others`
    /// for all destinations beyond those that are kept apart.
    pub reason: String,
    /// How often.
    pub count: u64,
}

/// How bad an annotation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AnnotationLevel {
    /// `::error`.
    Error,
    /// `::warning`.
    Warning,
    /// `::notice`.
    Notice,
}

/// A finding of a tool at a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Annotation {
    /// How bad.
    pub level: AnnotationLevel,
    /// What.
    pub message: String,
    /// `title`.
    pub title: Option<String>,
    /// `file`.
    pub file: Option<String>,
    /// `line`, from 1.
    pub line: Option<u32>,
    /// `endLine`.
    pub end_line: Option<u32>,
    /// `col`, from 1.
    pub col: Option<u32>,
    /// `endColumn`.
    pub end_col: Option<u32>,
}
