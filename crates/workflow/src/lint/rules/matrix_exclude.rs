//! Entries of `exclude` that exclude nothing.

use crate::diagnostic::Severity;
use crate::lint::matrix_values::{find, matrix_of};
use crate::lint::{Check, Findings, JobUnit};
use crate::rule::{Group, Rule};
use crate::template::{Token, TokenKind};

pub(super) static RULE: Rule = Rule {
    code: "matrix-exclude",
    severity: Severity::Warning,
    group: Group::Correctness,
    summary: "a value under `exclude` that the matrix does not have",
    actionlint: Some("matrix"),
    page: include_str!("matrix_exclude.md"),
    check: Some(Check { job: Some(job), ..Check::NOTHING }),
};

fn job(unit: JobUnit<'_>, findings: &mut Findings<'_>) {
    let Some(matrix) = matrix_of(unit.job) else { return };
    let Some(exclude) = matrix.entry("exclude") else { return };
    for entry in exclude.value.items().iter().flat_map(Token::entries) {
        let Some(name) = entry.name() else { continue };
        let Some(values) = values(matrix, name).filter(|values| !values.is_empty()) else { continue };
        if !values.iter().any(|value| may_fit(&entry.value, value)) {
            let message = format!("no value of `{name}` is like this one, so that nothing is excluded");
            findings.add(entry.value.span, message);
        }
    }
}

/// All values of a key; none where a run may add some.
fn values<'a>(matrix: &'a Token, name: &str) -> Option<Vec<&'a Token>> {
    let vector = find(matrix, name);
    let include = matrix.entry("include").map(|entry| &entry.value);
    let is_open =
        [vector, include].into_iter().flatten().any(|part| !matches!(part.kind, TokenKind::Sequence(_)));
    if is_open || include.is_some_and(|include| include.items().iter().any(Token::is_expression)) {
        return None;
    }
    let included = include.map(Token::items).unwrap_or_default().iter().filter_map(|item| find(item, name));
    Some(vector.into_iter().flat_map(Token::items).chain(included).collect())
}

/// Whether a value can be one that the filter means: of a mapping a part is enough.
fn may_fit(filter: &Token, value: &Token) -> bool {
    match (&filter.kind, &value.kind) {
        (TokenKind::Expression(_), _) | (_, TokenKind::Expression(_)) => true,
        (TokenKind::Sequence(filters), TokenKind::Sequence(values)) => {
            filters.len() == values.len()
                && filters.iter().zip(values.iter()).all(|(filter, value)| may_fit(filter, value))
        }
        (TokenKind::Mapping(filters), TokenKind::Mapping(_)) => filters.iter().all(|filter| {
            filter
                .name()
                .is_none_or(|name| find(value, name).is_some_and(|value| may_fit(&filter.value, value)))
        }),
        (TokenKind::Sequence(_) | TokenKind::Mapping(_), _)
        | (_, TokenKind::Sequence(_) | TokenKind::Mapping(_)) => false,
        _ => text(filter) == text(value),
    }
}

/// The text that a scalar is compared by, without regard to case.
fn text(token: &Token) -> String {
    match &token.kind {
        TokenKind::Bool(value) => value.to_string(),
        TokenKind::Number(value) => value.to_string(),
        TokenKind::String(text) => text.to_lowercase(),
        _ => String::new(),
    }
}
