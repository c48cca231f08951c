//! Parts of `&&`, `||` and `case` that repeat or exclude each other.

use crate::diagnostic::Severity;
use crate::lint::expressions::{report_action, report_workflow};
use crate::lint::{ActionUnit, Check, Findings, WorkflowUnit};
use crate::rule::{Group, Rule};
use crate::types::MistakeKind;

pub(super) static RULE: Rule = Rule {
    code: "repeated-condition",
    severity: Severity::Warning,
    group: Group::Correctness,
    summary: "parts of a condition that repeat or exclude each other",
    actionlint: Some("expression"),
    page: include_str!("repeated_condition.md"),
    check: Some(Check { workflow: Some(workflow), action: Some(action), ..Check::NOTHING }),
};

fn is_meant(kind: &MistakeKind) -> bool {
    matches!(
        kind,
        MistakeKind::Repeated { .. } | MistakeKind::Contradiction { .. } | MistakeKind::RepeatedCase { .. }
    )
}

fn workflow(unit: WorkflowUnit<'_>, findings: &mut Findings<'_>) {
    report_workflow(unit, findings, is_meant);
}

fn action(unit: ActionUnit<'_>, findings: &mut Findings<'_>) {
    report_action(unit, findings, is_meant);
}
