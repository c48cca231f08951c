//! Looks at parts of expressions.

use crate::expr::{Comparison, Expr, Node, NodeKind, Segment};

/// The node under a chain of indexes, and the chain from the inside out.
pub(crate) fn unwind(node: Node<'_>) -> (Node<'_>, Vec<Segment<'_>>) {
    let mut path = Vec::new();
    let mut base = node;
    while let NodeKind::Index(inner, index) = base.kind() {
        path.push(Segment::of(index));
        base = inner;
    }
    path.reverse();
    (base, path)
}

/// A context with known names, written `github.event.number`; none where the node is something else.
pub(crate) fn path_of(node: Node<'_>) -> Option<String> {
    let (base, path) = unwind(node);
    let NodeKind::Context(context) = base.kind() else { return None };
    let mut text = context.to_ascii_lowercase();
    for segment in path {
        let Segment::Name(name) = segment else { return None };
        text.push('.');
        text.push_str(&name.to_ascii_lowercase());
    }
    Some(text)
}

/// The comparisons of a context with a text by `==`, anywhere in an expression: the context, the text.
pub(crate) fn equalities(expression: &Expr) -> impl Iterator<Item = (String, &str)> {
    expression.nodes().filter_map(|node| {
        let NodeKind::Compare(Comparison::Equal, left, right) = node.kind() else { return None };
        match (left.kind(), right.kind()) {
            (_, NodeKind::String(text)) => Some((path_of(left)?, text)),
            (NodeKind::String(text), _) => Some((path_of(right)?, text)),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{equalities, path_of};
    use crate::expr::{Names, parse};

    #[test]
    fn parts_of_expressions() {
        let expression = parse(
            "success() && (github['Actor'] == 'a' && 'b' == github.event.x || c != 'd') && e[0]",
            &Names::any(),
        )
        .expect("an expression");
        let found: Vec<_> = equalities(&expression).collect();
        assert_eq!(found, [("github.actor".to_owned(), "a"), ("github.event.x".to_owned(), "b")]);
        assert_eq!(expression.root().and_then(path_of), None);
    }
}
