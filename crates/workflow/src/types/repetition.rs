//! Parts of `&&` and `||` that repeat or exclude each other.

use super::check::Checker;
use super::mistake::MistakeKind;
use crate::expr::{Children, Comparison, Node, NodeKind, fold};

/// Operands that are compared with each other.
const MAX_COMPARED: usize = 64;

/// Compares the operands of an `&&` or, else, `||` with each other.
pub(super) fn check(checker: &mut Checker<'_, '_>, operands: Children<'_>, is_and: bool) {
    for (place, later) in operands.take(MAX_COMPARED).enumerate().skip(1) {
        for earlier in operands.take(place) {
            if same(earlier, later) {
                let operator = if is_and { "&&" } else { "||" };
                checker.report(later, MistakeKind::Repeated { part: bare(later), operator });
                break;
            }
            if exclude(earlier, later, is_and) {
                let (one, other) = (bare(earlier), bare(later));
                checker.report(later, MistakeKind::Contradiction { one, other, outcome: !is_and });
                break;
            }
        }
    }
}

/// Whether two parts are the same but for white space, parentheses and the case of names.
pub(super) fn same(one: Node<'_>, other: Node<'_>) -> bool {
    match (one.kind(), other.kind()) {
        (NodeKind::Null, NodeKind::Null) | (NodeKind::Wildcard, NodeKind::Wildcard) => true,
        (NodeKind::Bool(one), NodeKind::Bool(other)) => one == other,
        (NodeKind::Number(one), NodeKind::Number(other)) => one.total_cmp(&other).is_eq(),
        (NodeKind::String(one), NodeKind::String(other)) => one == other,
        (
            NodeKind::Property(one) | NodeKind::String(one),
            NodeKind::Property(other) | NodeKind::String(other),
        )
        | (NodeKind::Context(one), NodeKind::Context(other)) => fold::equal(one, other),
        (NodeKind::Call(one, left), NodeKind::Call(other, right)) => one == other && all_same(left, right),
        (NodeKind::Index(one, left), NodeKind::Index(other, right)) => same(one, other) && same(left, right),
        (NodeKind::Not(one), NodeKind::Not(other)) => same(one, other),
        (NodeKind::Compare(one, a, b), NodeKind::Compare(other, c, d)) => {
            one == other && same(a, c) && same(b, d)
        }
        (NodeKind::And(one), NodeKind::And(other)) | (NodeKind::Or(one), NodeKind::Or(other)) => {
            all_same(one, other)
        }
        _ => false,
    }
}

fn all_same(mut left: Children<'_>, right: Children<'_>) -> bool {
    left.len() == right.len()
        && right.into_iter().all(|other| left.next().is_some_and(|one| same(one, other)))
}

/// Whether both cannot be true, in `&&`, or false, in `||`, at once.
fn exclude(one: Node<'_>, other: Node<'_>, is_and: bool) -> bool {
    match (one.kind(), other.kind()) {
        (NodeKind::Not(operand), _) if same(operand, other) => true,
        (_, NodeKind::Not(operand)) if same(operand, one) => true,
        (NodeKind::Compare(first, a, b), NodeKind::Compare(second, c, d)) => {
            let comparison = if is_and { Comparison::Equal } else { Comparison::NotEqual };
            if first == comparison && second == comparison {
                differ(a, b, c, d)
            } else {
                are_opposite(first, second) && same(a, c) && same(b, d)
            }
        }
        _ => false,
    }
}

fn are_opposite(one: Comparison, other: Comparison) -> bool {
    matches!(
        (one, other),
        (Comparison::Equal, Comparison::NotEqual) | (Comparison::NotEqual, Comparison::Equal)
    )
}

/// Whether `a == b` and `c == d` compare the same value to two texts that differ.
fn differ(a: Node<'_>, b: Node<'_>, c: Node<'_>, d: Node<'_>) -> bool {
    let texts = |one: Node<'_>, other: Node<'_>| match (one.kind(), other.kind()) {
        (NodeKind::String(one), NodeKind::String(other)) => !fold::equal(one, other) && are_words(one, other),
        _ => false,
    };
    (same(a, c) && texts(b, d)) || (same(a, d) && texts(b, c)) || (same(b, c) && texts(a, d))
}

/// Texts that are read as numbers may be equal to the same number: `'1'` and `'1.0'`.
fn are_words(one: &str, other: &str) -> bool {
    let is_number = |text: &str| !crate::expr::Value::from(text).to_number().is_nan();
    !(is_number(one) && is_number(other))
}

/// A part as GitHub writes it back, without the parentheses around it.
pub(super) fn bare(node: Node<'_>) -> String {
    let written = node.to_string();
    match node.kind() {
        NodeKind::Compare(..) | NodeKind::And(_) | NodeKind::Or(_) => {
            written[1..written.len() - 1].to_owned()
        }
        _ => written,
    }
}
