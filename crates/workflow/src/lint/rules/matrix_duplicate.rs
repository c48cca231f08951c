//! Values that a matrix has twice.

use crate::diagnostic::Severity;
use crate::lint::matrix_values::matrix_of;
use crate::lint::{Check, Findings, JobUnit};
use crate::rule::{Group, Rule};
use crate::template::{Entry, Token, TokenKind};

pub(super) static RULE: Rule = Rule {
    code: "matrix-duplicate",
    severity: Severity::Warning,
    group: Group::Correctness,
    summary: "a value that a matrix has twice",
    actionlint: Some("matrix"),
    page: include_str!("matrix_duplicate.md"),
    check: Some(Check { job: Some(job), ..Check::NOTHING }),
};

fn job(unit: JobUnit<'_>, findings: &mut Findings<'_>) {
    let Some(matrix) = matrix_of(unit.job) else { return };
    for entry in matrix.entries() {
        let Some(name) = entry.name().filter(|name| !matches!(*name, "include" | "exclude")) else {
            continue;
        };
        let values = entry.value.items();
        for (index, value) in values.iter().enumerate() {
            if let Some(first) = values[..index].iter().find(|first| is_same(first, value)) {
                let finding =
                    findings.describe(value.span, format!("`{name}` of the matrix has the value twice"));
                findings.push(finding.with_label(first.span, "first here"));
            }
        }
    }
}

/// Whether two values are the same for sure: what only a run knows is like nothing else.
pub(super) fn is_same(left: &Token, right: &Token) -> bool {
    match (&left.kind, &right.kind) {
        (TokenKind::Sequence(left), TokenKind::Sequence(right)) => {
            left.len() == right.len()
                && left.iter().zip(right.iter()).all(|(left, right)| is_same(left, right))
        }
        (TokenKind::Mapping(left), TokenKind::Mapping(right)) => {
            left.len() == right.len()
                && left.iter().zip(right.iter()).all(|(left, right)| is_same_entry(left, right))
        }
        (TokenKind::Expression(_), _) | (_, TokenKind::Expression(_)) => false,
        (left, right) => left == right,
    }
}

fn is_same_entry(left: &Entry, right: &Entry) -> bool {
    left.name().is_some() && left.name() == right.name() && is_same(&left.value, &right.value)
}
