//! `schedule` without schedules.

use crate::diagnostic::Severity;
use crate::lint::{Check, Findings, WorkflowUnit};
use crate::rule::{Group, Rule};

pub(super) static RULE: Rule = Rule {
    code: "schedule-empty",
    severity: Severity::Warning,
    group: Group::Correctness,
    summary: "the event `schedule` without a schedule",
    actionlint: Some("events"),
    page: include_str!("schedule_empty.md"),
    check: Some(Check { workflow: Some(workflow), ..Check::NOTHING }),
};

fn workflow(unit: WorkflowUnit<'_>, findings: &mut Findings<'_>) {
    let Some(trigger) = unit.workflow.on.events.get("schedule") else { return };
    let around = unit.root.entry("on").filter(|on| findings.has_errors_in(on.value.span));
    if trigger.schedule.is_empty() && around.is_none() {
        let finding =
            findings.describe(trigger.span, "the event `schedule` has no schedule and never happens");
        findings.push(finding.with_help("give it a list: `schedule: [{cron: '30 4 * * *'}]`"));
    }
}
