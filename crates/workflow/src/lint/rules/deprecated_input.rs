//! Inputs that the author of a used action advises against.

use crate::diagnostic::Severity;
use crate::lint::used_action::{UsedAction, uses_of};
use crate::lint::{Check, Findings, StepUnit};
use crate::rule::{Group, Rule};
use crate::template::{Entry, Token};

pub(super) static RULE: Rule = Rule {
    code: "deprecated-input",
    severity: Severity::Warning,
    group: Group::Correctness,
    summary: "an input of a used action that its author has deprecated",
    actionlint: Some("action"),
    page: include_str!("deprecated_input.md"),
    check: Some(Check { step: Some(step), ..Check::NOTHING }),
};

fn step(unit: StepUnit<'_>, findings: &mut Findings<'_>) {
    let Some((uses, Some(with))) = uses_of(&unit) else { return };
    let Some(action) = with.entries().first().and_then(|_| UsedAction::of(uses, findings)) else {
        return;
    };
    // An input without which the action does not work must be given, deprecated or not.
    for input in action.inputs().into_iter().filter(|input| !input.required) {
        let (Some(reason), Some(given)) = (input.deprecated, find(with, &input.name)) else { continue };
        let message = format!("the input `{}` of `{}` is deprecated", input.name, uses.value);
        let mut finding = findings.describe(given.key_span, message);
        if !reason.is_empty() {
            finding = finding.with_help(reason);
        }
        findings.push(finding);
    }
}

fn find<'a>(with: &'a Token, name: &str) -> Option<&'a Entry> {
    with.entries().iter().find(|entry| entry.name().is_some_and(|given| given.eq_ignore_ascii_case(name)))
}
