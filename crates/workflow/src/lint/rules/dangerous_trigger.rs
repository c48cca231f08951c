//! Events that strangers start and that have secrets.

use crate::diagnostic::Severity;
use crate::lint::{Check, Findings, WorkflowUnit, events};
use crate::rule::{Group, Rule};

pub(super) static RULE: Rule = Rule {
    code: "dangerous-trigger",
    severity: Severity::Info,
    group: Group::Security,
    summary: "an event that strangers start and whose workflow has secrets",
    actionlint: None,
    page: include_str!("dangerous_trigger.md"),
    check: Some(Check { workflow: Some(workflow), ..Check::NOTHING }),
};

fn workflow(unit: WorkflowUnit<'_>, findings: &mut Findings<'_>) {
    for (event, span) in events::privileged(unit.workflow).filter(|(event, _)| *event != "issue_comment") {
        let message =
            format!("strangers start `{event}`, and its workflows have secrets and a token that may write");
        let help = match event {
            "pull_request_target" => "use `pull_request` where no secrets are needed",
            _ => "take what the other workflow made as the text of a stranger",
        };
        findings.push(findings.describe(span, message).with_help(help));
    }
}
