//! Workflow commands that GitHub has turned off or is turning off.

use memchr::memmem;

use crate::diagnostic::Severity;
use crate::lint::{Check, Findings, StepUnit};
use crate::model::StepKind;
use crate::rule::{Group, Rule};
use crate::source::Span;

pub(super) static RULE: Rule = Rule {
    code: "deprecated-command",
    severity: Severity::Warning,
    group: Group::Correctness,
    summary: "a workflow command that GitHub has deprecated",
    actionlint: Some("deprecated-commands"),
    page: include_str!("deprecated_command.md"),
    check: Some(Check { step: Some(step), ..Check::NOTHING }),
};

/// The commands, each with what is written in its place.
const COMMANDS: [(&str, &str); 4] = [
    ("set-output", "echo \"NAME=VALUE\" >> \"$GITHUB_OUTPUT\""),
    ("save-state", "echo \"NAME=VALUE\" >> \"$GITHUB_STATE\""),
    ("set-env", "echo \"NAME=VALUE\" >> \"$GITHUB_ENV\""),
    ("add-path", "echo \"FOLDER\" >> \"$GITHUB_PATH\""),
];

fn step(unit: StepUnit<'_>, findings: &mut Findings<'_>) {
    let StepKind::Run { run, .. } = &unit.step().kind else { return };
    let text = findings.file().slice(run.span);
    for start in memmem::find_iter(text.as_bytes(), "::") {
        let behind = &text[start + 2..];
        let command = COMMANDS.iter().find(|(name, _)| {
            behind.strip_prefix(name).is_some_and(|rest| rest.starts_with("::") || rest.starts_with(' '))
        });
        let Some((name, instead)) = command else { continue };
        let start = run.span.start as usize + start + 2;
        let message = format!("the workflow command `{name}` is deprecated");
        let finding = findings.describe(run.span, message).with_help(format!("write `{instead}`"));
        findings.push(finding.with_label(Span::new(start, start + name.len()), "here"));
    }
}
