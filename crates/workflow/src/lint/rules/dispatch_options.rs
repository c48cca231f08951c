//! Options and defaults of `workflow_dispatch` that do not fit together.

use crate::diagnostic::Severity;
use crate::lint::{Check, Findings, WorkflowUnit};
use crate::rule::{Group, Rule};
use crate::template::Token;

pub(super) static RULE: Rule = Rule {
    code: "dispatch-options",
    severity: Severity::Warning,
    group: Group::Correctness,
    summary: "options of an input that are empty, are there twice or do not have the default",
    actionlint: Some("events"),
    page: include_str!("dispatch_options.md"),
    check: Some(Check { workflow: Some(workflow), ..Check::NOTHING }),
};

fn workflow(unit: WorkflowUnit<'_>, findings: &mut Findings<'_>) {
    let path = ["on", "workflow_dispatch", "inputs"];
    let inputs = path.iter().try_fold(unit.root, |token, name| Some(&token.entry(name)?.value));
    for input in inputs.map(Token::entries).unwrap_or_default() {
        let is_choice = input.value.entry("type").is_some_and(|kind| kind.value.as_str() == Some("choice"));
        if is_choice && let Some(options) = input.value.entry("options") {
            check(&options.value, input.value.entry("default").map(|entry| &entry.value), findings);
        }
    }
}

fn check(options: &Token, default: Option<&Token>, findings: &mut Findings<'_>) {
    let place = options.span;
    let options = options.items();
    if options.is_empty() {
        findings.add(place, "there is no option to choose");
        return;
    }
    for (index, option) in options.iter().enumerate() {
        let Some(text) = option.as_str() else { continue };
        if text.is_empty() {
            findings.add(option.span, "the option is empty");
        }
        if let Some(first) = options[..index].iter().find(|first| first.as_str() == Some(text)) {
            let finding = findings.describe(option.span, format!("the option `{text}` is there twice"));
            findings.push(finding.with_label(first.span, "first here"));
        }
    }
    let Some((token, text)) = default.and_then(|token| Some((token, token.as_str()?))) else { return };
    if options.iter().filter_map(Token::as_str).all(|option| option != text) {
        let known: Vec<String> =
            options.iter().filter_map(Token::as_str).map(|option| format!("`{option}`")).collect();
        let finding = findings.describe(token.span, format!("the default `{text}` is none of the options"));
        findings.push(finding.with_help(format!("the options are {}", known.join(", "))));
    }
}
