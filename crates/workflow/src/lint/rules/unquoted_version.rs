//! Versions that YAML reads as numbers, so that `3.10` becomes `3.1`.

use crate::diagnostic::{Edit, Severity};
use crate::lint::{ActionUnit, Check, Findings, JobUnit, StepUnit, WorkflowUnit};
use crate::model::{JobKind, StepKind};
use crate::rule::{Group, Rule};
use crate::template::{Entry, Token, TokenKind};

pub(super) static RULE: Rule = Rule {
    code: "unquoted-version",
    severity: Severity::Warning,
    group: Group::Correctness,
    summary: "a version that is a number and loses its last digit",
    actionlint: None,
    page: include_str!("unquoted_version.md"),
    check: Some(Check {
        workflow: Some(workflow),
        job: Some(job),
        step: Some(step),
        action: Some(action),
        ..Check::NOTHING
    }),
};

/// What names a version beside words that have `version` in them.
const LANGUAGES: [&str; 12] =
    ["python", "go", "golang", "node", "ruby", "php", "java", "jdk", "dotnet", "rust", "perl", "postgres"];

fn workflow(unit: WorkflowUnit<'_>, findings: &mut Findings<'_>) {
    entries(unit.workflow.env.as_ref(), findings);
    for trigger in unit.workflow.on.events.values() {
        for (name, input) in &trigger.call_inputs {
            value(name, input.default.as_ref(), findings);
        }
    }
}

fn job(unit: JobUnit<'_>, findings: &mut Findings<'_>) {
    match &unit.job.kind {
        JobKind::Steps(steps) => entries(steps.env.as_ref(), findings),
        JobKind::Call(call) => entries(call.with.as_ref(), findings),
    }
    let matrix = unit.job.strategy.as_ref().and_then(|strategy| strategy.entry("matrix"));
    for entry in matrix.map(|matrix| matrix.value.entries()).unwrap_or_default() {
        match entry.name() {
            Some("include" | "exclude") => {
                entry.value.items().iter().for_each(|leg| entries(Some(leg), findings));
            }
            Some(name) => entry.value.items().iter().for_each(|it| value(name, Some(it), findings)),
            None => {}
        }
    }
}

fn step(unit: StepUnit<'_>, findings: &mut Findings<'_>) {
    let step = unit.step();
    entries(step.env.as_ref(), findings);
    if let StepKind::Uses { with, .. } = &step.kind {
        entries(with.as_ref(), findings);
    }
}

fn action(unit: ActionUnit<'_>, findings: &mut Findings<'_>) {
    for (name, input) in &unit.action.inputs {
        value(name, input.default.as_ref(), findings);
    }
}

fn entries(mapping: Option<&Token>, findings: &mut Findings<'_>) {
    for Entry { key, value: token, .. } in mapping.map(Token::entries).unwrap_or_default() {
        if let crate::template::Key::Literal(name) = key {
            value(name, Some(token), findings);
        }
    }
}

fn value(name: &str, token: Option<&Token>, findings: &mut Findings<'_>) {
    let Some(token) = token else { return };
    if !matches!(token.kind, TokenKind::Number(_) | TokenKind::String(_)) {
        return;
    }
    let written = findings.file().slice(token.span);
    let Some(read) = shortened(written).filter(|_| names_a_version(name)) else { return };
    let edit = Edit { span: token.span, text: format!("'{written}'") };
    let message = format!("the version `{written}` is the number {read}");
    let finding = findings.describe(token.span, message).with_help(format!("quote it: `'{written}'`"));
    findings.push(finding.with_fix("quote the version", vec![edit]));
}

fn names_a_version(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.contains("version") || name.split(['-', '_']).any(|word| LANGUAGES.contains(&word))
}

/// What GitHub makes of a plain decimal number that ends in zeros behind the point; none of other text.
fn shortened(written: &str) -> Option<&str> {
    if !written.ends_with('0') {
        return None;
    }
    let (whole, fraction) = written.split_once('.')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    Some(written.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::{names_a_version, shortened};

    #[test]
    fn numbers_that_lose_digits() {
        let check = |text: &str, expected: Option<&str>| assert_eq!(shortened(text), expected, "{text}");
        check("3.10", Some("3.1"));
        check("20.0", Some("20"));
        check("1.100", Some("1.1"));
        check("3.11", None);
        check("1.2.0", None);
        check("'3.10'", None);
        check("10", None);
        check("v1.0", None);
    }

    #[test]
    fn names_of_versions() {
        for name in ["python-version", "GO_VERSION", "node", "ruby_version", "JDK"] {
            assert!(names_a_version(name), "{name}");
        }
        for name in ["ratio", "goal", "timeout"] {
            assert!(!names_a_version(name), "{name}");
        }
    }
}
