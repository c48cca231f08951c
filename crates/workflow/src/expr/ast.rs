//! Parsed expressions: a tree whose nodes lie in one list, each after its operands.

use super::functions::Function;
use super::lexer::is_name;
use super::number::number_to_text;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

pub(crate) type NodeId = u32;

/// A part of a list: of the source's bytes, or of the tree's operand list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Extent {
    pub(crate) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Syntax {
    Null,
    Bool(bool),
    Number(f64),
    String(Arc<str>),
    /// A name after a dot; its bytes in the source.
    Property(Extent),
    Wildcard,
    /// The name's bytes in the source.
    Context(Extent),
    /// The arguments' place in the operand list.
    Call(Function, Extent),
    Index(NodeId, NodeId),
    Not(NodeId),
    Compare(Comparison, NodeId, NodeId),
    And(Extent),
    Or(Extent),
}

/// An operator that compares two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
}

impl Comparison {
    /// As it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Tree {
    pub(crate) source: Arc<str>,
    /// Each node after its operands; the last one is the root. Empty for a blank expression.
    pub(crate) nodes: Box<[(Syntax, u32)]>,
    pub(crate) operands: Box<[NodeId]>,
    /// Whether it was made of text with expressions in it.
    pub(crate) is_text: bool,
}

/// A parsed expression with its source text. A clone shares both.
///
/// Two expressions are equal when their sources are.
#[derive(Clone)]
pub struct Expr {
    pub(crate) tree: Arc<Tree>,
}

impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        self.tree.source == other.tree.source
    }
}

impl Eq for Expr {}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expr").field(&self.source()).finish()
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.source())
    }
}

impl Expr {
    /// The text that was parsed.
    pub fn source(&self) -> &str {
        &self.tree.source
    }

    /// The outermost node; none when the text is blank.
    pub fn root(&self) -> Option<Node<'_>> {
        let last = self.tree.nodes.len().checked_sub(1)?;
        Some(self.node(last as NodeId))
    }

    /// All nodes, each after its operands.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = Node<'_>> {
        (0..self.tree.nodes.len()).map(|id| self.node(id as NodeId))
    }

    fn node(&self, id: NodeId) -> Node<'_> {
        Node { tree: &self.tree, id }
    }

    /// The functions that are called, in the order of their closing parentheses.
    pub fn functions(&self) -> impl Iterator<Item = Function> {
        self.tree.nodes.iter().filter_map(|(syntax, _)| match syntax {
            Syntax::Call(function, _) => Some(*function),
            _ => None,
        })
    }

    /// Whether `success`, `failure`, `always` or `cancelled` is called.
    pub fn uses_status_function(&self) -> bool {
        self.functions().any(Function::is_status)
    }

    /// The uses of contexts with the properties that are taken of them.
    pub fn contexts(&self) -> impl Iterator<Item = Reference<'_>> {
        let uses = self.tree.nodes.iter().any(|(syntax, _)| matches!(syntax, Syntax::Context(_)));
        let indexed = if uses { self.indexed() } else { Vec::new() };
        self.nodes().filter_map(move |node| match node.kind() {
            NodeKind::Context(name) => {
                Some(Reference { context: name, path: node.path(&indexed), offset: node.offset() })
            }
            _ => None,
        })
    }

    /// For each node the node that indexes it, if there is one.
    fn indexed(&self) -> Vec<Option<NodeId>> {
        let mut indexed = vec![None; self.tree.nodes.len()];
        for (id, (syntax, _)) in self.tree.nodes.iter().enumerate() {
            if let Syntax::Index(base, _) = syntax {
                indexed[*base as usize] = Some(id as NodeId);
            }
        }
        indexed
    }

    /// Whether the expression stands for text with expressions in it: it is a call of `format` that no author wrote.
    pub fn is_text(&self) -> bool {
        self.tree.is_text
    }

    /// The same expression, known to stand for text.
    pub(crate) fn into_text(self) -> Self {
        let tree = Tree { is_text: true, ..Arc::unwrap_or_clone(self.tree) };
        Self { tree: Arc::new(tree) }
    }

    /// The text, when the expression is a literal text and nothing else.
    pub fn as_literal_text(&self) -> Option<&str> {
        match self.tree.nodes.as_ref() {
            [(Syntax::String(text), _)] => Some(text),
            _ => None,
        }
    }
}

/// A node of an [`Expr`].
#[derive(Clone, Copy)]
pub struct Node<'a> {
    tree: &'a Tree,
    id: NodeId,
}

impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({self})")
    }
}

