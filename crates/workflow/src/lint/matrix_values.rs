//! The values that a key of a job's matrix has, as far as the file says.

use crate::model::Job;
use crate::template::{Token, TokenKind};

/// The matrix of a job, where it is a mapping.
pub(crate) fn matrix_of(job: &Job) -> Option<&Token> {
    let matrix = &job.strategy.as_ref()?.entry("matrix")?.value;
    matches!(matrix.kind, TokenKind::Mapping(_)).then_some(matrix)
}

/// The tokens that `matrix.path` stands for in the job, where the token is that expression and nothing else. What only
/// a run knows is left out.
pub(crate) fn values_of<'a>(token: &Token, job: &'a Job) -> Vec<&'a Token> {
    let TokenKind::Expression(expression) = &token.kind else { return Vec::new() };
    let Some(path) = expression.source().trim().strip_prefix("matrix.") else { return Vec::new() };
    let is_plain =
        path.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
    let Some(matrix) = matrix_of(job).filter(|_| is_plain) else { return Vec::new() };
    let (key, rest) = path.split_once('.').map_or((path, None), |(key, rest)| (key, Some(rest)));
    let vector = find(matrix, key).into_iter().flat_map(Token::items);
    let include = matrix.entry("include").map(|entry| entry.value.items()).unwrap_or_default();
    let included = include.iter().filter_map(|item| find(item, key));
    vector.chain(included).filter_map(|value| rest.map_or(Some(value), |rest| at(value, rest))).collect()
}

/// The value of a mapping's entry, in any case as expressions look it up.
pub(crate) fn find<'a>(mapping: &'a Token, name: &str) -> Option<&'a Token> {
    let entry = mapping
        .entries()
        .iter()
        .find(|entry| entry.name().is_some_and(|key| key.eq_ignore_ascii_case(name)))?;
    Some(&entry.value)
}

fn at<'a>(value: &'a Token, path: &str) -> Option<&'a Token> {
    path.split('.').try_fold(value, find)
}
