//! The values of `if`.

use std::cell::RefCell;

use super::expression::{describe, mistakes_of_format};
use super::recent::Recent;
use super::report::Report;
use crate::expr::{Expr, Function, Names, Node, NodeKind, StatusFunctions, parse, to_condition};
use crate::schema::Allowed;
use crate::template::{Token, TokenKind};

/// Which rule a condition follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Condition {
    /// Without a status function it becomes `success() && (…)`.
    Status,
    /// It is taken as it is: `pre-if` and `post-if`.
    Plain,
}

thread_local! {
    static RECENT: RefCell<Recent<(Allowed, Condition), Expr>> = const { RefCell::new(Recent::new()) };
}

/// Reads a condition; what is refused is reported and read as `success()`.
pub(crate) fn read(token: &Token, allowed: Allowed, rule: Condition, report: &mut Report<'_>) -> Expr {
    let text = match &token.kind {
        TokenKind::Expression(expr) => expr.source(),
        TokenKind::String(text) => &**text,
        _ => return success(),
    };
    let read = RECENT.with_borrow_mut(|recent| {
        recent.get((allowed, rule), text, || match rule {
            Condition::Status => to_condition(text, &allowed.names()),
            Condition::Plain => parse(text.trim(), &allowed.names()),
        })
    });
    match read {
        Ok(expr) => {
            if report.is_for_author() {
                check(&expr, token, report);
            }
            expr
        }
        Err(failure) => {
            let diagnostic = describe(report, token.span, text, &failure);
            report.push(diagnostic);
            success()
        }
    }
}

/// Mistakes of a condition that can be read.
fn check(expr: &Expr, token: &Token, report: &mut Report<'_>) {
    if !token.is_expression() {
        for message in mistakes_of_format(expr) {
            report.error(token.span, "format", message);
        }
    }
    if expr.root().is_some_and(is_text_with_literals) {
        let message = "Conditional expression contains literal text outside replacement tokens. \
                       This will cause the expression to always evaluate to truthy.";
        let diagnostic = report.describe(token.span, "literal-text-in-condition", message);
        report.push(diagnostic.with_help("put the entire expression inside `${{ }}`"));
    }
}

/// Whether the node, or the part of it that the author wrote, is a call of `format` whose template is not placeholders
/// alone.
fn is_text_with_literals(node: Node<'_>) -> bool {
    match node.kind() {
        NodeKind::And(mut operands) if operands.len() == 2 => {
            operands.nth(1).is_some_and(is_text_with_literals)
        }
        NodeKind::Call(Function::Format, mut arguments) => match arguments.next().map(Node::kind) {
            Some(NodeKind::String(template)) => {
                let mut inside = false;
                template.trim().chars().any(|character| match character {
                    '{' if !inside => {
                        inside = true;
                        false
                    }
                    '}' if inside => {
                        inside = false;
                        false
                    }
                    digit => !(inside && digit.is_ascii_digit()),
                })
            }
            _ => false,
        },
        _ => false,
    }
}

thread_local! {
    // One for each thread: most steps have one, and threads that count the references of a shared one wait for each other.
    static SUCCESS: Expr = constant("success()");
    static ALWAYS: Expr = constant("always()");
}

/// `success()`.
pub(crate) fn success() -> Expr {
    SUCCESS.with(Expr::clone)
}

/// `always()`.
pub(crate) fn always() -> Expr {
    ALWAYS.with(Expr::clone)
}

fn constant(source: &str) -> Expr {
    let names = Names::none().with_status(StatusFunctions::Step);
    parse(source, &names).expect("a status function without arguments is an expression")
}
