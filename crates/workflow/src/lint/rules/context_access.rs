//! Properties that contexts do not have.

use crate::diagnostic::Severity;
use crate::lint::expressions::{report_action, report_workflow};
use crate::lint::{ActionUnit, Check, Findings, WorkflowUnit};
use crate::rule::{Group, Rule};
use crate::types::MistakeKind;

pub(super) static RULE: Rule = Rule {
    code: "context-access",
    severity: Severity::Warning,
    group: Group::Correctness,
    summary: "a property that a context does not have there",
    actionlint: Some("expression"),
    page: include_str!("context_access.md"),
    check: Some(Check { workflow: Some(workflow), action: Some(action), ..Check::NOTHING }),
};

fn is_meant(kind: &MistakeKind) -> bool {
    let is_context = matches!(kind, MistakeKind::UnknownProperty { .. } | MistakeKind::VariableName { .. });
    is_context && !kind.is_about_payload()
}

fn workflow(unit: WorkflowUnit<'_>, findings: &mut Findings<'_>) {
    report_workflow(unit, findings, is_meant);
}

fn action(unit: ActionUnit<'_>, findings: &mut Findings<'_>) {
    report_action(unit, findings, is_meant);
}
