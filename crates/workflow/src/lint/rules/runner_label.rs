//! Labels that no runner has.

use crate::diagnostic::{Diagnostic, Severity};
use crate::lint::matrix_values::values_of;
use crate::lint::runner_labels::{self, Hosted};
use crate::lint::{Check, Findings, JobUnit};
use crate::model::{Job, JobKind};
use crate::read::nearest;
use crate::rule::{Group, Rule};
use crate::source::Span;
use crate::template::{Token, TokenKind};

pub(super) static RULE: Rule = Rule {
    code: "runner-label",
    severity: Severity::Warning,
    group: Group::Correctness,
    summary: "a label that no runner has, or one of runners that go away",
    actionlint: Some("runner-label"),
    page: include_str!("runner_label.md"),
    check: Some(Check { job: Some(job), ..Check::NOTHING }),
};

fn job(unit: JobUnit<'_>, findings: &mut Findings<'_>) {
    let Some(labels) = labels_of(unit.job) else { return };
    let mut seen = Vec::new();
    for set in label_sets(labels, unit.job) {
        check(&set, &mut seen, findings);
    }
}

/// What a job says of its runner's labels; none where it names a group, whose labels are its owner's.
pub(super) fn labels_of(job: &Job) -> Option<&Token> {
    let JobKind::Steps(steps) = &job.kind else { return None };
    let runs_on = steps.runs_on.as_ref()?;
    if runs_on.entry("group").is_some() {
        return None;
    }
    Some(runs_on.entry("labels").map_or(runs_on, |entry| &entry.value))
}

/// The sets of labels that the job's legs ask for together, with a value of the matrix in the place of its expression.
/// The labels that all legs have stand first.
pub(super) fn label_sets<'a>(labels: &'a Token, job: &'a Job) -> Vec<Vec<&'a Token>> {
    let together = |value: &'a Token| match &value.kind {
        TokenKind::Sequence(items) => items.iter().collect(),
        _ => vec![value],
    };
    let (expressions, fixed): (Vec<&Token>, Vec<&Token>) =
        together(labels).into_iter().partition(|label| label.is_expression());
    let values = expressions.into_iter().flat_map(|label| values_of(label, job));
    let sets = values.map(|value| fixed.iter().copied().chain(together(value)).collect());
    let mut sets: Vec<Vec<&Token>> = sets.collect();
    if sets.is_empty() {
        sets.push(fixed);
    }
    sets
}

fn check(set: &[&Token], seen: &mut Vec<Span>, findings: &mut Findings<'_>) {
    let texts = || set.iter().filter_map(|token| token.as_str());
    // Who names a runner of their own knows its labels.
    if texts().any(|label| label.eq_ignore_ascii_case("self-hosted")) {
        return;
    }
    for (token, label) in set.iter().filter_map(|token| Some((*token, token.as_str()?))) {
        let is_set = findings.settings().runner_labels.iter().any(|own| runner_labels::matches(own, label));
        if seen.contains(&token.span) {
            continue;
        }
        seen.push(token.span);
        if label.is_empty() || is_set || runner_labels::is_own(label) {
            continue;
        }
        match runner_labels::hosted(label) {
            Some(Hosted::Present) => {}
            Some(Hosted::Gone) => {
                let message = format!("GitHub no longer has runners with the label `{label}`");
                findings.push(findings.describe(token.span, message).with_help("use a newer image"));
            }
            Some(Hosted::Leaving) => {
                let message = format!("GitHub is taking away the runners with the label `{label}`");
                let finding = findings.describe(token.span, message).with_help("use a newer image");
                findings.push(Diagnostic { severity: Severity::Info, ..finding });
            }
            None => unknown(token, label, findings),
        }
    }
}

fn unknown(token: &Token, label: &str, findings: &mut Findings<'_>) {
    let meant = nearest(label, runner_labels::present());
    // Where the repository's own labels are set, others are none of them.
    let are_own_known = !findings.settings().runner_labels.is_empty();
    if meant.is_none() && !are_own_known && !runner_labels::looks_mistaken(label) {
        return;
    }
    let finding = findings.describe(token.span, format!("GitHub has no runners with the label `{label}`"));
    findings.push(finding.with_help(match meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => {
            "if it is a label of your own runners, name it under `runner-labels` in the configuration".into()
        }
    }));
}
