//! What must happen next in a run.
//!
//! [`decide`] looks at a plan and a state and says which events follow; [`advance`] appends them until nothing follows
//! any more. Both are pure and idempotent: what a decision led to is an event, so it is taken once.
//!
//! A job starts when all that it needs is over and its `if` holds; its legs then take their places within
//! `max-parallel` and their concurrency groups. A request to end the run becomes a request to each job whose `if` does
//! not hold in a cancelled run. A job whose runner is lost is queued again only if the runner had not begun.

mod concurrency;
mod finish;
mod leg;

use indexmap::IndexMap;
use workflow::expr::{Contexts, Value};
use workflow::matrix::{self, Strategy};
use workflow::model::Job;
use workflow::plan::{EvaluationError, Plan};

use crate::event::{Event, EventKind, JobEvent, Leg, Timestamp};
use crate::id::{JobId, RunId};
use crate::lease::Cancel;
use crate::scope::{Scope, leg_contexts};
use crate::state::RunState;
use crate::status::Conclusion;

use concurrency::Groups;

/// How often a job whose runner did not begin is given to another one.
pub const MAX_LEASES: u32 = 3;

/// The most legs of one run, those of called workflows included.
pub const MAX_RUN_JOBS: usize = 16_384;

/// The events that follow from the state: all that can be decided now. Empty when nothing can before another event.
#[must_use]
pub fn decide(plan: &Plan, run: &RunId, state: &RunState) -> Vec<EventKind> {
    if !state.is_queued() || state.conclusion().is_some() {
        return Vec::new();
    }
    let mut decision = Decision { run, state, groups: Groups::default(), events: Vec::new() };
    let root = Scope::root(plan, state);
    decision.workflow(&root);
    if decision.events.is_empty() {
        decision.events.extend(finish::run(&root));
    }
    decision.events
}

/// Appends what follows to the run until nothing does, and returns the new events, stamped `at`.
pub fn advance(plan: &Plan, run: &RunId, state: &mut RunState, at: Timestamp) -> Vec<Event> {
    let mut appended = Vec::new();
    loop {
        let before = appended.len();
        for kind in decide(plan, run, state) {
            if state.accepts(&kind) {
                let event = Event { sequence: state.sequence() + 1, at, kind };
                state.apply(&event);
                appended.push(event);
            }
        }
        if appended.len() == before {
            return appended;
        }
    }
}

/// Whether anything can follow from the event: not from a runner's words on its way.
#[must_use]
pub fn leads_on(kind: &EventKind) -> bool {
    !matches!(kind, EventKind::Reported { event, .. } if !matches!(event, JobEvent::Finished { .. }))
}

/// One pass over the run. Each job and leg gets at most one event in it, from the state before the pass.
struct Decision<'a> {
    run: &'a RunId,
    state: &'a RunState,
    groups: Groups,
    events: Vec<EventKind>,
}

impl Decision<'_> {
    fn workflow(&mut self, scope: &Scope<'_>) {
        for job in scope.jobs() {
            let group = scope.group_id(job);
            if self.state.group(&group).is_some() {
                self.legs(scope, job, &group);
            } else if scope.is_ready(job) {
                let event = self.start(scope, job, group);
                self.events.push(event);
            }
        }
    }

    /// The end of a job that does not run, or its legs.
    fn start(&self, scope: &Scope<'_>, job: &Job, group: JobId) -> EventKind {
        let contexts = scope.contexts(job);
        let name = scope.planned.name_without_leg(job, &contexts);
        if scope.cancel == Some(Cancel::Now) {
            return finish::event(&group, &name, Conclusion::Cancelled, None);
        }
        match scope.condition_holds(job, &contexts, scope.cancel) {
            Ok(true) => {}
            Ok(false) => return finish::event(&group, &name, Conclusion::Skipped, None),
            Err(error) => return finish::failure(&group, &name, error.to_string()),
        }
        self.expand(scope, job, &group, &contexts)
            .unwrap_or_else(|error| finish::failure(&group, &name, error.to_string()))
    }

    fn expand(
        &self,
        scope: &Scope<'_>,
        job: &Job,
        group: &JobId,
        contexts: &Contexts,
    ) -> Result<EventKind, EvaluationError> {
        let Strategy { legs, fail_fast, max_parallel } = scope.planned.strategy(job, contexts)?;
        if self.state.jobs().len() + legs.len() > MAX_RUN_JOBS {
            return Err(scope
                .planned
                .error(job.id.span, format!("the run has more than {MAX_RUN_JOBS} jobs")));
        }
        let total = u32::try_from(legs.len()).unwrap_or(u32::MAX);
        let kept = (0..total).zip(&legs).filter(|(_, leg)| scope.plan.selection.keeps(&leg.matrix));
        let leg = |(index, leg): (u32, &matrix::Leg)| {
            let matrix = &leg.matrix;
            let contexts = leg_contexts(contexts, matrix, (fail_fast, max_parallel), (index, total));
            let id = if *matrix == Value::Null { group.clone() } else { JobId(format!("{group}[{index}]")) };
            Ok(Leg {
                job: id,
                name: scope.planned.job_name(job, &leg.name_parts, &contexts)?,
                matrix: matrix.clone(),
                index,
                concurrency: scope.planned.concurrency(job, &contexts)?,
            })
        };
        let legs = kept.map(leg).collect::<Result<Vec<Leg>, EvaluationError>>()?;
        Ok(EventKind::JobExpanded { group: group.clone(), legs, fail_fast, max_parallel, total })
    }
}

/// No outputs.
fn nothing() -> IndexMap<String, String> {
    IndexMap::new()
}
