//! Expressions in scalars, and the names that they may use.

use std::cell::RefCell;
use std::sync::Arc;

use super::recent::Recent;
use super::report::Report;
use crate::diagnostic::Diagnostic;
use crate::expr::text::{Text, has_expression, parse_key};
use crate::expr::{Expr, ExprError, Function, Node, NodeKind, Stage, format_mistake};
use crate::schema::Allowed;
use crate::source::Span;
use crate::types::place::range_in_scalar;

/// A scalar's text with its expressions read.
#[derive(Clone, Debug)]
pub(crate) enum Scalar {
    Literal(Arc<str>),
    Expression(Expr),
    Insert,
}

/// Reads a text; its expressions may use what is allowed.
pub(crate) fn scan(text: &str, allowed: Allowed) -> Result<Scalar, ExprError> {
    thread_local! {
        static RECENT: RefCell<Recent<Allowed, Scalar>> = const { RefCell::new(Recent::new()) };
    }
    if !has_expression(text) {
        return Ok(Scalar::Literal(Arc::from(text)));
    }
    RECENT.with_borrow_mut(|recent| {
        recent.get(allowed, text, || {
            Ok(match parse_key(text, &allowed.names())? {
                Text::Literal(literal) => Scalar::Literal(Arc::from(literal)),
                Text::Expression(expr) => Scalar::Expression(expr),
                Text::Insert => Scalar::Insert,
            })
        })
    })
}

/// What is wrong with the calls of `format` in an expression.
pub(crate) fn mistakes_of_format(expr: &Expr) -> Vec<String> {
    let message = |node: Node<'_>| {
        let NodeKind::Call(Function::Format, mut arguments) = node.kind() else { return None };
        let NodeKind::String(template) = arguments.next()?.kind() else { return None };
        format_mistake(template, arguments.len())
    };
    // Most expressions call nothing; the call that a text stands for fits.
    let calls = expr.functions().filter(|function| *function == Function::Format).count();
    if calls == usize::from(expr.is_text()) { Vec::new() } else { expr.nodes().filter_map(message).collect() }
}

/// A mistake in an expression of the scalar at `span` whose value is `text`. The place of the diagnostic is the
/// scalar's, as GitHub reports it; a label marks the very symbol where it can be told. In a block of several lines the
/// symbol itself is the place, as in GitHub's editor.
pub(crate) fn describe(report: &Report<'_>, span: Span, text: &str, failure: &ExprError) -> Diagnostic {
    let code = match failure.stage {
        Stage::Lexing => "expression-syntax",
        Stage::Parsing | Stage::Evaluation => "expression",
    };
    let symbol = failure.offset.and_then(|offset| place(report, span, text, offset));
    let is_block = report.file().slice(span).starts_with(['|', '>']);
    match symbol {
        Some(symbol) if is_block && failure.position.is_some() && report.is_for_author() => {
            report.describe(symbol, code, failure.message.clone())
        }
        Some(symbol) => report.describe(span, code, failure.message.clone()).with_label(symbol, "here"),
        None => report.describe(span, code, failure.message.clone()),
    }
}

/// The place in the file of byte `offset` of a scalar's value.
fn place(report: &Report<'_>, span: Span, text: &str, offset: usize) -> Option<Span> {
    let length = text.get(offset..)?.chars().next().map_or(0, char::len_utf8);
    let range = range_in_scalar(report.file().slice(span), text, offset, length)?;
    let base = span.start as usize;
    Some(Span::new(base + range.start, base + range.end))
}
