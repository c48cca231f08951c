//! Schedules that fire more often than GitHub lets them.

use crate::diagnostic::Severity;
use crate::lint::{Check, Findings, WorkflowUnit};
use crate::rule::{Group, Rule};

pub(super) static RULE: Rule = Rule {
    code: "schedule-interval",
    severity: Severity::Warning,
    group: Group::Correctness,
    summary: "a schedule that fires more often than every five minutes",
    actionlint: Some("events"),
    page: include_str!("schedule_interval.md"),
    check: Some(Check { workflow: Some(workflow), ..Check::NOTHING }),
};

/// The shortest time between two runs of a schedule, in minutes.
const SHORTEST: u64 = 5;
const MINUTES: usize = 60;

fn workflow(unit: WorkflowUnit<'_>, findings: &mut Findings<'_>) {
    for entry in unit.workflow.on.events.values().flat_map(|trigger| &trigger.schedule) {
        let mut fields = entry.cron.value.split_ascii_whitespace();
        let (Some(minutes), Some(hours)) = (fields.next(), fields.next()) else { continue };
        let Some(interval) = interval(minutes, hours == "*").filter(|interval| *interval < SHORTEST) else {
            continue;
        };
        let message = format!("the schedule fires every {interval} minutes, which GitHub makes {SHORTEST}");
        let every = if interval == 1 { message.replace("1 minutes", "minute") } else { message };
        findings.push(findings.describe(entry.cron.span, every).with_help("write `*/5 * * * *`"));
    }
}

/// The least number of minutes between two minutes of the field; none for a single one or what is no field.
fn interval(field: &str, every_hour: bool) -> Option<u64> {
    let mut fires = [false; MINUTES];
    for part in field.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse().ok().filter(|step| *step > 0)?),
            None => (part, 1),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (0, MINUTES - 1),
            Some((from, to)) => (from.parse().ok()?, to.parse().ok()?),
            None => {
                let from: usize = range.parse().ok()?;
                (from, if part.contains('/') { MINUTES - 1 } else { from })
            }
        };
        (from..=to.min(MINUTES - 1)).step_by(step).for_each(|minute| fires[minute] = true);
    }
    let minutes: Vec<usize> = (0..MINUTES).filter(|minute| fires[*minute]).collect();
    let within = minutes.windows(2).map(|pair| pair[1] - pair[0]);
    // From the last minute of an hour to the first of the next one.
    let around = (every_hour && minutes.len() > 1).then(|| minutes[0] + MINUTES - minutes[minutes.len() - 1]);
    within.chain(around).min().and_then(|interval| u64::try_from(interval).ok())
}
