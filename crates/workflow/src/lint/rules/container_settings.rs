//! Containers that lack what they need.

use crate::diagnostic::Severity;
use crate::lint::{Check, Findings, JobUnit};
use crate::model::JobKind;
use crate::rule::{Group, Rule};
use crate::source::Span;
use crate::template::{Entry, Token, TokenKind};

pub(super) static RULE: Rule = Rule {
    code: "container-settings",
    severity: Severity::Warning,
    group: Group::Correctness,
    summary: "a container without an image, or with half of its credentials",
    actionlint: Some("syntax-check"),
    page: include_str!("container_settings.md"),
    check: Some(Check { job: Some(job), ..Check::NOTHING }),
};

fn job(unit: JobUnit<'_>, findings: &mut Findings<'_>) {
    let JobKind::Steps(steps) = &unit.job.kind else { return };
    if let Some(container) = &steps.container {
        let is_meant = matches!(findings.file().slice(container.span), "null" | "Null" | "NULL" | "~");
        let is_empty = container.as_str() == Some("") || matches!(container.kind, TokenKind::Null);
        if is_empty && !is_meant {
            findings.add(container.span, "the container has no image, so that the job runs without one");
        }
        check_credentials(container, findings);
    }
    for service in steps.services.iter().flat_map(Token::entries) {
        check_credentials(&service.value, findings);
    }
}

fn check_credentials(container: &Token, findings: &mut Findings<'_>) {
    let Some(entry) = container.entry("credentials") else { return };
    let has = |name| entry.value.entry(name).is_some();
    let is_whole = entry.value.is_expression() || (has("username") && has("password"));
    if !is_whole && !has_error(entry, findings) {
        let missing = if has("username") { "password" } else { "username" };
        findings
            .add(entry.key_span, format!("the credentials have no `{missing}`, so that nobody is logged in"));
    }
}

/// Whether something of the entry could not be read.
fn has_error(entry: &Entry, findings: &Findings<'_>) -> bool {
    findings.has_errors_in(Span { start: entry.key_span.start, end: entry.value.span.end })
}
