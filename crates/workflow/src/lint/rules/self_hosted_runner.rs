//! Machines of one's own that run what strangers send.

use crate::diagnostic::Severity;
use crate::lint::{Check, Findings, JobUnit, events};
use crate::model::JobKind;
use crate::rule::{Group, Rule};
use crate::template::{Token, TokenKind};

pub(super) static RULE: Rule = Rule {
    code: "self-hosted-runner",
    severity: Severity::Info,
    group: Group::Security,
    summary: "a runner of one's own for an event that strangers start",
    actionlint: None,
    page: include_str!("self_hosted_runner.md"),
    check: Some(Check { job: Some(job), ..Check::NOTHING }),
};

fn job(unit: JobUnit<'_>, findings: &mut Findings<'_>) {
    let JobKind::Steps(kind) = &unit.job.kind else { return };
    let Some(runs_on) = &kind.runs_on else { return };
    let matrix = unit.job.strategy.as_ref().filter(|_| runs_on.has_expression());
    if !names_own_runner(runs_on) && !matrix.is_some_and(names_own_runner) {
        return;
    }
    let Some((event, span)) = events::open(unit.workflow.workflow) else { return };
    let message = format!("strangers can start the job by `{event}`, on a machine of your own");
    let help = "use runners of GitHub, or machines that are made for one job, and let people approve runs of strangers";
    let finding = findings.describe(runs_on.span, message).with_help(help);
    findings.push(finding.with_label(span, "started by strangers"));
}

fn names_own_runner(token: &Token) -> bool {
    match &token.kind {
        TokenKind::String(text) => text.eq_ignore_ascii_case("self-hosted"),
        TokenKind::Sequence(items) => items.iter().any(names_own_runner),
        TokenKind::Mapping(entries) => entries.iter().any(|entry| names_own_runner(&entry.value)),
        _ => false,
    }
}
