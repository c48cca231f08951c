//! The state of a run: a fold of its events.
//!
//! ```text
//! leg:  JobExpanded            JobPending
//!            │ ┌──────────────────▶ Pending ──┐
//!            ▼ │                              ▼
//!         Expanded ──────────────────────▶ Queued ◀──────────────┐ JobQueued
//!            │                                │ JobLeased        │
//!            │ CallOpened                     ▼                  │
//!            ▼               LeaseExpired  Leased ───────────▶ Lost
//!           Open                              │ Reported(Finished)
//!            │                                ▼
//!            │                              Ended
//!            └──────── JobFinished ◀──────────┘        (from every phase)
//! run:  RunQueued ──▶ … ──▶ RunFinished
//! ```
//!
//! Invariants: [`RunState::apply`] is total. An event that its state does not admit changes nothing: a duplicate, a
//! report under a lease that is over, anything after `RunFinished`. A leg finishes once; a lease is held once.

use std::collections::HashSet;

use indexmap::IndexMap;
use workflow::expr::{Object, Value};
use workflow::plan::Concurrency;

use crate::event::{Event, EventKind, JobEvent, Leg};
use crate::id::{JobId, LeaseId, RunnerId};
use crate::job::Resume;
use crate::lease::Cancel;
use crate::status::Conclusion;

/// A run as its events left it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunState {
    sequence: u64,
    queued: bool,
    groups: IndexMap<JobId, GroupState>,
    jobs: IndexMap<JobId, JobState>,
    leases: HashSet<LeaseId>,
    finished_jobs: u64,
    resume: Option<Resume>,
    cancel: Option<CancelRequest>,
    conclusion: Option<Conclusion>,
}

/// A job with all its legs.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupState {
    /// Its legs in order.
    pub legs: Vec<JobId>,
    /// Whether a failed leg cancels the others.
    pub fail_fast: bool,
    /// How many legs may run at a time.
    pub max_parallel: Option<u32>,
    /// How many legs the matrix has.
    pub total: u32,
}

/// One leg.
#[derive(Clone, Debug, PartialEq)]
pub struct JobState {
    /// The evaluated name.
    pub name: String,
    /// The leg's `matrix`; null without one.
    pub matrix: Value,
    /// The leg's place in its matrix.
    pub index: u32,
    /// The leg's concurrency group.
    pub concurrency: Option<Concurrency>,
    /// Where it stands.
    pub phase: JobPhase,
    /// The hardest request to end it.
    pub cancel: Option<CancelRequest>,
    /// How often it was leased.
    pub leases: u32,
    /// The evaluated `continue-on-error`.
    pub continue_on_error: bool,
}

/// A request to end a run or a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CancelRequest {
    /// How hard.
    pub cancel: Cancel,
    /// Why, for people.
    pub reason: String,
}

/// Where a leg stands.
#[derive(Clone, Debug, PartialEq)]
pub enum JobPhase {
    /// Known, and not yet asked for.
    Expanded,
    /// Waits for its concurrency group.
    Pending,
    /// Calls a workflow whose jobs may run.
    Open {
        /// The called workflow's `inputs`.
        inputs: Value,
    },
    /// Waits for a runner.
    Queued,
    /// A runner holds it.
    Leased {
        /// The hold.
        lease: LeaseId,
        /// Who holds it.
        runner: RunnerId,
        /// Whether the runner has begun.
        started: bool,
    },
    /// Its runner is gone.
    Lost {
        /// Whether the runner had begun.
        started: bool,
        /// Why, for people.
        reason: String,
    },
    /// Its runner is done with it.
    Ended {
        /// Before `continue-on-error`.
        conclusion: Conclusion,
        /// Its outputs.
        outputs: IndexMap<String, String>,
        /// Why, where no step says so.
        error: Option<String>,
    },
    /// It is over.
    Finished {
        /// As in `needs.X.result`.
        conclusion: Conclusion,
        /// Whether `continue-on-error` made a failure a success.
        tolerated: bool,
        /// Its outputs.
        outputs: IndexMap<String, String>,
        /// Its place among the finished jobs of the run, from 0.
        order: u64,
    },
}

impl JobPhase {
    /// Whether the job takes a place: it was asked for and is not over.
    #[must_use]
    pub fn is_active(&self) -> bool {
        !matches!(self, Self::Expanded | Self::Pending | Self::Finished { .. })
    }

    /// Whether the job is over.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        matches!(self, Self::Finished { .. })
    }

    fn is_leased_as(&self, wanted: &LeaseId) -> bool {
        matches!(self, Self::Leased { lease, .. } if lease == wanted)
    }
}

