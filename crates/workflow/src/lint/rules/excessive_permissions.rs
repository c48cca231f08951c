//! Tokens that may do more than their jobs need.

use crate::diagnostic::Severity;
use crate::lint::{Check, Findings, JobUnit, WorkflowUnit, events};
use crate::model::Job;
use crate::rule::{Group, Rule};
use crate::template::Token;

pub(super) static RULE: Rule = Rule {
    code: "excessive-permissions",
    severity: Severity::Warning,
    group: Group::Security,
    summary: "a token that may do more than its jobs need",
    actionlint: None,
    page: include_str!("excessive_permissions.md"),
    check: Some(Check { workflow: Some(workflow), job: Some(job), ..Check::NOTHING }),
};

const HELP: &str = "write `permissions` with what the jobs need, such as `contents: read`";

fn workflow(unit: WorkflowUnit<'_>, findings: &mut Findings<'_>) {
    let inheriting: Vec<&Job> = unit.workflow.jobs.iter().filter(|job| job.permissions.is_none()).collect();
    let Some(permissions) = &unit.workflow.permissions else {
        if let Some(job) = inheriting.first()
            && !events::is_only_called(unit.workflow)
        {
            let message =
                "the job's token may do what the repository's default says, which can be to write everything";
            let mut finding = findings.describe(job.id.span, message).with_help(HELP);
            finding.severity = Severity::Info;
            findings.push(finding);
        }
        return;
    };
    check_all(permissions, findings);
    if inheriting.len() > 1 {
        let written = permissions.entries().iter().find(|entry| entry.value.as_str() == Some("write"));
        let Some(entry) = written else { return };
        let count = inheriting.len();
        let scope = entry.name().unwrap_or_default();
        let message = format!("all {count} jobs may write `{scope}`: the workflow says so for all of them");
        let mut finding = findings.describe(entry.key_span, message);
        finding.severity = Severity::Info;
        findings.push(finding.with_help("give it in the `permissions` of the job that needs it"));
    }
}

fn job(unit: JobUnit<'_>, findings: &mut Findings<'_>) {
    if let Some(permissions) = &unit.job.permissions {
        check_all(permissions, findings);
    }
}

fn check_all(permissions: &Token, findings: &mut Findings<'_>) {
    if permissions.as_str() == Some("write-all") {
        let message = "the token may write everything: code, packages, releases, settings of issues";
        findings.push(findings.describe(permissions.span, message).with_help(HELP));
    }
}
