//! What a run takes over from another one where it goes on from a step of it.
//!
//! The job goes on, or attempts of one step of it take its place. Jobs that it does not lead to are as they ended; those that it
//! leads to begin anew. A job that was cancelled, and what that leads to, begins anew as well: nobody knows what would have
//! come of it.

use indexmap::IndexSet;
use workflow::model::{Job, JobKind, Steps};
use workflow::plan::{Plan, PlannedWorkflow};

use crate::event::{Event, EventKind, Leg};
use crate::id::{JobId, RunId};
use crate::job::{Extent, Resume};
use crate::state::{JobPhase, RunState};
use crate::status::Conclusion;

/// The most attempts of one step.
pub const MAX_ATTEMPTS: u32 = 10_000;

/// The events that follow the first one of a run which goes on from a step of the run `from`, whose events these are. `plan` is
/// the new run's; where only the step runs, it runs so many times.
#[must_use]
pub fn take_over(
    plan: &Plan,
    from: &RunId,
    events: &[Event],
    resume: &Resume,
    attempts: u32,
) -> Vec<EventKind> {
    let state = RunState::from_events(events);
    let path = Path::new(plan, &state, &resume.job);
    let mut kinds = vec![EventKind::RunResumed { resume: resume.clone(), from: from.clone() }];
    for event in events {
        match &event.kind {
            EventKind::JobExpanded { group, legs, fail_fast, max_parallel, total } => {
                let is_own = resume.extent == Extent::Step && legs.iter().any(|leg| leg.job == resume.job);
                if is_own {
                    kinds.push(attempts_of(group, legs, resume, *total, attempts));
                } else if path.keeps(group) {
                    let (group, legs) = (group.clone(), legs.clone());
                    let (fail_fast, max_parallel, total) = (*fail_fast, *max_parallel, *total);
                    kinds.push(EventKind::JobExpanded { group, legs, fail_fast, max_parallel, total });
                }
            }
            EventKind::CallOpened { job, .. } if path.keeps(job) => kinds.push(event.kind.clone()),
            EventKind::JobFinished { job, name, conclusion, tolerated, outputs, reason } => {
                let is_sibling = resume.extent == Extent::Step && path.is_own_group(job);
                if path.has_ended(job) && !is_sibling {
                    kinds.push(EventKind::JobFinished {
                        job: job.clone(),
                        name: name.clone(),
                        conclusion: *conclusion,
                        tolerated: *tolerated,
                        outputs: outputs.clone(),
                        reason: reason.clone().or_else(|| Some(format!("taken over from run {from}"))),
                    });
                }
            }
            _ => {}
        }
    }
    if resume.extent == Extent::Step {
        kinds.extend(path.left_out());
    }
    kinds
}

/// The definition of a job with steps; none where the plan has no such job.
#[must_use]
pub fn definition<'a>(plan: &'a Plan, job: &JobId) -> Option<&'a Steps> {
    let mut workflow = Some(&plan.root);
    let parts: Vec<&str> = job.0.split('/').collect();
    for (number, part) in parts.iter().enumerate() {
        let planned = workflow?;
        let own = planned.workflow.job(JobId::from(*part).own_key())?;
        match &own.kind {
            JobKind::Steps(steps) if number + 1 == parts.len() => return Some(steps),
            JobKind::Steps(_) => return None,
            JobKind::Call(_) => workflow = planned.called(own),
        }
    }
    None
}

/// The job's group with its attempts in place of its legs.
fn attempts_of(group: &JobId, legs: &[Leg], resume: &Resume, total: u32, attempts: u32) -> EventKind {
    let own = legs.iter().find(|leg| leg.job == resume.job);
    let attempt = |number| {
        own.map(|leg| Leg {
            job: resume.attempt(number),
            name: format!("{} (attempt {})", leg.name, number + 1),
            matrix: leg.matrix.clone(),
            index: leg.index,
            concurrency: None,
        })
    };
    let legs = (0..attempts.min(MAX_ATTEMPTS)).filter_map(attempt).collect();
    EventKind::JobExpanded { group: group.clone(), legs, fail_fast: false, max_parallel: None, total }
}

/// One workflow on the way from the run's own to the job's.
struct Level<'a> {
    workflow: &'a PlannedWorkflow,
    /// What stands before the ids of its jobs.
    prefix: String,
    /// The leg on the way.
    leg: JobId,
    /// The keys of jobs that begin anew, with all their legs and what they call.
    anew: IndexSet<&'a str>,
}

/// The way to the job that goes on.
struct Path<'a> {
    state: &'a RunState,
    levels: Vec<Level<'a>>,
}

