//! A run that has not ended, in memory: its plan, its state and what both lead to.
//!
//! A [`Turn`] gathers what one or several requests change; the task keeps it or, when that fails, throws this state
//! away with it. Nothing here waits or writes.

use std::collections::HashMap;

use run::decide::{advance, leads_on};
use run::event::{Event, EventKind, JobEvent, Reported, Timestamp};
use run::id::{JobId, LeaseId, RunId, RunnerId};
use run::job::JobSpec;
use run::lease::{Cancel, Lease};
use run::secrets::secrets_of;
use run::state::{JobPhase, RunState};
use run::status::Conclusion;
use store::{Change, CheckpointRow, HeldLease};
use workflow::plan::{EvaluationError, Plan};

use crate::error::ReportError;
use crate::labels::Labels;
use crate::queue::{Unserved, Waiting};
use crate::submit;

/// A run that has not ended.
#[derive(Debug)]
pub(crate) struct LiveRun {
    run: RunId,
    plan: Plan,
    state: RunState,
    /// What waits for a runner.
    waiting: HashMap<JobId, Box<JobSpec>>,
    /// What a runner holds, with how many of its events were taken.
    held: HashMap<LeaseId, (JobId, u64)>,
    /// How many events were taken under leases that ended since this was made.
    ended: HashMap<LeaseId, u64>,
    started: bool,
    /// What the runners serve, where that is known: a job that needs more fails.
    served: Option<Labels>,
}

/// What requests change, not kept yet.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    pub(crate) after: u64,
    pub(crate) events: Vec<Event>,
    pub(crate) changes: Vec<Change>,
    /// What waits for a runner since, and what does not any more, in order.
    pub(crate) queue: Vec<QueueChange>,
    pub(crate) ended: Vec<LeaseId>,
    pub(crate) unserved: Vec<Unserved>,
}

#[derive(Debug)]
pub(crate) enum QueueChange {
    Add(Waiting),
    Remove(JobId),
}

/// When a request happens, and until when a hold lasts that is renewed by it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) now: Timestamp,
    pub(crate) expires: Option<Timestamp>,
}

impl LiveRun {
    /// A run without events.
    pub(crate) fn new(run: RunId, plan: Plan, served: Option<Labels>) -> Self {
        Self {
            run,
            plan,
            state: RunState::default(),
            waiting: HashMap::new(),
            held: HashMap::new(),
            ended: HashMap::new(),
            started: false,
            served,
        }
    }

    /// Takes in an event that is kept.
    pub(crate) fn replay(&mut self, event: &Event) {
        self.state.apply(event);
        self.note(event, &mut Turn::default());
    }

    /// Takes in the leases that are kept, once all events are replayed.
    pub(crate) fn hold(&mut self, leases: Vec<HeldLease>) {
        self.held = leases.into_iter().map(|held| (held.lease, (held.job, held.taken))).collect();
        self.ended.clear();
    }

    pub(crate) fn turn(&self) -> Turn {
        Turn { after: self.state.sequence(), ..Turn::default() }
    }

    pub(crate) fn conclusion(&self) -> Option<Conclusion> {
        self.state.conclusion()
    }

    /// The leases that somebody holds, each with the hardest request to end its job.
    pub(crate) fn held(&self) -> impl Iterator<Item = (&LeaseId, Option<Cancel>)> {
        self.held.iter().map(|(lease, (job, _))| {
            let request = self.state.job(job).and_then(|job| job.cancel.as_ref());
            (lease, request.map(|request| request.cancel))
        })
    }

    /// The run begins, with what it takes over from another one.
    pub(crate) fn begin(&mut self, turn: &mut Turn, now: Timestamp, taken_over: Vec<EventKind>) {
        self.record(turn, now, submit::first_event(&self.plan));
        taken_over.into_iter().for_each(|kind| self.record(turn, now, kind));
        self.settle(turn, now);
    }

    /// Gives the job to a runner. `None` when it does not wait, or not any more because its secrets cannot be told.
    pub(crate) fn lease(
        &mut self,
        turn: &mut Turn,
        moment: Moment,
        (job, runner, id): (&JobId, &RunnerId, LeaseId),
        secrets: &[(String, String)],
    ) -> Option<Lease> {
        if !self.waiting.contains_key(job) {
            return None;
        }
        let secrets = match secrets_of(&self.plan, &self.state, job, secrets) {
            Ok(secrets) => secrets,
            Err(EvaluationError { place, message: _ }) => {
                // An expression that fails quotes what it fails on, which is secret here.
                let reason = format!("{place}: the secrets of this call cannot be evaluated");
                self.fail(turn, moment.now, job, reason);
                self.settle(turn, moment.now);
                return None;
            }
        };
        let spec = self.waiting.remove(job)?;
        let (held, runner) = (id.clone(), runner.clone());
        turn.changes.push(Change::Claim {
            job: job.clone(),
            lease: held.clone(),
            runner: runner.clone(),
            expires: moment.expires,
        });
        if !self.started {
            turn.changes.push(Change::Start { at: moment.now });
        }
        self.record(turn, moment.now, EventKind::JobLeased { job: job.clone(), lease: held, runner });
        Some(Lease { id, spec: *spec, secrets })
    }

