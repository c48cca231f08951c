//! Schedules that name a day that never comes.

use crate::diagnostic::Severity;
use crate::lint::{Check, Findings, WorkflowUnit};
use crate::rule::{Group, Rule};
use crate::schedule::Cron;

pub(super) static RULE: Rule = Rule {
    code: "schedule-never",
    severity: Severity::Warning,
    group: Group::Correctness,
    summary: "a schedule that never fires",
    actionlint: Some("events"),
    page: include_str!("schedule_never.md"),
    check: Some(Check { workflow: Some(workflow), ..Check::NOTHING }),
};

fn workflow(unit: WorkflowUnit<'_>, findings: &mut Findings<'_>) {
    for entry in unit.workflow.on.events.values().flat_map(|trigger| &trigger.schedule) {
        if Cron::parse(&entry.cron.value).is_ok_and(|cron| !cron.ever_fires()) {
            let message = "the schedule never fires: no month that it names has such a day";
            findings.push(findings.describe(entry.cron.span, message));
        }
    }
}
