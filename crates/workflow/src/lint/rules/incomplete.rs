//! Keys whose values lack what GitHub wants of them.

use crate::diagnostic::{Diagnostic, Severity};
use crate::lint::{ActionUnit, Check, Findings, JobUnit, StepUnit, WorkflowUnit};
use crate::model::{JobKind, StepKind};
use crate::rule::{Group, Rule};
use crate::source::Span;
use crate::template::{Token, TokenKind};

pub(super) static RULE: Rule = Rule {
    code: "incomplete",
    severity: Severity::Warning,
    group: Group::Correctness,
    summary: "a part of a file whose mistake GitHub reports inside of it",
    actionlint: Some("syntax-check"),
    page: include_str!("incomplete.md"),
    check: Some(Check {
        workflow: Some(workflow),
        action: Some(action),
        job: Some(job),
        step: Some(step),
        ..Check::NOTHING
    }),
};

fn workflow(unit: WorkflowUnit<'_>, findings: &mut Findings<'_>) {
    check_values(unit.root, findings);
}

fn action(unit: ActionUnit<'_>, findings: &mut Findings<'_>) {
    check_values(unit.root, findings);
}

fn job(unit: JobUnit<'_>, findings: &mut Findings<'_>) {
    let JobKind::Steps(steps) = &unit.job.kind else { return };
    let jobs = unit.workflow.root.entry("jobs");
    let Some(job) = jobs.and_then(|jobs| jobs.value.entry(&unit.job.id.value)) else { return };
    // A job that lacks the key itself is one of the incomplete values.
    let is_told = errors_at(&job.value, findings).next().is_some();
    if steps.steps.is_empty() && job.value.entry("steps").is_none() && !is_told {
        let message = format!("the job `{}` has no steps that can be read", unit.job.id.value);
        findings.add(job.key_span, message);
    }
}

fn step(unit: StepUnit<'_>, findings: &mut Findings<'_>) {
    let step = unit.step();
    let other = match step.kind {
        StepKind::Run { .. } => "'uses'",
        StepKind::Uses { .. } => "'run'",
        StepKind::Wait { .. } | StepKind::WaitAll | StepKind::Cancel { .. } => return,
    };
    let is_other = |error: &Diagnostic| {
        error.code == "unexpected-key" && error.message.ends_with(other) && is_in(error, step.span)
    };
    if findings.errors().any(is_other) {
        findings.add(step.span, "a step has either `run` or `uses`, not both");
    }
}

fn is_in(error: &Diagnostic, span: Span) -> bool {
    error.primary.is_some_and(|place| span.start <= place.start && place.end <= span.end)
}

/// Codes of mistakes that are about a mapping as a whole.
const OF_MAPPINGS: [&str; 3] = ["container-image", "dispatch-inputs", "missing-key"];

/// The errors about a mapping as a whole, which GitHub reports at its start.
fn errors_at<'a>(value: &Token, findings: &'a Findings<'_>) -> impl Iterator<Item = &'a Diagnostic> {
    let span = value.span;
    findings.errors().filter(move |error| error.primary == Some(span) && OF_MAPPINGS.contains(&error.code))
}

/// Whether the mistake follows from another one: an image that is refused is missing as well.
fn follows(error: &Diagnostic, value: &Token, findings: &Findings<'_>) -> bool {
    error.code == "container-image" && findings.errors().filter(|other| is_in(other, value.span)).count() > 1
}

fn check_values(root: &Token, findings: &mut Findings<'_>) {
    if findings.errors().next().is_some() {
        check(root, findings);
    }
}

fn check(token: &Token, findings: &mut Findings<'_>) {
    for entry in token.entries() {
        if let TokenKind::Mapping(_) = entry.value.kind {
            let error =
                errors_at(&entry.value, findings).find(|error| !follows(error, &entry.value, findings));
            let message = error.map(|error| error.message.clone());
            let line = |offset| findings.file().position(offset).line;
            // The mistake may be one of an alias, whose place is that of its anchor.
            let between = Span { start: entry.key_span.end, end: entry.value.span.start };
            let is_below = line(entry.key_span.start) < line(entry.value.span.start)
                && !findings.file().slice(between).contains('&');
            if let Some((message, name)) = message.filter(|_| is_below).zip(entry.name()) {
                findings.add(entry.key_span, format!("`{name}` is not complete: {message}"));
            }
        }
        check(&entry.value, findings);
    }
    token.items().iter().for_each(|item| check(item, findings));
}
