//! The shape of `strategy.matrix`, as far as it is known before a run.

use super::report::{Report, quoted};
use crate::template::{Token, TokenKind};

/// Jobs that one matrix may make.
pub(crate) const MAX_MATRIX_JOBS: usize = 256;

pub(crate) fn check(strategy: &Token, report: &mut Report<'_>) {
    if let Some(matrix) = strategy.entry("matrix").filter(|matrix| !matrix.value.is_expression()) {
        check_matrix(&matrix.value, report);
    }
}

fn check_matrix(matrix: &Token, report: &mut Report<'_>) {
    let TokenKind::Mapping(entries) = &matrix.kind else { return };
    let mut vectors = Vec::new();
    let mut has_vector = false;
    let mut has_include = false;
    for entry in entries.iter() {
        match entry.name() {
            None => has_vector = true,
            Some("include") => has_include = entry.value.has_expression() || !entry.value.items().is_empty(),
            Some("exclude") => {}
            Some(name) => {
                has_vector = true;
                if matches!(&entry.value.kind, TokenKind::Sequence(values) if values.is_empty()) {
                    let message = format!("Matrix vector {} does not contain any values", quoted(name));
                    report.error(entry.value.span, "empty-matrix", message);
                }
                vectors.push((name, &entry.value));
            }
        }
    }
    if !has_vector && !has_include && !report.has_errors_in(matrix.span) {
        report.error(matrix.span, "empty-matrix", "Matrix must define at least one vector");
    }
    if !matrix.has_expression() {
        check_filters(matrix, &vectors, report);
        check_size(matrix, &vectors, report);
    }
}

fn check_filters(matrix: &Token, vectors: &[(&str, &Token)], report: &mut Report<'_>) {
    let items = |name| matrix.entry(name).map(|entry| entry.value.items()).unwrap_or_default();
    for item in items("include").iter().filter(|item| item.entries().is_empty()) {
        report.error(item.span, "empty-matrix", "Matrix include mapping does not contain any values");
    }
    for item in items("exclude") {
        if item.entries().is_empty() {
            report.error(item.span, "empty-matrix", "Matrix exclude filter must not be empty");
        }
        for entry in item.entries() {
            let Some(name) = entry.name() else { continue };
            if !vectors.iter().any(|(vector, _)| vector.eq_ignore_ascii_case(name)) {
                let message =
                    format!("Matrix exclude key {} does not match any key within the matrix", quoted(name));
                report.error(entry.key_span, "matrix-exclude-key", message);
            }
        }
    }
}

/// Legs that `exclude` takes away are only known after expansion, so a matrix with one is not counted here.
fn check_size(matrix: &Token, vectors: &[(&str, &Token)], report: &mut Report<'_>) {
    if matrix.entry("exclude").is_some() || vectors.is_empty() {
        return;
    }
    let size = vectors.iter().fold(1_usize, |size, (_, values)| size.saturating_mul(values.items().len()));
    if size > MAX_MATRIX_JOBS {
        let message =
            format!("the matrix makes {size} jobs, more than the {MAX_MATRIX_JOBS} that a matrix may make");
        report.error(matrix.span, "matrix-too-large", message);
    }
}