/// What a [`Node`] is.
#[derive(Clone, Copy, Debug)]
pub enum NodeKind<'a> {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A number.
    Number(f64),
    /// A text, without quotes.
    String(&'a str),
    /// A name after a dot: the index of the [`NodeKind::Index`] that it belongs to.
    Property(&'a str),
    /// `*`, only as an index.
    Wildcard,
    /// A context by name, as it is written.
    Context(&'a str),
    /// A call with its arguments.
    Call(Function, Children<'a>),
    /// `base[index]` or `base.index`
    Index(Node<'a>, Node<'a>),
    /// `!operand`
    Not(Node<'a>),
    /// Two operands that are compared.
    Compare(Comparison, Node<'a>, Node<'a>),
    /// Two or more operands joined by `&&`.
    And(Children<'a>),
    /// Two or more operands joined by `||`.
    Or(Children<'a>),
}

/// Operands of a node, in order.
#[derive(Clone, Copy, Debug)]
pub struct Children<'a> {
    tree: &'a Tree,
    ids: &'a [NodeId],
}

impl<'a> Iterator for Children<'a> {
    type Item = Node<'a>;

    fn next(&mut self) -> Option<Node<'a>> {
        let (&id, rest) = self.ids.split_first()?;
        self.ids = rest;
        Some(Node { tree: self.tree, id })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.ids.len(), Some(self.ids.len()))
    }
}

impl DoubleEndedIterator for Children<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let (&id, rest) = self.ids.split_last()?;
        self.ids = rest;
        Some(Node { tree: self.tree, id })
    }
}

impl ExactSizeIterator for Children<'_> {}

impl<'a> Node<'a> {
    #[inline]
    pub(crate) fn syntax(self) -> &'a Syntax {
        &self.tree.nodes[self.id as usize].0
    }

    #[inline]
    pub(crate) fn at(self, id: NodeId) -> Self {
        Self { tree: self.tree, id }
    }

    #[inline]
    pub(crate) fn text(self, extent: Extent) -> &'a str {
        &self.tree.source[extent.range()]
    }

    #[inline]
    pub(crate) fn children(self, extent: Extent) -> Children<'a> {
        Children { tree: self.tree, ids: &self.tree.operands[extent.range()] }
    }

    /// What the node is, with its operands.
    #[inline]
    pub fn kind(self) -> NodeKind<'a> {
        match self.syntax() {
            Syntax::Null => NodeKind::Null,
            Syntax::Bool(value) => NodeKind::Bool(*value),
            Syntax::Number(number) => NodeKind::Number(*number),
            Syntax::String(text) => NodeKind::String(text),
            Syntax::Property(extent) => NodeKind::Property(self.text(*extent)),
            Syntax::Wildcard => NodeKind::Wildcard,
            Syntax::Context(extent) => NodeKind::Context(self.text(*extent)),
            Syntax::Call(function, arguments) => NodeKind::Call(*function, self.children(*arguments)),
            Syntax::Index(base, index) => NodeKind::Index(self.at(*base), self.at(*index)),
            Syntax::Not(operand) => NodeKind::Not(self.at(*operand)),
            Syntax::Compare(comparison, left, right) => {
                NodeKind::Compare(*comparison, self.at(*left), self.at(*right))
            }
            Syntax::And(operands) => NodeKind::And(self.children(*operands)),
            Syntax::Or(operands) => NodeKind::Or(self.children(*operands)),
        }
    }

    /// Where the node's own token is in the source, in bytes: a name's first letter, an operator's symbol.
    pub fn offset(self) -> usize {
        self.tree.nodes[self.id as usize].1 as usize
    }

    /// The node whose token is the leftmost one of this node and its operands.
    #[must_use]
    pub fn first(self) -> Self {
        let leftmost = match self.kind() {
            NodeKind::Index(base, _) => Some(base),
            NodeKind::Compare(_, left, _) => Some(left),
            NodeKind::And(mut operands) | NodeKind::Or(mut operands) => operands.next(),
            _ => None,
        };
        leftmost.map_or(self, Self::first)
    }

    /// The node whose token is the rightmost one of this node and its operands. Of a call it is the name.
    #[must_use]
    pub fn last(self) -> Self {
        let rightmost = match self.kind() {
            NodeKind::Index(_, index) => Some(index),
            NodeKind::Compare(_, _, right) => Some(right),
            NodeKind::Not(operand) => Some(operand),
            NodeKind::And(mut operands) | NodeKind::Or(mut operands) => operands.next_back(),
            _ => None,
        };
        rightmost.map_or(self, Self::last)
    }

    /// The length of the node's own token in bytes: of a name, a literal, an operator.
    #[must_use]
    pub fn symbol_length(self) -> usize {
        match self.kind() {
            NodeKind::Property(name) | NodeKind::Context(name) => name.len(),
            NodeKind::String(text) => text.len() + text.matches('\'').count() + 2,
            NodeKind::Call(function, _) => function.name().len(),
            NodeKind::Compare(operator, ..) => operator.symbol().len(),
            NodeKind::And(_) | NodeKind::Or(_) => 2,
            NodeKind::Null | NodeKind::Bool(true) => 4,
            NodeKind::Bool(false) => 5,
            _ => 1,
        }
    }

    /// As [`Node::offset`], in characters from 1.
    pub fn position(self) -> usize {
        self.tree.source[..self.offset()].chars().count() + 1
    }

    /// The indexes that are applied to this node, from the inside out.
    fn path(self, indexed: &[Option<NodeId>]) -> Vec<Segment<'a>> {
        let mut path = Vec::new();
        let mut base = self;
        while let Some(id) = indexed[base.id as usize] {
            base = self.at(id);
            if let Syntax::Index(_, index) = base.syntax() {
                path.push(Segment::of(self.at(*index)));
            }
        }
        path
    }
}