/// How a job with all its legs ended, as in `needs` and `jobs`.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupResult {
    /// `result`.
    pub conclusion: Conclusion,
    /// `outputs`: of several legs the one that finished last wins; an empty text never does.
    pub outputs: Object,
}

impl RunState {
    /// The state after these events.
    pub fn from_events<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut state = Self::default();
        for event in events {
            state.apply(event);
        }
        state
    }

    /// The number of the last event.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// How the run ended, once it has.
    #[must_use]
    pub fn conclusion(&self) -> Option<Conclusion> {
        self.conclusion
    }

    /// The hardest request to end the whole run.
    #[must_use]
    pub fn cancel(&self) -> Option<&CancelRequest> {
        self.cancel.as_ref()
    }

    /// Where a step of another run is gone on from.
    #[must_use]
    pub fn resume(&self) -> Option<&Resume> {
        self.resume.as_ref()
    }

    /// Whether the run exists.
    #[must_use]
    pub fn is_queued(&self) -> bool {
        self.queued
    }

    /// A leg.
    #[must_use]
    pub fn job(&self, job: &JobId) -> Option<&JobState> {
        self.jobs.get(job)
    }

    /// All known legs in the order in which they became known.
    pub fn jobs(&self) -> impl ExactSizeIterator<Item = (&JobId, &JobState)> {
        self.jobs.iter()
    }

    /// A job with its legs.
    #[must_use]
    pub fn group(&self, group: &JobId) -> Option<&GroupState> {
        self.groups.get(group)
    }

    /// How the job ended; `None` while a leg of it runs or it is not known.
    #[must_use]
    pub fn result(&self, group: &JobId) -> Option<GroupResult> {
        let legs = &self.groups.get(group)?.legs;
        let mut ends = Vec::with_capacity(legs.len());
        for leg in legs {
            match &self.jobs.get(leg)?.phase {
                JobPhase::Finished { conclusion, outputs, order, .. } => {
                    ends.push((order, conclusion, outputs))
                }
                _ => return None,
            }
        }
        ends.sort_unstable_by_key(|(order, ..)| **order);
        let mut outputs = Object::new();
        for (_, _, leg) in &ends {
            let filled = leg.iter().filter(|(_, value)| !value.is_empty());
            outputs.extend(filled.map(|(name, value)| (name.as_str(), value.as_str())));
        }
        Some(GroupResult { conclusion: Conclusion::of_all(ends.iter().map(|end| *end.1)), outputs })
    }

    /// Whether the event fits the state; one that does not changes nothing.
    #[must_use]
    pub fn accepts(&self, kind: &EventKind) -> bool {
        if self.conclusion.is_some() || self.queued == matches!(kind, EventKind::RunQueued { .. }) {
            return false;
        }
        let phase = |job: &JobId| self.jobs.get(job).map(|job| &job.phase);
        match kind {
            EventKind::RunQueued { .. } | EventKind::RunFinished { .. } => true,
            EventKind::RunResumed { .. } => self.resume.is_none() && self.jobs.is_empty(),
            EventKind::JobExpanded { group, legs, .. } => {
                !self.groups.contains_key(group) && legs.iter().all(|leg| !self.jobs.contains_key(&leg.job))
            }
            EventKind::JobPending { job, .. } => phase(job) == Some(&JobPhase::Expanded),
            EventKind::CallOpened { job, .. } => {
                matches!(phase(job), Some(JobPhase::Expanded | JobPhase::Pending))
            }
            EventKind::JobQueued { spec } => {
                matches!(
                    phase(&spec.job),
                    Some(JobPhase::Expanded | JobPhase::Pending | JobPhase::Lost { .. })
                )
            }
            EventKind::JobLeased { job, lease, .. } => {
                phase(job) == Some(&JobPhase::Queued) && !self.leases.contains(lease)
            }
            EventKind::Reported { job, lease, .. } | EventKind::LeaseExpired { job, lease, .. } => {
                phase(job).is_some_and(|phase| phase.is_leased_as(lease))
            }
            EventKind::CancelRequested { job: None, cancel, .. } => is_harder(*cancel, self.cancel.as_ref()),
            EventKind::CancelRequested { job: Some(job), cancel, .. } => {
                let job = self.jobs.get(job).filter(|job| !job.phase.is_finished());
                job.is_some_and(|job| is_harder(*cancel, job.cancel.as_ref()))
            }
            EventKind::JobFinished { job, .. } => match phase(job) {
                Some(phase) => !phase.is_finished(),
                None => !self.groups.contains_key(job),
            },
        }
    }

    /// Takes the event in. One that the state does not admit, or that was applied before, changes nothing.
    pub fn apply(&mut self, event: &Event) {
        if event.sequence <= self.sequence {
            return;
        }
        self.sequence = event.sequence;
        if self.accepts(&event.kind) {
            self.take(&event.kind);
        }
    }

    fn take(&mut self, kind: &EventKind) {
        match kind {
            EventKind::RunQueued { .. } => self.queued = true,
            EventKind::RunResumed { resume, .. } => self.resume = Some(resume.clone()),
            EventKind::RunFinished { conclusion, .. } => self.conclusion = Some(*conclusion),
            EventKind::JobExpanded { group, legs, fail_fast, max_parallel, total } => {
                let ids = legs.iter().map(|leg| leg.job.clone()).collect();
                let (fail_fast, max_parallel, total) = (*fail_fast, *max_parallel, *total);
                self.groups.insert(group.clone(), GroupState { legs: ids, fail_fast, max_parallel, total });
                self.jobs.extend(legs.iter().map(|leg| (leg.job.clone(), JobState::new(leg))));
            }
            EventKind::JobPending { job, .. } => self.enter(job, JobPhase::Pending),
            EventKind::CallOpened { job, inputs } => {
                self.enter(job, JobPhase::Open { inputs: inputs.clone() })
            }
            EventKind::JobQueued { spec } => {
                self.enter(&spec.job, JobPhase::Queued);
                if let Some(job) = self.jobs.get_mut(&spec.job) {
                    job.continue_on_error = spec.continue_on_error;
                }
            }
            EventKind::JobLeased { job, lease, runner } => {
                self.leases.insert(lease.clone());
                let (lease, runner) = (lease.clone(), runner.clone());
                self.enter(job, JobPhase::Leased { lease, runner, started: false });
                if let Some(job) = self.jobs.get_mut(job) {
                    job.leases += 1;
                }
            }
            EventKind::Reported { job, event, .. } => self.report(job, event),
            EventKind::LeaseExpired { job, reason, .. } => self.lose(job, reason),
            EventKind::CancelRequested { job, cancel, reason } => {
                let request = Some(CancelRequest { cancel: *cancel, reason: reason.clone() });
                match job.as_ref().map(|job| self.jobs.get_mut(job)) {
                    None => self.cancel = request,
                    Some(Some(job)) => job.cancel = request,
                    Some(None) => {}
                }
            }
            EventKind::JobFinished { job, name, conclusion, tolerated, outputs, .. } => {
                let (conclusion, tolerated, outputs) = (*conclusion, *tolerated, outputs.clone());
                let order = self.finished_jobs;
                self.finished_jobs += 1;
                self.known(job, name).phase = JobPhase::Finished { conclusion, tolerated, outputs, order };
            }
        }
    }

    fn enter(&mut self, job: &JobId, phase: JobPhase) {
        if let Some(job) = self.jobs.get_mut(job) {
            job.phase = phase;
        }
    }

    fn report(&mut self, job: &JobId, event: &JobEvent) {
        let Some(job) = self.jobs.get_mut(job) else { return };
        match event {
            JobEvent::Finished { conclusion, outputs, error, .. } => {
                let (conclusion, outputs, error) = (*conclusion, outputs.clone(), error.clone());
                job.phase = JobPhase::Ended { conclusion, outputs, error };
            }
            // Whatever a runner says shows that it has begun.
            _ => {
                if let JobPhase::Leased { started, .. } = &mut job.phase {
                    *started = true;
                }
            }
        }
    }

    fn lose(&mut self, job: &JobId, reason: &str) {
        if let Some(job) = self.jobs.get_mut(job)
            && let JobPhase::Leased { started, .. } = job.phase
        {
            job.phase = JobPhase::Lost { started, reason: reason.to_owned() };
        }
    }

    /// The leg; a job that ends before it is expanded becomes its own only leg.
    fn known(&mut self, job: &JobId, name: &str) -> &mut JobState {
        self.jobs.entry(job.clone()).or_insert_with(|| {
            let legs = vec![job.clone()];
            let group = GroupState { legs, fail_fast: false, max_parallel: None, total: 1 };
            self.groups.insert(job.clone(), group);
            let (job, name) = (job.clone(), name.to_owned());
            JobState::new(&Leg { job, name, matrix: Value::Null, index: 0, concurrency: None })
        })
    }
}

impl JobState {
    fn new(leg: &Leg) -> Self {
        Self {
            name: leg.name.clone(),
            matrix: leg.matrix.clone(),
            index: leg.index,
            concurrency: leg.concurrency.clone(),
            phase: JobPhase::Expanded,
            cancel: None,
            leases: 0,
            continue_on_error: false,
        }
    }
}

fn is_harder(cancel: Cancel, known: Option<&CancelRequest>) -> bool {
    known.is_none_or(|known| cancel > known.cancel)
}
