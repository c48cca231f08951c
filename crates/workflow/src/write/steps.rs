//! Steps.

use super::workflow::put_condition;
use super::{Mapping, one_or_more, text, token};
use crate::model::{Step, StepKind};
use crate::template::{Token, TokenKind};

/// The value of `steps`.
pub(super) fn steps(steps: &[Step]) -> Token {
    let mut written: Vec<Token> = Vec::new();
    let mut rest = steps;
    while let Some(first) = rest.first() {
        match parallel(rest) {
            Some(count) => {
                let mut mapping = Mapping::default();
                let together = rest[..count].iter().map(|each| step(each, true)).collect();
                mapping.put("parallel", token(TokenKind::Sequence(together)));
                written.push(mapping.into_token());
                // The step that waits for them belongs to the group.
                rest = &rest[count + 1..];
            }
            None => {
                written.push(step(first, false));
                rest = &rest[1..];
            }
        }
    }
    token(TokenKind::Sequence(written.into()))
}

/// How many of the first steps are one group of parallel ones, which reading ends with a step that waits for them.
fn parallel(steps: &[Step]) -> Option<usize> {
    let end = steps.iter().position(|step| !is_in_background(step))?;
    let StepKind::Wait { steps: waited } = &steps[end].kind else { return None };
    let names = steps[..end].iter().map(|step| &step.id);
    let is_group = steps[end].generated_id
        && steps[end].name.as_ref().and_then(Token::as_str) == Some("Parallel group")
        && names.eq(waited.iter().map(|waited| &waited.value));
    is_group.then_some(end)
}

fn is_in_background(step: &Step) -> bool {
    matches!(step.background.as_ref().map(|background| &background.kind), Some(TokenKind::Bool(true)))
}

fn step(step: &Step, is_parallel: bool) -> Token {
    let mut mapping = Mapping::default();
    let is_named_by_kind = match &step.kind {
        StepKind::Run { .. } | StepKind::Uses { .. } => false,
        kind => step.name.as_ref().and_then(Token::as_str) == Some(name_of(kind)),
    };
    if !is_named_by_kind {
        mapping.put_some("name", step.name.as_ref());
    }
    if !step.generated_id {
        mapping.put("id", text(&step.id));
    }
    put_condition(&mut mapping, &step.condition, step.written_condition.as_ref());
    if !is_parallel {
        mapping.put_some("background", step.background.as_ref());
    }
    put_kind(&mut mapping, &step.kind);
    mapping.put_some("env", step.env.as_ref());
    mapping.put_some("timeout-minutes", step.timeout_minutes.as_ref());
    mapping.put_some("continue-on-error", step.continue_on_error.as_ref());
    mapping.into_token()
}

/// The name that a step has without one.
fn name_of(kind: &StepKind) -> &'static str {
    match kind {
        StepKind::Run { .. } | StepKind::Uses { .. } => "",
        StepKind::Wait { .. } => "Wait",
        StepKind::WaitAll => "Wait for all",
        StepKind::Cancel { .. } => "Cancel",
    }
}

fn put_kind(mapping: &mut Mapping, kind: &StepKind) {
    match kind {
        StepKind::Run { run, shell, working_directory } => {
            mapping.put_some("shell", shell.as_ref());
            mapping.put_some("working-directory", working_directory.as_ref());
            mapping.put("run", run.clone());
        }
        StepKind::Uses { uses, with } => {
            mapping.put("uses", text(&uses.value));
            mapping.put_some("with", with.as_ref());
        }
        StepKind::Wait { steps } => mapping.put("wait", one_or_more(steps)),
        StepKind::WaitAll => mapping.put("wait-all", token(TokenKind::Bool(true))),
        StepKind::Cancel { steps } => mapping.put("cancel", one_or_more(steps)),
    }
}