/// A use of a context and the properties taken of it: `steps.build.outputs.x`.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference<'a> {
    /// The context as it is written.
    pub context: &'a str,
    /// The properties, from the inside out.
    pub path: Vec<Segment<'a>>,
    /// Where the context's name starts in the source, in bytes.
    pub offset: usize,
}

impl Reference<'_> {
    /// The leading properties that are known names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.path.iter().map_while(|segment| match segment {
            Segment::Name(name) => Some(*name),
            _ => None,
        })
    }
}

impl fmt::Display for Reference<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.context)?;
        self.path.iter().try_for_each(|segment| segment.fmt(f))
    }
}

/// One step of a [`Reference`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Segment<'a> {
    /// `.name` or `['name']`
    Name(&'a str),
    /// `[0]`
    Number(f64),
    /// `.*` or `[*]`
    Every,
    /// An index that is known only with the values.
    Computed,
}

/// As it follows what it is taken of.
impl fmt::Display for Segment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, ".{name}"),
            Self::Number(number) => write!(f, "[{}]", number_to_text(*number)),
            Self::Every => f.write_str(".*"),
            Self::Computed => f.write_str("[…]"),
        }
    }
}

impl<'a> Segment<'a> {
    pub(crate) fn of(index: Node<'a>) -> Self {
        match index.kind() {
            NodeKind::Property(name) | NodeKind::String(name) => Self::Name(name),
            NodeKind::Number(number) => Self::Number(number),
            NodeKind::Wildcard => Self::Every,
            _ => Self::Computed,
        }
    }
}

/// The node as GitHub writes it back: every operator that joins two operands in parentheses, properties with a dot.
impl fmt::Display for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind() {
            NodeKind::Null => f.write_str("null"),
            NodeKind::Bool(value) => write!(f, "{value}"),
            NodeKind::Number(number) => f.write_str(&number_to_text(number)),
            NodeKind::String(text) => write!(f, "'{}'", text.replace('\'', "''")),
            NodeKind::Property(name) | NodeKind::Context(name) => f.write_str(name),
            NodeKind::Wildcard => f.write_str("*"),
            NodeKind::Call(function, arguments) => {
                write!(f, "{}(", function.name())?;
                list(f, arguments, ", ")
            }
            NodeKind::Index(base, index) => {
                match base.kind() {
                    NodeKind::Context(_)
                    | NodeKind::Call(..)
                    | NodeKind::Index(..)
                    | NodeKind::Compare(..)
                    | NodeKind::And(_)
                    | NodeKind::Or(_) => write!(f, "{base}")?,
                    _ => write!(f, "({base})")?,
                }
                match index.kind() {
                    NodeKind::Property(name) => write!(f, ".{name}"),
                    NodeKind::String(name) if is_name(name) => write!(f, ".{name}"),
                    _ => write!(f, "[{index}]"),
                }
            }
            NodeKind::Not(operand) => write!(f, "!{operand}"),
            NodeKind::Compare(comparison, left, right) => {
                write!(f, "({left} {} {right})", comparison.symbol())
            }
            NodeKind::And(operands) => {
                f.write_str("(")?;
                list(f, operands, " && ")
            }
            NodeKind::Or(operands) => {
                f.write_str("(")?;
                list(f, operands, " || ")
            }
        }
    }
}

/// Writes `nodes` with a separator and the closing parenthesis.
fn list(f: &mut fmt::Formatter<'_>, nodes: Children<'_>, separator: &str) -> fmt::Result {
    for (place, node) in nodes.enumerate() {
        if place > 0 {
            f.write_str(separator)?;
        }
        write!(f, "{node}")?;
    }
    f.write_str(")")
}

#[cfg(test)]
mod tests {
    use super::super::{Names, parse};

    #[test]
    fn references_of_contexts() {
        let expr = parse(
            "steps.build.outputs.x == github['event'].*[0] && needs[matrix.job] || success()",
            &Names::any(),
        )
        .unwrap();
        let found: Vec<String> = expr.contexts().map(|reference| reference.to_string()).collect();
        assert_eq!(found, ["steps.build.outputs.x", "github.event.*[0]", "needs[…]", "matrix.job"]);
        let matrix = expr.contexts().find(|reference| reference.context == "matrix").unwrap();
        assert!(expr.source()[matrix.offset..].starts_with("matrix.job"));
        assert!(expr.uses_status_function());
    }

    #[test]
    fn a_tree_is_written_back() {
        let expr = parse("!(a.b['c-d']['e f'] && b && (c || d)) == toJson('it''s')", &Names::any()).unwrap();
        assert_eq!(
            expr.root().unwrap().to_string(),
            "(!(a.b.c-d['e f'] && b && (c || d)) == toJSON('it''s'))"
        );
    }
}
