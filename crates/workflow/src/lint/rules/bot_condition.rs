//! Conditions that take the last actor of a pull request for its author.

use crate::diagnostic::Severity;
use crate::expr::Expr;
use crate::lint::{Check, Findings, JobUnit, StepUnit, WorkflowUnit, events, nodes};
use crate::rule::{Group, Rule};
use crate::template::Token;

pub(super) static RULE: Rule = Rule {
    code: "bot-condition",
    severity: Severity::Warning,
    group: Group::Security,
    summary: "a condition that trusts a bot by the name of who acted last",
    actionlint: None,
    page: include_str!("bot_condition.md"),
    check: Some(Check { job: Some(job), step: Some(step), ..Check::NOTHING }),
};

/// How the names of bots end.
const BOT: &str = "[bot]";

/// Who acted last, not who wrote what runs.
const ACTORS: [&str; 4] = [
    "github.actor",
    "github.triggering_actor",
    "github.event.sender.login",
    "github.event.pull_request.sender.login",
];

fn job(unit: JobUnit<'_>, findings: &mut Findings<'_>) {
    check(unit.workflow, &unit.job.condition, unit.job.written_condition.as_ref(), findings);
}

fn step(unit: StepUnit<'_>, findings: &mut Findings<'_>) {
    if let Some(job) = unit.job() {
        let step = unit.step();
        check(job.workflow, &step.condition, step.written_condition.as_ref(), findings);
    }
}

fn check(unit: WorkflowUnit<'_>, condition: &Expr, written: Option<&Token>, findings: &mut Findings<'_>) {
    let Some(written) = written.filter(|_| condition.source().contains(BOT)) else { return };
    // Where the author is asked for too, the actor does not matter.
    if nodes::equalities(condition).any(|(path, name)| name.ends_with(BOT) && path.ends_with(".user.login")) {
        return;
    }
    let mut equalities = nodes::equalities(condition);
    let trusted = equalities.find(|(path, name)| name.ends_with(BOT) && ACTORS.contains(&path.as_str()));
    let Some((path, name)) = trusted else { return };
    let Some((event, span)) = events::open(unit.workflow) else { return };
    let message =
        format!("`{path}` is who acted last: strangers can make `{name}` act on their own pull request");
    let mut finding = findings
        .describe(written.span, message)
        .with_label(span, format!("`{event}` is started by strangers"))
        .with_help(format!("ask for the author: `github.event.pull_request.user.login == '{name}'`"));
    if events::privileged(unit.workflow).next().is_none() {
        finding.severity = Severity::Info;
    }
    findings.push(finding);
}
