//! The values of `if`.

use super::expression::{describe, names};
use super::report::Report;
use crate::expr::{Expr, Names, StatusFunctions, parse, to_condition};
use crate::schema::Allowed;
use crate::template::{Token, TokenKind};

/// Which rule a condition follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Without a status function it becomes `success() && (…)`.
    Status,
    /// It is taken as it is: `pre-if` and `post-if`.
    Plain,
}

/// Reads a condition; what is refused is reported and read as `success()`.
pub(crate) fn read(token: &Token, allowed: Allowed, rule: Condition, report: &mut Report<'_>) -> Expr {
    let text = match &token.kind {
        TokenKind::Expression(expr) => expr.source().to_owned(),
        TokenKind::String(text) => text.to_string(),
        _ => return success(),
    };
    let names = names(allowed);
    let read = match rule {
        Condition::Status => to_condition(&text, &names),
        Condition::Plain => parse(text.trim(), &names),
    };
    read.unwrap_or_else(|failure| {
        let diagnostic = describe(report, token.span, &text, &failure);
        report.push(diagnostic);
        success()
    })
}

/// `success()`.
pub(crate) fn success() -> Expr {
    constant("success()")
}

/// `always()`.
pub(crate) fn always() -> Expr {
    constant("always()")
}

fn constant(source: &str) -> Expr {
    let names = Names::none().with_status(StatusFunctions::Step);
    parse(source, &names).expect("a status function without arguments is an expression")
}
