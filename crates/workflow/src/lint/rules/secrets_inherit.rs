//! All secrets for a workflow of another repository.

use crate::diagnostic::Severity;
use crate::lint::uses::Remote;
use crate::lint::{Check, Findings, JobUnit};
use crate::model::{CallSecrets, JobKind};
use crate::rule::{Group, Rule};

pub(super) static RULE: Rule = Rule {
    code: "secrets-inherit",
    severity: Severity::Warning,
    group: Group::Security,
    summary: "a workflow of another repository gets all secrets",
    actionlint: None,
    page: include_str!("secrets_inherit.md"),
    check: Some(Check { job: Some(job), ..Check::NOTHING }),
};

fn job(unit: JobUnit<'_>, findings: &mut Findings<'_>) {
    let JobKind::Call(call) = &unit.job.kind else { return };
    if !matches!(call.secrets, CallSecrets::Inherit) {
        return;
    }
    let Some(remote) = Remote::parse(&call.uses.value) else { return };
    let message = match remote.is_pinned() {
        true => format!("a workflow of `{}` gets all secrets", remote.repository),
        false => format!(
            "a workflow of `{}` gets all secrets, and `{}` can be moved to another",
            remote.repository, remote.version
        ),
    };
    let help = "name the secrets that it needs below `secrets`";
    let mut finding = findings.describe(call.uses.span, message).with_help(help);
    if remote.is_pinned() {
        finding.severity = Severity::Info;
    }
    findings.push(finding);
}
