//! Conditions with the same outcome in every run.

use crate::diagnostic::Severity;
use crate::expr::{Contexts, Expr, Function, Names, NoHost, Node, NodeKind, eval, parse};
use crate::lint::{Check, Findings, JobUnit, StepUnit};
use crate::model::JobKind;
use crate::rule::{Group, Rule};
use crate::template::{Token, TokenKind};

pub(super) static RULE: Rule = Rule {
    code: "constant-condition",
    severity: Severity::Warning,
    group: Group::Correctness,
    summary: "an `if` with the same outcome in every run",
    actionlint: Some("if-cond"),
    page: include_str!("constant_condition.md"),
    check: Some(Check { job: Some(job), step: Some(step), ..Check::NOTHING }),
};

fn job(unit: JobUnit<'_>, findings: &mut Findings<'_>) {
    check(Some(&unit.job.condition), unit.job.written_condition.as_ref(), findings);
    if let JobKind::Steps(steps) = &unit.job.kind {
        let snapshot = steps.snapshot.as_ref().and_then(|snapshot| snapshot.entry("if"));
        check(None, snapshot.map(|entry| &entry.value), findings);
    }
}

fn step(unit: StepUnit<'_>, findings: &mut Findings<'_>) {
    let step = unit.step();
    check(Some(&step.condition), step.written_condition.as_ref(), findings);
}

/// Checks a condition as it is written; `read` is what reading made of it.
fn check(read: Option<&Expr>, written: Option<&Token>, findings: &mut Findings<'_>) {
    let Some(written) = written else { return };
    let parsed;
    let expression = match &written.kind {
        TokenKind::Expression(expression) if expression.is_text() => {
            return text(expression, written, findings);
        }
        TokenKind::Expression(_) | TokenKind::String(_) if !read.is_none_or(may_be_decided) => return,
        TokenKind::Expression(expression) => expression,
        TokenKind::String(text) => match parse(text.trim(), &Names::any()) {
            Ok(expression) => {
                parsed = expression;
                &parsed
            }
            // What cannot be read is reported by reading.
            Err(_) => return,
        },
        _ => return,
    };
    let Some(root) = expression.root() else { return };
    if let Some(outcome) = constant(root) {
        let message = format!("the condition `{}` is always {outcome}", expression.source());
        let help = if outcome { "remove the `if`" } else { "remove what never runs" };
        findings.push(findings.describe(written.span, message).with_help(help));
    } else if let Some((part, outcome)) = deciding_part(root) {
        let message = format!("the part `{part}` makes the condition always {outcome}");
        findings.add(written.span, message);
    }
}

/// Whether a part of what was read may be constant. What cannot be read counts as `success()`.
fn may_be_decided(read: &Expr) -> bool {
    let decides = |node: Node<'_>| match node.kind() {
        NodeKind::And(mut operands) | NodeKind::Or(mut operands) => operands.any(is_constant),
        _ => false,
    };
    read.source() == "success()" || read.root().is_none_or(is_constant) || read.nodes().any(decides)
}

/// Text with expressions in it is truthy whatever they give; where the text is more than white space, that is an error
/// of its own.
fn text(expression: &Expr, written: &Token, findings: &mut Findings<'_>) {
    let Some(NodeKind::Call(Function::Format, mut arguments)) = expression.root().map(Node::kind) else {
        return;
    };
    let Some(NodeKind::String(template)) = arguments.next().map(Node::kind) else { return };
    if template.contains(char::is_whitespace) && !findings.has_errors_in(written.span) {
        let message =
            "the condition is always true: there is white space around `${{ }}`, so that it is a text";
        findings.push(findings.describe(written.span, message).with_help("remove what is around `${{ }}`"));
    }
}

/// The truth of an expression that uses nothing of a run.
fn constant(node: Node<'_>) -> Option<bool> {
    if !is_constant(node) {
        return None;
    }
    let expression = parse(&node.to_string(), &Names::any()).ok()?;
    let value = eval(&expression, &Contexts::new(), &NoHost).ok()?;
    Some(value.is_truthy())
}

fn is_constant(node: Node<'_>) -> bool {
    match node.kind() {
        NodeKind::Context(_) => false,
        NodeKind::Null
        | NodeKind::Bool(_)
        | NodeKind::Number(_)
        | NodeKind::String(_)
        | NodeKind::Property(_)
        | NodeKind::Wildcard => true,
        NodeKind::Call(function, mut arguments) => {
            function != Function::HashFiles && !function.is_status() && arguments.all(is_constant)
        }
        NodeKind::Index(left, right) | NodeKind::Compare(_, left, right) => {
            is_constant(left) && is_constant(right)
        }
        NodeKind::Not(operand) => is_constant(operand),
        NodeKind::And(mut operands) | NodeKind::Or(mut operands) => operands.all(is_constant),
    }
}

/// The part of an `&&` that is always false, or of an `||` that is always true.
fn deciding_part(node: Node<'_>) -> Option<(Node<'_>, bool)> {
    let (operands, decides) = match node.kind() {
        NodeKind::And(operands) => (operands, false),
        NodeKind::Or(operands) => (operands, true),
        _ => return None,
    };
    operands.into_iter().find(|operand| constant(*operand) == Some(decides)).map(|operand| (operand, decides))
}
