//! Defaults of a called workflow's inputs that are never used or have another type.

use crate::diagnostic::Severity;
use crate::lint::{Check, Findings, WorkflowUnit};
use crate::model::{CallInput, InputType};
use crate::rule::{Group, Rule};
use crate::template::{Token, TokenKind};

pub(super) static RULE: Rule = Rule {
    code: "call-default",
    severity: Severity::Warning,
    group: Group::Correctness,
    summary: "a default of a called workflow's input that is never used or of another type",
    actionlint: Some("events"),
    page: include_str!("call_default.md"),
    check: Some(Check { workflow: Some(workflow), ..Check::NOTHING }),
};

fn workflow(unit: WorkflowUnit<'_>, findings: &mut Findings<'_>) {
    let Some(trigger) = unit.workflow.on.events.get("workflow_call") else { return };
    for (name, input) in &trigger.call_inputs {
        let Some(default) = &input.default else { continue };
        if input.required {
            let message = format!("the input `{name}` must be given, so that its default is never used");
            findings
                .push(findings.describe(default.span, message).with_help("remove `default`, or `required`"));
        }
        if !fits(input, default) {
            let kind = if input.kind == InputType::Number { "number" } else { "boolean" };
            let message =
                format!("the default of the input `{name}` is no {kind}: calls without it are refused");
            findings.add(default.span, message);
        }
    }
    for (name, output) in &trigger.call_outputs {
        let is_empty = matches!(output.value.kind, TokenKind::Null) || output.value.as_str() == Some("");
        if is_empty {
            findings.add(output.value.span, format!("the output `{name}` is always empty"));
        }
    }
}

fn fits(input: &CallInput, default: &Token) -> bool {
    !matches!(
        (input.kind, &default.kind),
        (InputType::Number, TokenKind::String(_) | TokenKind::Bool(_))
            | (InputType::Boolean, TokenKind::String(_) | TokenKind::Number(_))
    )
}
