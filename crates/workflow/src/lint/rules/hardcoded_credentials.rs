//! Passwords in the text of a workflow.

use crate::diagnostic::Severity;
use crate::lint::uses::Remote;
use crate::lint::{Check, Findings, JobUnit, StepUnit};
use crate::model::{JobKind, StepKind};
use crate::rule::{Group, Rule};
use crate::template::{Token, TokenKind};

pub(super) static RULE: Rule = Rule {
    code: "hardcoded-credentials",
    severity: Severity::Warning,
    group: Group::Security,
    summary: "a password of a container registry that stands in the file",
    actionlint: Some("credentials"),
    page: include_str!("hardcoded_credentials.md"),
    check: Some(Check { job: Some(job), step: Some(step), ..Check::NOTHING }),
};

fn job(unit: JobUnit<'_>, findings: &mut Findings<'_>) {
    let JobKind::Steps(kind) = &unit.job.kind else { return };
    if let Some(container) = &kind.container {
        check(container, "container", findings);
    }
    for service in kind.services.iter().flat_map(Token::entries) {
        let name = service.name().unwrap_or_default();
        check(&service.value, &format!("service `{name}`"), findings);
    }
}

fn step(unit: StepUnit<'_>, findings: &mut Findings<'_>) {
    let StepKind::Uses { uses, with: Some(with) } = &unit.step().kind else { return };
    let is_login = || Remote::parse(&uses.value).is_some_and(|remote| remote.is("docker/login-action"));
    if let Some(password) = with.entry("password").map(|entry| &entry.value)
        && is_literal(password)
        && is_login()
    {
        findings.push(
            findings
                .describe(password.span, "the password of the registry stands in the workflow")
                .with_help("store it as a secret and write `${{ secrets.NAME }}`"),
        );
    }
}

fn check(container: &Token, name: &str, findings: &mut Findings<'_>) {
    let credentials = container.entry("credentials").map(|entry| &entry.value);
    let Some(password) = credentials.and_then(|credentials| credentials.entry("password")) else { return };
    // An expression of one text is read as that text.
    let is_expression = findings.file().slice(password.value.span).contains("${{");
    if is_literal(&password.value) && !is_expression {
        let message = format!("the password for the image of the {name} stands in the workflow");
        let finding = findings.describe(password.value.span, message);
        findings.push(finding.with_help("store it as a secret and write `${{ secrets.NAME }}`"));
    }
}

fn is_literal(token: &Token) -> bool {
    match &token.kind {
        TokenKind::String(text) => !text.is_empty(),
        TokenKind::Number(_) | TokenKind::Bool(_) => true,
        _ => false,
    }
}
