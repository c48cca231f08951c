//! What follows for the legs of one job.

use workflow::expr::Contexts;
use workflow::model::{Call, Job, JobKind, Steps};
use workflow::plan::{EvaluationError, PlannedCall};
use workflow::source::Span;
use workflow::template::{Entry, Key, Token, TokenKind};

use super::concurrency::Turn;
use super::{Decision, MAX_LEASES, finish};
use crate::event::EventKind;
use crate::id::JobId;
use crate::job::{JobContexts, JobSpec};
use crate::lease::Cancel;
use crate::scope::Scope;
use crate::state::{GroupState, JobPhase, JobState};
use crate::status::Conclusion;

impl Decision<'_> {
    pub(super) fn legs(&mut self, scope: &Scope<'_>, job: &Job, group: &JobId) {
        let state = self.state;
        let Some(known) = state.group(group) else { return };
        let legs: Vec<(&JobId, &JobState)> =
            known.legs.iter().filter_map(|leg| Some((leg, state.job(leg)?))).collect();
        if legs.iter().all(|(_, leg)| leg.phase.is_finished()) {
            return;
        }
        let cancels = self.cancels(scope, job, known, &legs);
        if !cancels.is_empty() {
            self.events.extend(cancels);
            return;
        }
        let limit = known.max_parallel.map_or(usize::MAX, |limit| limit as usize);
        let taken = legs.iter().filter(|(_, leg)| leg.phase.is_active() || leg.phase == JobPhase::Pending);
        let mut places = limit.saturating_sub(taken.count());
        for (id, leg) in legs {
            let before = self.events.len();
            self.leg(scope, job, id, leg, places > 0);
            let took_place = self.events.len() > before && leg.phase == JobPhase::Expanded;
            places = places.saturating_sub(usize::from(took_place));
        }
    }

    /// Requests to end legs: those of a run or call that is to end, and the others after one failed.
    fn cancels(
        &self,
        scope: &Scope<'_>,
        job: &Job,
        group: &GroupState,
        legs: &[(&JobId, &JobState)],
    ) -> Vec<EventKind> {
        let failed = legs.iter().find(|(_, leg)| is_failed(leg)).filter(|_| group.fail_fast);
        let for_all = scope.cancel.filter(|cancel| *cancel == Cancel::Now || !self.survives(scope, job));
        let (cancel, reason) = match (for_all, failed) {
            (Some(cancel), _) => (cancel, self.reason_of(scope)),
            (None, Some((_, leg))) => (
                Cancel::Graceful,
                format!("The strategy configuration was canceled because \"{}\" failed", leg.name),
            ),
            (None, None) => return Vec::new(),
        };
        let open = legs.iter().filter(|(_, leg)| {
            !leg.phase.is_finished() && leg.cancel.as_ref().is_none_or(|known| known.cancel < cancel)
        });
        open.map(|(id, _)| EventKind::CancelRequested {
            job: Some((*id).clone()),
            cancel,
            reason: reason.clone(),
        })
        .collect()
    }

    /// Whether the job goes on in a workflow that is to end, as `if: always()` does.
    fn survives(&self, scope: &Scope<'_>, job: &Job) -> bool {
        scope.condition_holds(job, &scope.contexts(job), scope.cancel).unwrap_or(false)
    }

    fn reason_of(&self, scope: &Scope<'_>) -> String {
        let request = match &scope.caller {
            Some(caller) => self.state.job(caller).and_then(|caller| caller.cancel.as_ref()),
            None => self.state.cancel(),
        };
        request.map(|request| request.reason.clone()).unwrap_or_default()
    }

    fn leg(&mut self, scope: &Scope<'_>, job: &Job, id: &JobId, leg: &JobState, has_place: bool) {
        let event = match &leg.phase {
            JobPhase::Expanded | JobPhase::Pending | JobPhase::Queued if leg.cancel.is_some() => {
                finish::cancelled(id, leg)
            }
            JobPhase::Expanded if !has_place => return,
            JobPhase::Expanded | JobPhase::Pending => match self.groups.ask(self.state, id, leg) {
                Turn::Now => self.begin(scope, job, id, leg),
                Turn::Later(events) => {
                    self.events.extend(events);
                    return;
                }
            },
            JobPhase::Lost { started, reason } => match (&leg.cancel, started) {
                (Some(_), _) => finish::cancelled(id, leg),
                (None, false) if leg.leases < MAX_LEASES => self.begin(scope, job, id, leg),
                (None, _) => finish::tolerant_failure(id, leg, reason.clone()),
            },
            JobPhase::Ended { conclusion, outputs, error } => {
                finish::ended(id, leg, *conclusion, outputs, error.clone())
            }
            JobPhase::Open { .. } => {
                let Some(called) = scope.called(job, id) else { return };
                let before = self.events.len();
                self.workflow(&called);
                if self.events.len() > before {
                    return;
                }
                let Some(event) = finish::call(&called, id, leg) else { return };
                event
            }
            JobPhase::Queued | JobPhase::Leased { .. } | JobPhase::Finished { .. } => return,
        };
        self.events.push(event);
    }

    /// The leg's place in the queue, its call, or its failure where a key cannot be evaluated.
    fn begin(&self, scope: &Scope<'_>, job: &Job, id: &JobId, leg: &JobState) -> EventKind {
        let contexts = scope.contexts_of_leg(job, leg);
        let event = match &job.kind {
            JobKind::Steps(steps) => self.queued(scope, job, steps, (id, leg), &contexts),
            JobKind::Call(call) => opened(scope, job, call, id, &contexts),
        };
        event.unwrap_or_else(|error| finish::failure(id, &leg.name, error.to_string()))
    }

    fn queued(
        &self,
        scope: &Scope<'_>,
        job: &Job,
        steps: &Steps,
        (id, leg): (&JobId, &JobState),
        contexts: &Contexts,
    ) -> Result<EventKind, EvaluationError> {
        let workflow = scope.workflow();
        let context = |name: &str| contexts.get(name).cloned().unwrap_or_default();
        let extra = (!scope.plan.env.is_empty()).then(|| env_token(&scope.plan.env));
        let spec = JobSpec {
            run: self.run.clone(),
            job: id.clone(),
            name: leg.name.clone(),
            labels: scope.planned.labels(job, contexts)?,
            definition: steps.clone(),
            workflow_env: workflow.env.iter().cloned().chain(extra).collect(),
            workflow_defaults: workflow.defaults.clone(),
            continue_on_error: scope.planned.continue_on_error(job, contexts)?,
            contexts: JobContexts {
                github: context("github"),
                vars: context("vars"),
                inputs: context("inputs"),
                matrix: context("matrix"),
                strategy: context("strategy"),
                needs: context("needs"),
            },
            resume: self.state.resume().filter(|resume| resume.covers(id)).cloned(),
        };
        Ok(EventKind::JobQueued { spec: Box::new(spec) })
    }
}

