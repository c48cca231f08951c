//! Objects, lists and null in texts.

use crate::diagnostic::Severity;
use crate::lint::expressions::{report_action, report_workflow};
use crate::lint::{ActionUnit, Check, Findings, WorkflowUnit};
use crate::rule::{Group, Rule};
use crate::types::MistakeKind;

pub(super) static RULE: Rule = Rule {
    code: "value-in-text",
    severity: Severity::Warning,
    group: Group::Correctness,
    summary: "an object, list or null in a text",
    actionlint: Some("expression"),
    page: include_str!("value_in_text.md"),
    check: Some(Check { workflow: Some(workflow), action: Some(action), ..Check::NOTHING }),
};

fn is_meant(kind: &MistakeKind) -> bool {
    matches!(kind, MistakeKind::InText { .. })
}

fn workflow(unit: WorkflowUnit<'_>, findings: &mut Findings<'_>) {
    report_workflow(unit, findings, is_meant);
}

fn action(unit: ActionUnit<'_>, findings: &mut Findings<'_>) {
    report_action(unit, findings, is_meant);
}
