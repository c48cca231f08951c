//! Public actions in versions that run on a Node.js that GitHub no longer has.

use crate::diagnostic::Severity;
use crate::lint::used_action::{UsedAction, uses_of};
use crate::lint::{Check, Findings, StepUnit};
use crate::rule::{Group, Rule};

pub(super) static RULE: Rule = Rule {
    code: "outdated-action",
    severity: Severity::Warning,
    group: Group::Correctness,
    summary: "a version of an action for a Node.js that runners no longer have",
    actionlint: Some("action"),
    page: include_str!("outdated_action.md"),
    check: Some(Check { step: Some(step), ..Check::NOTHING }),
};

/// Versions of Node.js that runners no longer have.
pub(super) const OLD_RUNTIMES: [&str; 3] = ["node12", "node14", "node16"];

fn step(unit: StepUnit<'_>, findings: &mut Findings<'_>) {
    let Some((uses, _)) = uses_of(&unit) else { return };
    if uses.value.starts_with('.') {
        return;
    }
    let Some(action) = UsedAction::of(uses, findings) else { return };
    if OLD_RUNTIMES.contains(&action.using()) && !action.may_be_newer() {
        let message =
            format!("`{}` is made for `{}`, which runners no longer have", uses.value, action.using());
        let finding = findings.describe(uses.span, message);
        findings.push(finding.with_help("use a newer version of the action"));
    }
}