fn is_failed(leg: &JobState) -> bool {
    matches!(leg.phase, JobPhase::Finished { conclusion: Conclusion::Failure, .. })
}

fn opened(
    scope: &Scope<'_>,
    job: &Job,
    call: &Call,
    id: &JobId,
    contexts: &Contexts,
) -> Result<EventKind, EvaluationError> {
    let called = match scope.planned.calls.get(&job.id.value) {
        Some(PlannedCall::Workflow(called)) => called,
        Some(PlannedCall::Unknown { reason }) => {
            return Err(scope.planned.error(call.uses.span, reason.clone()));
        }
        None => {
            return Err(scope.planned.error(call.uses.span, "the called workflow is not part of the plan"));
        }
    };
    let inputs = scope.planned.call_inputs(call, called, contexts)?;
    Ok(EventKind::CallOpened { job: id.clone(), inputs })
}

/// Variables as a mapping of literals.
fn env_token(variables: &[(String, String)]) -> Token {
    let literal = |text: &str| Token { kind: TokenKind::String(text.into()), span: Span::default() };
    let entry = |(name, value): &(String, String)| Entry {
        key: Key::Literal(name.as_str().into()),
        key_span: Span::default(),
        value: literal(value),
    };
    Token { kind: TokenKind::Mapping(variables.iter().map(entry).collect()), span: Span::default() }
}