    /// Takes in what a runner says, from the first event on that was not taken yet.
    pub(crate) fn report(
        &mut self,
        turn: &mut Turn,
        moment: Moment,
        lease: &LeaseId,
        first: u64,
        events: Vec<Reported>,
    ) -> Result<(), ReportError> {
        let last = first.saturating_add(events.len() as u64);
        if self.ended.get(lease).is_some_and(|taken| last <= *taken) {
            return Ok(());
        }
        let Some((job, taken)) = self.held.get(lease).cloned() else {
            return Err(ReportError::LeaseOver(lease.clone()));
        };
        if first > taken {
            return Err(ReportError::Gap { lease: lease.clone(), taken, first });
        }
        let known = usize::try_from(taken - first).unwrap_or(usize::MAX);
        let mut leads_on_from_here = false;
        for Reported { at, event } in events.into_iter().skip(known) {
            let kind = EventKind::Reported { job: job.clone(), lease: lease.clone(), event };
            leads_on_from_here |= leads_on(&kind);
            self.record(turn, at, kind);
        }
        let taken = last.max(taken);
        self.held.insert(lease.clone(), (job, taken));
        turn.changes.push(Change::Taken { lease: lease.clone(), taken, expires: moment.expires });
        if leads_on_from_here {
            self.settle(turn, moment.now);
        }
        Ok(())
    }

    /// Somebody asks to end the run.
    pub(crate) fn cancel(&mut self, turn: &mut Turn, now: Timestamp, cancel: Cancel, reason: String) {
        self.record(turn, now, EventKind::CancelRequested { job: None, cancel, reason });
        self.settle(turn, now);
    }

    /// The runner that holds the lease is gone.
    pub(crate) fn lose(&mut self, turn: &mut Turn, now: Timestamp, lease: &LeaseId, reason: String) {
        let Some((job, _)) = self.held.get(lease) else { return };
        let expired = EventKind::LeaseExpired { job: job.clone(), lease: lease.clone(), reason };
        self.record(turn, now, expired);
        self.settle(turn, now);
    }

    /// Lets everything follow, and fails the jobs that nobody serves.
    fn settle(&mut self, turn: &mut Turn, now: Timestamp) {
        loop {
            let before = turn.queue.len();
            for event in advance(&self.plan, &self.run, &mut self.state, now) {
                self.note(&event, turn);
                turn.events.push(event);
            }
            let unserved = self.unserved(&turn.queue[before..]);
            if unserved.is_empty() {
                return;
            }
            for job in unserved {
                self.fail(turn, now, &job.job, no_machine(&job.labels));
                turn.unserved.push(job);
            }
        }
    }

    /// Those of the jobs that wait since which nobody serves, with the labels that are missing.
    fn unserved(&self, changes: &[QueueChange]) -> Vec<Unserved> {
        let Some(served) = &self.served else { return Vec::new() };
        let new = changes.iter().filter_map(|change| match change {
            QueueChange::Add(waiting) => Some(waiting),
            QueueChange::Remove(_) => None,
        });
        new.filter(|waiting| !served.serve(&waiting.labels) && self.waiting.contains_key(&waiting.job))
            .map(|waiting| Unserved {
                run: waiting.run.clone(),
                job: waiting.job.clone(),
                labels: served.missing(&waiting.labels).into_iter().map(ToOwned::to_owned).collect(),
            })
            .collect()
    }

    /// The job fails before a runner had it.
    fn fail(&mut self, turn: &mut Turn, now: Timestamp, job: &JobId, reason: String) {
        let Some(state) = self.state.job(job) else { return };
        let tolerated = state.continue_on_error;
        let finished = EventKind::JobFinished {
            job: job.clone(),
            name: state.name.clone(),
            conclusion: if tolerated { Conclusion::Success } else { Conclusion::Failure },
            tolerated,
            outputs: [].into_iter().collect(),
            reason: Some(reason),
        };
        self.record(turn, now, finished);
    }

    /// Appends the event, if the state admits it.
    fn record(&mut self, turn: &mut Turn, at: Timestamp, kind: EventKind) {
        if !self.state.accepts(&kind) {
            return;
        }
        let event = Event { sequence: self.state.sequence() + 1, at, kind };
        self.state.apply(&event);
        self.note(&event, turn);
        turn.events.push(event);
    }

