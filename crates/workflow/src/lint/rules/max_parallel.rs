//! Limits of parallel jobs that count no jobs.

use crate::diagnostic::Severity;
use crate::lint::{Check, Findings, JobUnit};
use crate::rule::{Group, Rule};
use crate::template::TokenKind;

pub(super) static RULE: Rule = Rule {
    code: "max-parallel",
    severity: Severity::Warning,
    group: Group::Correctness,
    summary: "a limit of parallel jobs that is no whole number above zero",
    actionlint: Some("syntax-check"),
    page: include_str!("max_parallel.md"),
    check: Some(Check { job: Some(job), ..Check::NOTHING }),
};

fn job(unit: JobUnit<'_>, findings: &mut Findings<'_>) {
    let Some(strategy) = &unit.job.strategy else { return };
    let Some(entry) = strategy.entry("max-parallel") else { return };
    if let TokenKind::Number(limit) = entry.value.kind
        && (limit.fract() != 0.0 || limit < 1.0)
    {
        let message = format!("`max-parallel` counts jobs, but {limit} is no whole number above zero");
        findings.add(entry.value.span, message);
    }
}
