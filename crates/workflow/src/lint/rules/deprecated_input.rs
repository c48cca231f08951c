//! Inputs that the author of a used action advises against.

use crate::diagnostic::{Diagnostic, Severity};
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
    let mut found: Vec<Diagnostic> = Vec::new();
    // An input without which the action does not work must be given, deprecated or not.
    action.inputs(|input| {
        let Some(reason) = input.deprecated.filter(|_| !input.required) else { return };
        let Some(given) = find(with, input.name) else { return };
        let message = format!("the input `{}` of `{}` is deprecated", input.name, uses.value);
        let mut finding = findings.describe(given.key_span, message);
        if !reason.is_empty() {
            finding = finding.with_help(in_one_line(reason));
        }
        found.push(finding);
    });
    found.into_iter().for_each(|finding| findings.push(finding));
}

fn in_one_line(message: &str) -> String {
    let words: Vec<&str> = message.split_whitespace().collect();
    words.join(" ").trim_end_matches('.').to_owned()
}

fn find<'a>(with: &'a Token, name: &str) -> Option<&'a Entry> {
    with.entries().iter().find(|entry| entry.name().is_some_and(|given| given.eq_ignore_ascii_case(name)))
}
