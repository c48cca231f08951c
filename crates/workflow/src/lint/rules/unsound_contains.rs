//! `contains` that looks for a part of a text where a list was meant.

use crate::diagnostic::{Edit, Severity};
use crate::expr::{Expr, Function, NodeKind};
use crate::lint::{Check, Findings, JobUnit, StepUnit, nodes};
use crate::rule::{Group, Rule};
use crate::source::{SourceFile, Span};
use crate::template::Token;

pub(super) static RULE: Rule = Rule {
    code: "unsound-contains",
    severity: Severity::Warning,
    group: Group::Security,
    summary: "a condition that is true for each part of a text",
    actionlint: None,
    page: include_str!("unsound_contains.md"),
    check: Some(Check { job: Some(job), step: Some(step), ..Check::NOTHING }),
};

/// What others choose or what decides who may do something.
const CHOSEN: [&str; 9] = [
    "github.actor",
    "github.triggering_actor",
    "github.ref",
    "github.ref_name",
    "github.head_ref",
    "github.base_ref",
    "github.repository",
    "github.repository_owner",
    "github.event_name",
];

fn job(unit: JobUnit<'_>, findings: &mut Findings<'_>) {
    check(&unit.job.condition, unit.job.written_condition.as_ref(), findings);
}

fn step(unit: StepUnit<'_>, findings: &mut Findings<'_>) {
    check(&unit.step().condition, unit.step().written_condition.as_ref(), findings);
}

fn check(condition: &Expr, written: Option<&Token>, findings: &mut Findings<'_>) {
    let Some(written) = written else { return };
    if !condition.functions().any(|function| function == Function::Contains) {
        return;
    }
    for node in condition.nodes() {
        let NodeKind::Call(Function::Contains, mut arguments) = node.kind() else { continue };
        let (Some(search), Some(item)) = (arguments.next(), arguments.next()) else { continue };
        let NodeKind::String(text) = search.kind() else { continue };
        let Some(path) = nodes::path_of(item) else { continue };
        if text.is_empty() || !(CHOSEN.contains(&path.as_str()) || path.starts_with("github.event.")) {
            continue;
        }
        let message = format!("any part of '{text}' that `{path}` can be makes this true");
        let words: Vec<&str> = text.split([' ', ',']).filter(|word| !word.is_empty()).collect();
        let list = format!(
            "fromJSON('[{}]')",
            words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
        );
        let finding = findings
            .describe(written.span, message)
            .with_help(format!("look in a list: `contains({list}, {path})`"));
        let plain = !text.contains(['"', '\\', '\'']) && !words.is_empty();
        findings.push(match literal(findings.file(), written.span, text).filter(|_| plain) {
            Some(span) => finding.with_fix("look in a list", vec![Edit { span, text: list }]),
            None => finding,
        });
    }
}

/// Where the only `'text'` of a scalar is, whose notation changes no quotes.
fn literal(file: &SourceFile, span: Span, text: &str) -> Option<Span> {
    let source = file.slice(span);
    let quoted = format!("'{text}'");
    let mut found = source.match_indices(&quoted);
    let (at, _) = found.next().filter(|_| !source.starts_with(['\'', '"']))?;
    let start = span.start as usize + at;
    found.next().is_none().then(|| Span::new(start, start + quoted.len()))
}