    /// What an event that was applied means for the queue, the leases and the run's row.
    fn note(&mut self, event: &Event, turn: &mut Turn) {
        let at = event.at;
        match &event.kind {
            EventKind::JobQueued { spec } => {
                let (job, labels) = (spec.job.clone(), spec.labels.clone());
                turn.queue.push(QueueChange::Add(Waiting {
                    run: self.run.clone(),
                    job: job.clone(),
                    labels: labels.clone(),
                }));
                self.waiting.insert(job.clone(), spec.clone());
                turn.changes.push(Change::Enqueue { job, labels, at });
            }
            EventKind::JobLeased { job, lease, .. } => {
                self.started = true;
                self.waiting.remove(job);
                self.held.insert(lease.clone(), (job.clone(), 0));
                turn.queue.push(QueueChange::Remove(job.clone()));
            }
            EventKind::LeaseExpired { lease, .. } => self.release(lease.clone(), turn),
            EventKind::JobFinished { job, .. } => {
                if self.waiting.remove(job).is_some() {
                    turn.changes.push(Change::Dequeue { job: job.clone() });
                    turn.queue.push(QueueChange::Remove(job.clone()));
                }
                let lease = self.held.iter().find(|(_, held)| held.0 == *job).map(|(lease, _)| lease.clone());
                if let Some(lease) = lease {
                    self.release(lease, turn);
                }
            }
            EventKind::RunFinished { conclusion, reason } => {
                turn.changes.push(Change::Finish { at, conclusion: *conclusion, reason: reason.clone() })
            }
            EventKind::Reported { job, event, .. } => {
                turn.changes.extend(checkpoint_change(&self.run, job, event, at));
            }
            EventKind::RunQueued { .. }
            | EventKind::RunResumed { .. }
            | EventKind::JobExpanded { .. }
            | EventKind::JobPending { .. }
            | EventKind::CallOpened { .. }
            | EventKind::CancelRequested { .. } => {}
        }
    }

    fn release(&mut self, lease: LeaseId, turn: &mut Turn) {
        if let Some((_, taken)) = self.held.remove(&lease) {
            turn.changes.push(Change::Release { lease: lease.clone() });
            turn.ended.push(lease.clone());
            self.ended.insert(lease, taken);
        }
    }
}

/// What a runner's words mean for the checkpoints that there are.
fn checkpoint_change(run: &RunId, job: &JobId, event: &JobEvent, at: Timestamp) -> Option<Change> {
    match event {
        JobEvent::CheckpointKept { step, checkpoint, kind, bytes } => Some(Change::Keep(CheckpointRow {
            id: checkpoint.clone(),
            run: run.clone(),
            job: job.clone(),
            step: *step,
            kind: *kind,
            bytes: *bytes,
            kept: at,
        })),
        JobEvent::CheckpointDropped { checkpoint, .. } => {
            Some(Change::Drop { checkpoint: checkpoint.clone() })
        }
        _ => None,
    }
}

/// The events that end a run whose owner is gone, with what they change. Needs no plan: nothing is decided any more.
pub(crate) fn abandon(mut state: RunState, leases: &[HeldLease], now: Timestamp, reason: &str) -> Turn {
    let mut turn = Turn { after: state.sequence(), ..Turn::default() };
    let mut append = |state: &mut RunState, kind: EventKind| {
        if state.accepts(&kind) {
            let event = Event { sequence: state.sequence() + 1, at: now, kind };
            state.apply(&event);
            turn.events.push(event);
        }
    };
    for HeldLease { lease, job, .. } in leases {
        let (job, lease, reason) = (job.clone(), lease.clone(), reason.to_owned());
        append(&mut state, EventKind::LeaseExpired { job, lease, reason });
    }
    let open: Vec<EventKind> = state
        .jobs()
        .filter(|(_, job)| !job.phase.is_finished())
        .map(|(id, job)| EventKind::JobFinished {
            job: id.clone(),
            name: job.name.clone(),
            conclusion: if has_begun(&job.phase) { Conclusion::Failure } else { Conclusion::Cancelled },
            tolerated: false,
            outputs: [].into_iter().collect(),
            reason: Some(reason.to_owned()),
        })
        .collect();
    for kind in open {
        append(&mut state, kind);
    }
    let (conclusion, reason) = (Conclusion::Failure, Some(reason.to_owned()));
    append(&mut state, EventKind::RunFinished { conclusion, reason: reason.clone() });
    turn.changes = leases.iter().map(|held| Change::Release { lease: held.lease.clone() }).collect();
    turn.changes.push(Change::Finish { at: now, conclusion, reason });
    turn
}

fn has_begun(phase: &JobPhase) -> bool {
    !matches!(phase, JobPhase::Expanded | JobPhase::Pending | JobPhase::Queued)
}

fn no_machine(missing: &[String]) -> String {
    match missing {
        [] => "no machine here serves a job without labels".to_owned(),
        [label] => format!("no machine here serves the label `{label}`"),
        labels => {
            let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
            format!("no machine here serves the labels {}", labels.join(", "))
        }
    }
}
