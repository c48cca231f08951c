//! Values that their place or function can do nothing with.

use crate::diagnostic::Severity;
use crate::lint::expressions::{report_action, report_workflow};
use crate::lint::{ActionUnit, Check, Findings, WorkflowUnit};
use crate::rule::{Group, Rule};
use crate::types::MistakeKind;

pub(super) static RULE: Rule = Rule {
    code: "expression-type",
    severity: Severity::Warning,
    group: Group::Correctness,
    summary: "a value of a type that its place or function cannot use",
    actionlint: Some("expression"),
    page: include_str!("expression_type.md"),
    check: Some(Check { workflow: Some(workflow), action: Some(action), ..Check::NOTHING }),
};

fn is_meant(kind: &MistakeKind) -> bool {
    matches!(
        kind,
        MistakeKind::NoProperties { .. }
            | MistakeKind::NothingToFilter { .. }
            | MistakeKind::WrongIndex { .. }
            | MistakeKind::Argument { .. }
            | MistakeKind::BrokenJson { .. }
            | MistakeKind::UnusedArgument { .. }
            | MistakeKind::Unexpected { .. }
    )
}

fn workflow(unit: WorkflowUnit<'_>, findings: &mut Findings<'_>) {
    report_workflow(unit, findings, is_meant);
}

fn action(unit: ActionUnit<'_>, findings: &mut Findings<'_>) {
    report_action(unit, findings, is_meant);
}
