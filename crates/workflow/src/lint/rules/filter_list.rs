//! Filters of `image_version` with one text in the place of a list.

use crate::diagnostic::Severity;
use crate::lint::{Check, Findings, WorkflowUnit};
use crate::rule::{Group, Rule};

pub(super) static RULE: Rule = Rule {
    code: "filter-list",
    severity: Severity::Warning,
    group: Group::Correctness,
    summary: "a filter of `image_version` that is no list",
    actionlint: Some("syntax-check"),
    page: include_str!("filter_list.md"),
    check: Some(Check { workflow: Some(workflow), ..Check::NOTHING }),
};

fn workflow(unit: WorkflowUnit<'_>, findings: &mut Findings<'_>) {
    let Some(event) = unit.root.entry("on").and_then(|on| on.value.entry("image_version")) else {
        return;
    };
    for key in ["names", "versions"] {
        let Some(filter) = event.value.entry(key).filter(|filter| filter.value.as_str().is_some()) else {
            continue;
        };
        let finding = findings.describe(filter.value.span, format!("`{key}` is documented as a list"));
        findings.push(finding.with_help("put brackets around the text"));
    }
}
