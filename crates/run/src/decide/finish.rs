//! How jobs, calls and the run end.

use indexmap::IndexMap;
use workflow::plan::EvaluationError;

use super::nothing;
use crate::event::EventKind;
use crate::id::JobId;
use crate::scope::Scope;
use crate::state::JobState;
use crate::status::Conclusion;

/// A job without outputs is over.
pub(super) fn event(job: &JobId, name: &str, conclusion: Conclusion, reason: Option<String>) -> EventKind {
    EventKind::JobFinished {
        job: job.clone(),
        name: name.to_owned(),
        conclusion,
        tolerated: false,
        outputs: nothing(),
        reason,
    }
}

/// A job fails because of something that no step says.
pub(super) fn failure(job: &JobId, name: &str, reason: String) -> EventKind {
    event(job, name, Conclusion::Failure, Some(reason))
}

/// A leg fails, or not where it may: nobody's steps say why.
pub(super) fn tolerant_failure(leg: &JobId, state: &JobState, reason: String) -> EventKind {
    ended(leg, state, Conclusion::Failure, &nothing(), Some(reason))
}

/// A leg is over on its runner's word.
pub(super) fn ended(
    leg: &JobId,
    state: &JobState,
    conclusion: Conclusion,
    outputs: &IndexMap<String, String>,
    reason: Option<String>,
) -> EventKind {
    let tolerated = state.continue_on_error && conclusion == Conclusion::Failure;
    EventKind::JobFinished {
        job: leg.clone(),
        name: state.name.clone(),
        conclusion: if tolerated { Conclusion::Success } else { conclusion },
        tolerated,
        outputs: outputs.clone(),
        reason,
    }
}

/// A leg ends before it started, because it was asked to.
pub(super) fn cancelled(leg: &JobId, state: &JobState) -> EventKind {
    let reason = state.cancel.as_ref().map(|request| request.reason.clone());
    event(leg, &state.name, Conclusion::Cancelled, reason)
}

/// The end of a call, once all jobs of the called workflow `scope` are over.
pub(super) fn call(scope: &Scope<'_>, leg: &JobId, state: &JobState) -> Option<EventKind> {
    let results = scope.results()?;
    let conclusion = Conclusion::of_all(results.iter().map(|(_, result)| result.conclusion));
    let contexts = scope.output_contexts(&results);
    let trigger = scope.workflow().on.events.get("workflow_call");
    let declared = trigger.iter().flat_map(|trigger| &trigger.call_outputs);
    let outputs = declared
        .map(|(name, output)| {
            let value = scope.planned.evaluate(&output.value, &contexts)?;
            Ok((name.clone(), value.to_text().into_owned()))
        })
        .collect::<Result<IndexMap<String, String>, EvaluationError>>();
    Some(match outputs {
        Ok(outputs) => ended(leg, state, conclusion, &outputs, None),
        Err(error) => failure(leg, &state.name, error.to_string()),
    })
}

/// The end of the run, once all its jobs are over.
pub(super) fn run(root: &Scope<'_>) -> Option<EventKind> {
    let results = root.results()?;
    let cancel = root.state.cancel();
    let conclusion = match Conclusion::of_all(results.iter().map(|(_, result)| result.conclusion)) {
        Conclusion::Failure => Conclusion::Failure,
        Conclusion::Cancelled => Conclusion::Cancelled,
        _ if cancel.is_some() => Conclusion::Cancelled,
        _ => Conclusion::Success,
    };
    let reason = cancel.filter(|_| conclusion == Conclusion::Cancelled).map(|request| request.reason.clone());
    Some(EventKind::RunFinished { conclusion, reason })
}