impl<'a> Path<'a> {
    fn new(plan: &'a Plan, state: &'a RunState, job: &JobId) -> Self {
        let mut levels = Vec::new();
        let mut workflow = Some(&plan.root);
        let mut prefix = String::new();
        let mut ends: Vec<usize> = job.0.match_indices('/').map(|(end, _)| end).collect();
        ends.push(job.0.len());
        for end in ends {
            let Some(planned) = workflow else { break };
            let leg = JobId(job.0[..end].to_owned());
            let own = planned.workflow.job(leg.own_key());
            let mut roots: Vec<&str> = own.map(|own| own.id.value.as_str()).into_iter().collect();
            let cancelled = |job: &&Job| is_cancelled(state, &JobId(format!("{prefix}{}", job.id.value)));
            roots.extend(planned.workflow.jobs.iter().filter(cancelled).map(|job| job.id.value.as_str()));
            let depends = |job: &&Job| planned.ancestors(job).iter().any(|need| roots.contains(need));
            let jobs = planned.workflow.jobs.iter();
            let anew = jobs.filter(depends).map(|job| job.id.value.as_str()).collect();
            levels.push(Level { workflow: planned, prefix: prefix.clone(), leg: leg.clone(), anew });
            workflow = own.and_then(|own| planned.called(own));
            prefix = format!("{leg}/");
        }
        Self { state, levels }
    }

    /// The level at which the id leaves the way, and the id up to there; none for the job itself.
    fn level(&self, id: &JobId) -> Option<(&Level<'a>, JobId)> {
        for level in &self.levels {
            let rest = id.0.strip_prefix(&level.prefix)?;
            let here = rest.split('/').next().unwrap_or_default();
            let here = JobId(format!("{}{here}", level.prefix));
            if here != level.leg {
                return Some((level, here));
            }
        }
        None
    }

    /// Whether a group is known, or a call open, as it was.
    fn keeps(&self, id: &JobId) -> bool {
        match self.level(id) {
            None => true,
            Some((level, here)) => {
                level.workflow.workflow.job(here.own_key()).is_some()
                    && !level.anew.contains(here.own_key())
                    && (here == *id || !is_cancelled(self.state, &here))
            }
        }
    }

    /// Whether a job is over as it was.
    fn has_ended(&self, id: &JobId) -> bool {
        let on_the_way = self.levels.iter().any(|level| level.leg == *id);
        !on_the_way
            && self.level(id).is_some_and(|(_, here)| self.keeps(id) && !is_cancelled(self.state, &here))
    }

    /// Whether it is another leg of the job.
    fn is_own_group(&self, id: &JobId) -> bool {
        let last = self.levels.last();
        last.is_some_and(|last| {
            id.0.strip_prefix(&last.prefix).is_some_and(|rest| !rest.contains('/'))
                && id.own_key() == last.leg.own_key()
        })
    }

    /// The ends of all jobs that begin anew where only a step runs: they do not.
    fn left_out(&self) -> Vec<EventKind> {
        let mut kinds = Vec::new();
        for level in &self.levels {
            for job in &level.workflow.workflow.jobs {
                let group = JobId(format!("{}{}", level.prefix, job.id.value));
                let is_on_the_way = job.id.value.eq_ignore_ascii_case(level.leg.own_key());
                let has_ended = self.state.group(&group).is_some() && self.has_ended(&group);
                let is_cancelled = is_cancelled(self.state, &group);
                if !is_on_the_way && (!has_ended || is_cancelled) {
                    kinds.push(self.left_out_group(&group));
                }
            }
        }
        kinds.into_iter().flatten().collect()
    }

    /// A group that was known ends leg by leg, any other as a whole.
    fn left_out_group(&self, group: &JobId) -> Vec<EventKind> {
        let end = |job: &JobId, name: &str| EventKind::JobFinished {
            job: job.clone(),
            name: name.to_owned(),
            conclusion: Conclusion::Skipped,
            tolerated: false,
            outputs: indexmap::IndexMap::new(),
            reason: Some("only one step is tried".to_owned()),
        };
        match self.state.group(group).filter(|_| self.keeps(group)) {
            Some(known) => known.legs.iter().map(|leg| end(leg, leg.as_str())).collect(),
            None => vec![end(group, group.as_str())],
        }
    }
}

/// Whether the leg, or a leg of the group, was cancelled.
fn is_cancelled(state: &RunState, id: &JobId) -> bool {
    let leg = |leg: &JobId| {
        let phase = state.job(leg).map(|job| &job.phase);
        !matches!(phase, Some(JobPhase::Finished { conclusion, .. }) if *conclusion != Conclusion::Cancelled)
    };
    match state.group(id) {
        Some(group) => group.legs.iter().any(leg),
        None => state.job(id).is_some() && leg(id),
    }
}
