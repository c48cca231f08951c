//! Names of environment variables that processes cannot have.

use crate::diagnostic::Severity;
use crate::lint::{ActionUnit, Check, Findings, JobUnit, StepUnit, WorkflowUnit};
use crate::model::{ActionRuns, JobKind};
use crate::rule::{Group, Rule};
use crate::template::Token;

pub(super) static RULE: Rule = Rule {
    code: "env-name",
    severity: Severity::Warning,
    group: Group::Correctness,
    summary: "a name of an environment variable that does not work",
    actionlint: Some("env-var"),
    page: include_str!("env_name.md"),
    check: Some(Check {
        workflow: Some(workflow),
        job: Some(job),
        step: Some(step),
        action: Some(action),
        ..Check::NOTHING
    }),
};

fn workflow(unit: WorkflowUnit<'_>, findings: &mut Findings<'_>) {
    check(unit.workflow.env.as_ref(), findings);
}

fn job(unit: JobUnit<'_>, findings: &mut Findings<'_>) {
    let JobKind::Steps(steps) = &unit.job.kind else { return };
    check(steps.env.as_ref(), findings);
    let env = |container: &Token, findings: &mut Findings<'_>| {
        check(container.entry("env").map(|entry| &entry.value), findings);
    };
    steps.container.iter().for_each(|container| env(container, findings));
    let services = steps.services.iter().flat_map(Token::entries);
    services.for_each(|service| env(&service.value, findings));
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
    for entry in env.map(Token::entries).unwrap_or_default() {
        let Some(name) = entry.name() else { continue };
        if name.is_empty() || name.contains(['=', '&', ' ', '\t', '\n', '\0']) {
            let message = format!("`{name}` is no name of an environment variable");
            let finding = findings.describe(entry.key_span, message);
            findings.push(finding.with_help("use letters, digits and `_`, the first no digit"));
        }
    }
}
