//! Inputs that a used action does not define, or does not get.

use crate::diagnostic::Severity;
use crate::lint::used_action::{UsedAction, uses_of};
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
    let given = with.map(Token::entries).unwrap_or_default();
    let are_all_named = given.iter().all(|entry| entry.name().is_some());
    // Of few inputs one bit each says whether the action knows it.
    let (mut known, mut missing) = (0_u64, Vec::new());
    action.inputs(|input| {
        let mut places = given.iter().enumerate().filter(|(_, entry)| is_named(entry, input.name));
        let first = places.next();
        if input.required && are_all_named && first.is_none() {
            missing.push(format!("the action `{}` wants the input `{}`", uses.value, input.name));
        }
        for (place, _) in first.into_iter().chain(places) {
            known |= 1_u64.checked_shl(u32::try_from(place).unwrap_or(u32::MAX)).unwrap_or_default();
        }
    });
    missing.into_iter().for_each(|message| findings.add(uses.span, message));
    if action.may_be_newer() {
        return;
    }
    for (place, entry) in given.iter().enumerate() {
        let Some(name) = entry.name() else { continue };
        if place < 64 && known & 1 << place != 0
            || is_known(&action, name)
            || is_of_every_image(&action, name)
        {
            continue;
        }
        let message = format!("the action `{}` has no input `{name}`", uses.value);
        let finding = findings.describe(entry.key_span, message);
        findings.push(finding.with_help(help(name, &action)));
    }
}

fn is_known(action: &UsedAction, name: &str) -> bool {
    let mut is_known = false;
    action.inputs(|input| is_known |= input.name.eq_ignore_ascii_case(name));
    is_known
}

/// Whether the input is one that all actions with an image have.
fn is_of_every_image(action: &UsedAction, name: &str) -> bool {
    action.using() == "docker"
        && (name.eq_ignore_ascii_case("args") || name.eq_ignore_ascii_case("entrypoint"))
}

fn is_named(entry: &Entry, name: &str) -> bool {
    entry.name().is_some_and(|given| given.eq_ignore_ascii_case(name))
}

fn help(name: &str, action: &UsedAction) -> String {
    let mut known: Vec<String> = Vec::new();
    action.inputs(|input| {
        if input.deprecated.is_none() {
            known.push(input.name.to_owned());
        }
    });
    if let Some(meant) = nearest(name, known.iter().map(String::as_str)) {
        return format!("did you mean `{meant}`?");
    }
    let known: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    if known.is_empty() { "it has no inputs".into() } else { format!("its inputs are {}", known.join(", ")) }
}
