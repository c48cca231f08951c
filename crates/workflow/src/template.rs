//! Template tokens: a checked YAML tree in which scalars may be expressions, and its evaluation.
//!
//! A token tree is what GitHub calls a template: the parts of a workflow that are evaluated only when their contexts
//! are known (`env`, `with`, `strategy`, `runs-on`, …) stay tokens in the model.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::expr::Expr;
use crate::source::Span;

/// One node of a template.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Where it stands in its file.
    pub span: Span,
}

/// The kinds of template nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum TokenKind {
    /// An empty scalar, `null` or `~`.
    Null,
    /// A boolean literal.
    Bool(bool),
    /// A number literal, with GitHub's reading of YAML scalars.
    Number(f64),
    /// A literal string.
    String(Arc<str>),
    /// `${{ … }}`, or text with such parts as one `format(…)` expression.
    Expression(Expr),
    /// A sequence.
    Sequence(Vec<Token>),
    /// A mapping in the order of the file.
    Mapping(Vec<Entry>),
}

/// A key and its value in a mapping.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// Where the key stands.
    pub key_span: Span,
    /// The value.
    pub value: Token,
}

/// A mapping's key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Key {
    /// A literal.
    Literal(Arc<str>),
    /// A key that is evaluated.
    Expression(Expr),
    /// `${{ insert }}`: the value's own entries take this place.
    Insert,
}
