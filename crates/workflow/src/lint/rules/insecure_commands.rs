//! The switch that brings back workflow commands that GitHub has turned off.

use crate::diagnostic::Severity;
use crate::lint::{ActionUnit, Check, Findings, JobUnit, StepUnit, WorkflowUnit};
use crate::model::{ActionRuns, JobKind};
use crate::rule::{Group, Rule};
use crate::template::{Token, TokenKind};

pub(super) static RULE: Rule = Rule {
    code: "insecure-commands",
    severity: Severity::Warning,
    group: Group::Security,
    summary: "commands in the output of steps that set variables and paths are turned on again",
    actionlint: None,
    page: include_str!("insecure_commands.md"),
    check: Some(Check {
        workflow: Some(workflow),
        job: Some(job),
        step: Some(step),
        action: Some(action),
        ..Check::NOTHING
    }),
};

const VARIABLE: &str = "ACTIONS_ALLOW_UNSECURE_COMMANDS";

fn workflow(unit: WorkflowUnit<'_>, findings: &mut Findings<'_>) {
    check(unit.workflow.env.as_ref(), findings);
}

fn job(unit: JobUnit<'_>, findings: &mut Findings<'_>) {
    if let JobKind::Steps(kind) = &unit.job.kind {
        check(kind.env.as_ref(), findings);
    }
}

fn step(unit: StepUnit<'_>, findings: &mut Findings<'_>) {
    check(unit.step().env.as_ref(), findings);
}

fn action(unit: ActionUnit<'_>, findings: &mut Findings<'_>) {
    if let ActionRuns::Docker { env, .. } = &unit.action.runs {
        check(env.as_ref(), findings);
    }
}

fn check(env: Option<&Token>, findings: &mut Findings<'_>) {
    let entries = env.map(Token::entries).unwrap_or_default();
    let found =
        entries.iter().find(|entry| entry.name().is_some_and(|name| name.eq_ignore_ascii_case(VARIABLE)));
    let Some(entry) = found else { return };
    let off = match &entry.value.kind {
        TokenKind::Null | TokenKind::Bool(false) => true,
        TokenKind::String(text) => text.is_empty() || text.eq_ignore_ascii_case("false"),
        _ => false,
    };
    if !off {
        let message = "whatever a step prints can set environment variables and paths again";
        let help = "remove the variable and write to the files `$GITHUB_ENV` and `$GITHUB_PATH`";
        findings.push(findings.describe(entry.key_span, message).with_help(help));
    }
}
