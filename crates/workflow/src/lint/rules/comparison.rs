//! Comparisons that do not depend on the values.

use crate::diagnostic::Severity;
use crate::lint::expressions::{report_action, report_workflow};
use crate::lint::{ActionUnit, Check, Findings, WorkflowUnit};
use crate::rule::{Group, Rule};
use crate::types::MistakeKind;

pub(super) static RULE: Rule = Rule {
    code: "comparison",
    severity: Severity::Warning,
    group: Group::Correctness,
    summary: "a comparison with the same outcome for all values",
    actionlint: Some("expression"),
    page: include_str!("comparison.md"),
    check: Some(Check { workflow: Some(workflow), action: Some(action), ..Check::NOTHING }),
};

fn is_meant(kind: &MistakeKind) -> bool {
    matches!(kind, MistakeKind::Incomparable { .. } | MistakeKind::BooleanWithText { .. })
}

fn workflow(unit: WorkflowUnit<'_>, findings: &mut Findings<'_>) {
    report_workflow(unit, findings, is_meant);
}

fn action(unit: ActionUnit<'_>, findings: &mut Findings<'_>) {
    report_action(unit, findings, is_meant);
}
