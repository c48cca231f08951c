//! Labels that no runner has together.

use super::runner_label::{label_sets, labels_of};
use crate::diagnostic::Severity;
use crate::lint::runner_labels::{System, system};
use crate::lint::{Check, Findings, JobUnit};
use crate::rule::{Group, Rule};
use crate::template::Token;

pub(super) static RULE: Rule = Rule {
    code: "runner-conflict",
    severity: Severity::Warning,
    group: Group::Correctness,
    summary: "labels that no runner has together, or none at all",
    actionlint: Some("runner-label"),
    page: include_str!("runner_conflict.md"),
    check: Some(Check { job: Some(job), ..Check::NOTHING }),
};

fn job(unit: JobUnit<'_>, findings: &mut Findings<'_>) {
    let Some(labels) = labels_of(unit.job) else { return };
    if matches!(&labels.kind, crate::template::TokenKind::Sequence(items) if items.is_empty()) {
        findings.add(labels.span, "no label is named, so that any runner may take the job");
        return;
    }
    for set in label_sets(labels, unit.job) {
        let mut known = set.iter().filter_map(|token| told(token));
        let Some((first, label, of_first)) = known.next() else { continue };
        for (token, other, _) in known.filter(|(_, _, system)| *system != of_first) {
            let message = format!("no runner has both the label `{other}` and the label `{label}`");
            let finding = findings.describe(token.span, message).with_label(first.span, "the other label");
            findings.push(
                finding.with_help("a job runs once on a runner with all labels; use a matrix for several"),
            );
        }
    }
}

fn told<'a>(token: &'a &Token) -> Option<(&'a Token, &'a str, System)> {
    let label = token.as_str()?;
    Some((token, label, system(label)?))
}
