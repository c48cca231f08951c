//! Inputs that a used action does not define, or does not get.

use crate::diagnostic::Severity;
use crate::lint::used_action::{UsedAction, UsedInput, uses_of};
use crate::lint::{Check, Findings, StepUnit};
use crate::read::nearest;
use crate::rule::{Group, Rule};
use crate::template::{Entry, Token};

pub(super) static RULE: Rule = Rule {
    code: "action-inputs",
    severity: Severity::Warning,
    group: Group::Correctness,
    summary: "inputs that a used action does not define, or wants and does not get",
    actionlint: Some("action"),
    page: include_str!("action_inputs.md"),
    check: Some(Check { step: Some(step), ..Check::NOTHING }),
};

fn step(unit: StepUnit<'_>, findings: &mut Findings<'_>) {
    let Some((uses, with)) = uses_of(&unit) else { return };
    if with.is_some_and(Token::is_expression) {
        return;
    }
    let Some(action) = UsedAction::of(uses, findings) else { return };
    let inputs = action.inputs();
    let given = with.map(Token::entries).unwrap_or_default();
    if given.iter().all(|entry| entry.name().is_some()) {
        let missing = inputs.iter().filter(|input| input.required && !is_given(given, &input.name));
        for input in missing {
            let message = format!("the action `{}` wants the input `{}`", uses.value, input.name);
            findings.add(uses.span, message);
        }
    }
    if action.may_be_newer() {
        return;
    }
    for (entry, name) in given.iter().filter_map(|entry| Some((entry, entry.name()?))) {
        let is_known = inputs.iter().any(|input| input.name.eq_ignore_ascii_case(name));
        if !is_known && !is_of_every_image(&action, name) {
            let message = format!("the action `{}` has no input `{name}`", uses.value);
            let finding = findings.describe(entry.key_span, message);
            findings.push(finding.with_help(help(name, &inputs)));
        }
    }
}

/// Whether the input is one that all actions with an image have.
fn is_of_every_image(action: &UsedAction, name: &str) -> bool {
    action.using() == "docker"
        && (name.eq_ignore_ascii_case("args") || name.eq_ignore_ascii_case("entrypoint"))
}

fn is_given(given: &[Entry], name: &str) -> bool {
    given.iter().filter_map(Entry::name).any(|given| given.eq_ignore_ascii_case(name))
}

fn help(name: &str, inputs: &[UsedInput]) -> String {
    let known = || inputs.iter().filter(|input| input.deprecated.is_none()).map(|input| &*input.name);
    if let Some(meant) = nearest(name, known()) {
        return format!("did you mean `{meant}`?");
    }
    let known: Vec<String> = known().map(|name| format!("`{name}`")).collect();
    if known.is_empty() { "it has no inputs".into() } else { format!("its inputs are {}", known.join(", ")) }
}
