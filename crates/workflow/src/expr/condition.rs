//! The rule for `if:`.

use super::ast::Expr;
use super::error::ExprError;
use super::functions::Function;
use super::names::Names;
use super::parser::{parse, parse_condition};
use super::text::{Text, has_expression, parse_text};
use memchr::memchr_iter;
use std::borrow::Cow;

/// The expression of an `if:`, which is an expression with or without `${{ }}`.
///
/// One that calls no status function becomes `success() && (…)`; blank text becomes `success()`. `names` must admit the
/// status functions.
///
/// # Errors
/// The first mistake in the text.
pub fn to_condition(source: &str, names: &Names) -> Result<Expr, ExprError> {
    let condition = if has_expression(source) {
        match parse_text(source, names)? {
            Text::Expression(expr) => return ensure_status_function(expr, names),
            Text::Literal(text) => text,
            Text::Insert => Cow::Borrowed(""),
        }
    } else {
        Cow::Borrowed(source)
    };
    let trimmed = condition.trim();
    if !trimmed.is_empty() && !calls_status_function(trimmed) {
        let completed = complete(trimmed);
        let part = PREFIX.len()..PREFIX.len() + trimmed.len();
        if let Some(expr) = parse_condition(&completed, part, names) {
            return Ok(expr);
        }
    }
    let start = condition.len() - condition.trim_start().len();
    ensure_status_function(parse(trimmed, names).map_err(|error| error.moved_by(start))?, names)
}

/// Whether a call of a status function is written in the text, be it in quotes.
fn calls_status_function(text: &str) -> bool {
    let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    memchr_iter(b'(', text.as_bytes()).any(|at| {
        let before = text[..at].trim_end();
        let length = before.bytes().rev().take_while(is_of_name).count();
        Function::signature(&before[before.len() - length..])
            .is_some_and(|signature| signature.function.is_status())
    })
}

fn ensure_status_function(expr: Expr, names: &Names) -> Result<Expr, ExprError> {
    if expr.root().is_none() {
        return parse("success()", names);
    }
    if expr.uses_status_function() {
        return Ok(expr);
    }
    parse(&complete(expr.source()), names)
}

const PREFIX: &str = "success() && (";

fn complete(source: &str) -> String {
    format!("{PREFIX}{source})")
}

#[cfg(test)]
mod tests {
    use super::super::{Names, StatusFunctions};
    use super::to_condition;

    const NAMES: Names = Names::of(&["a", "b"]).with_status(StatusFunctions::Step);

    fn check(source: &str, expected: &str) {
        assert_eq!(to_condition(source, &NAMES).unwrap().source(), expected, "{source:?}");
    }

    #[test]
    fn conditions_have_a_status_function() {
        check("", "success()");
        check(" \n", "success()");
        check("a == b", "success() && (a == b)");
        check("${{ a }}", "success() && (a)");
        check("a || Failure()", "a || Failure()");
        check("a || Failure ()", "a || Failure ()");
        check("contains(a, 'x')", "success() && (contains(a, 'x'))");
        check("${{ !cancelled() }}", "!cancelled()");
        check("'always()'", "success() && ('always()')");
        check("${{ 'a' }}", "success() && (a)");
        check("${{ a }} == 'b'", "success() && (format('{0} == ''b''', a))");
    }

    #[test]
    fn mistakes_have_their_place() {
        assert_eq!(to_condition("  c", &NAMES).unwrap_err().offset, Some(2));
        assert_eq!(to_condition("${{ c }}", &NAMES).unwrap_err().offset, Some(4));
    }
}
