//! Whether an input becomes part of a script in what is called: a workflow or an action of the same repository.

use super::code_inputs;
use super::taint::{Budget, Scope};
use crate::model::{Action, ActionRuns, JobKind, Step, StepKind, Workflow};
use crate::template::{Token, TokenKind};

/// Whether a called workflow expands its input in a script.
pub(crate) fn in_workflow(workflow: &Workflow, input: &str, budget: &Budget) -> bool {
    workflow.jobs.iter().any(|job| match &job.kind {
        JobKind::Steps(kind) => {
            in_steps(&kind.steps, input, |steps, step| Scope::of_called(workflow, job, steps, step, budget))
        }
        JobKind::Call(_) => false,
    })
}

/// Whether a composite action expands its input in a script.
pub(crate) fn in_action(action: &Action, input: &str, budget: &Budget) -> bool {
    let ActionRuns::Composite { steps } = &action.runs else { return false };
    in_steps(steps, input, |earlier, step| Scope::of_used(action, earlier, step, budget))
}

fn in_steps<'a>(steps: &'a [Step], input: &str, scope: impl Fn(&'a [Step], &'a Step) -> Scope<'a>) -> bool {
    let source = format!("inputs.{input}");
    steps.iter().enumerate().any(|(index, step)| {
        code(step).any(|script| match &script.kind {
            TokenKind::Expression(expression) => {
                let taints = scope(&steps[..index], step).trace(expression);
                taints.iter().any(|taint| taint.source.eq_ignore_ascii_case(&source))
            }
            _ => false,
        })
    })
}

/// The parts of a step that are run as code.
pub(crate) fn code(step: &Step) -> impl Iterator<Item = &Token> {
    let (run, with) = match &step.kind {
        StepKind::Run { run, .. } => (Some(run), None),
        StepKind::Uses { uses, with: Some(with) } => (None, Some((code_inputs::of(&uses.value), with))),
        _ => (None, None),
    };
    let inputs = with.into_iter().flat_map(|(names, with)| names.iter().filter_map(|name| with.entry(name)));
    run.into_iter().chain(inputs.map(|entry| &entry.value))
}
