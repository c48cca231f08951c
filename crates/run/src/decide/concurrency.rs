//! Concurrency groups within one run: one job holds a group, the others wait.

use std::collections::HashSet;

use workflow::plan::{Concurrency, Queue};

use crate::event::EventKind;
use crate::id::JobId;
use crate::lease::Cancel;
use crate::state::{JobPhase, JobState, RunState};

/// The groups that one pass has changed; a second job must see the first one's events before it asks.
#[derive(Debug, Default)]
pub(super) struct Groups {
    changed: HashSet<String>,
}

/// What a job gets that asks for its group.
#[derive(Debug)]
pub(super) enum Turn {
    /// It may start.
    Now,
    /// It waits; these events say so, none where they were said.
    Later(Vec<EventKind>),
}

impl Groups {
    /// Asks for the group of a leg that is expanded or pending.
    pub(super) fn ask(&mut self, state: &RunState, leg: &JobId, job: &JobState) -> Turn {
        let Some(concurrency) = &job.concurrency else { return Turn::Now };
        if !self.changed.insert(concurrency.group.to_lowercase()) {
            return Turn::Later(Vec::new());
        }
        let rivals: Vec<(&JobId, &JobState)> = state
            .jobs()
            .filter(|(id, rival)| {
                *id != leg && is_same_group(rival, concurrency) && !outranks(leg, id, rival)
            })
            .collect();
        let newcomer = job.phase == JobPhase::Expanded;
        let blocks =
            |rival: &JobState| rival.phase.is_active() || newcomer && rival.phase == JobPhase::Pending;
        if !rivals.iter().any(|(_, rival)| blocks(rival)) {
            return Turn::Now;
        }
        if !newcomer {
            // Somebody who asks again leaves the group to those who come later in the same pass.
            self.changed.remove(&concurrency.group.to_lowercase());
            return Turn::Later(Vec::new());
        }
        let ended = rivals.iter().filter(|(_, rival)| is_displaced(rival, concurrency));
        let mut events: Vec<EventKind> = ended.map(|(id, _)| displaced(id, concurrency)).collect();
        events.push(EventKind::JobPending { job: leg.clone(), group: concurrency.group.clone() });
        Turn::Later(events)
    }
}

fn is_same_group(rival: &JobState, concurrency: &Concurrency) -> bool {
    let theirs = rival.concurrency.as_ref();
    theirs.is_some_and(|theirs| theirs.group.to_lowercase() == concurrency.group.to_lowercase())
}

/// Whether the leg need not wait for the rival: its own caller, or, inside of a call, any open call. Else calls could wait
/// for each other's jobs for ever.
fn outranks(leg: &JobId, id: &JobId, rival: &JobState) -> bool {
    id.calls(leg) || leg.0.contains('/') && matches!(rival.phase, JobPhase::Open { .. })
}

/// Whether a newcomer ends the rival: the one that waits, and with `cancel-in-progress` the one that runs.
fn is_displaced(rival: &JobState, concurrency: &Concurrency) -> bool {
    if rival.cancel.is_some() {
        return false;
    }
    match rival.phase {
        JobPhase::Pending => concurrency.queue == Queue::Single,
        _ => concurrency.cancel_in_progress && rival.phase.is_active(),
    }
}

fn displaced(job: &JobId, concurrency: &Concurrency) -> EventKind {
    EventKind::CancelRequested {
        job: Some(job.clone()),
        cancel: Cancel::Graceful,
        reason: format!(
            "Canceling since a higher priority waiting request for '{}' exists",
            concurrency.group
        ),
    }
}
