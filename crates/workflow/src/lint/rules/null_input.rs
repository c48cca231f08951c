//! Null for the inputs of called workflows.

use crate::diagnostic::Severity;
use crate::lint::{Check, Findings, JobUnit};
use crate::model::{InputType, JobKind};
use crate::rule::{Group, Rule};
use crate::template::Entry;

pub(super) static RULE: Rule = Rule {
    code: "null-input",
    severity: Severity::Warning,
    group: Group::Correctness,
    summary: "null for an input of a called workflow that is a text",
    actionlint: Some("expression"),
    page: include_str!("null_input.md"),
    check: Some(Check { job: Some(job), ..Check::NOTHING }),
};

fn job(unit: JobUnit<'_>, findings: &mut Findings<'_>) {
    let JobKind::Call(call) = &unit.job.kind else { return };
    let called = call.workflow.as_ref().and_then(|called| called.on.events.get("workflow_call"));
    let (Some(called), Some(with)) = (called, &call.with) else { return };
    let file = findings.file();
    // Reading has made an empty text of it.
    let is_null = |entry: &&Entry| {
        let written = file.slice(entry.value.span);
        entry.value.as_str() == Some("") && matches!(written, "" | "~" | "null" | "Null" | "NULL")
    };
    for entry in with.entries().iter().filter(is_null) {
        let is_meant = |name: &str| entry.name().is_some_and(|given| given.eq_ignore_ascii_case(name));
        let input = called.call_inputs.iter().find(|(name, _)| is_meant(name));
        let Some((name, _)) = input.filter(|(_, input)| input.kind == InputType::String) else {
            continue;
        };
        let message = format!(
            "the input `{name}` is a text, but null is given: the called workflow gets an empty text"
        );
        let help = "leave the input out, or write the text in quotes";
        findings.push(findings.describe(entry.value.span, message).with_help(help));
    }
}
