//! Template tokens: a checked YAML tree in which scalars may be expressions, and its evaluation.
//!
//! A token tree is what GitHub calls a template: the parts of a workflow that are evaluated only when their contexts
//! are known (`env`, `with`, `strategy`, `runs-on`, …) stay tokens in the model.

mod evaluate;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::expr::Expr;
use crate::source::Span;

pub use evaluate::{
    MAX_RESULT_SIZE, TemplateError, TemplateMistake, evaluate, evaluate_bool, evaluate_mapping_text,
    evaluate_number, evaluate_text, evaluate_texts,
};

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
    /// A sequence. A clone shares the items.
    Sequence(Arc<[Token]>),
    /// A mapping in the order of the file. A clone shares the entries.
    Mapping(Arc<[Entry]>),
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

impl Token {
    /// The text of a literal string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let TokenKind::String(text) = &self.kind { Some(text) } else { None }
    }

    /// Whether the token itself is an expression.
    #[must_use]
    pub fn is_expression(&self) -> bool {
        matches!(self.kind, TokenKind::Expression(_))
    }

    /// Whether an expression is anywhere in the token, its keys included.
    #[must_use]
    pub fn has_expression(&self) -> bool {
        match &self.kind {
            TokenKind::Expression(_) => true,
            TokenKind::Sequence(items) => items.iter().any(Self::has_expression),
            TokenKind::Mapping(entries) => entries
                .iter()
                .any(|entry| !matches!(entry.key, Key::Literal(_)) || entry.value.has_expression()),
            _ => false,
        }
    }

    /// The entries of a mapping; none for everything else.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        if let TokenKind::Mapping(entries) = &self.kind { entries } else { &[] }
    }

    /// The items of a sequence; none for everything else.
    #[must_use]
    pub fn items(&self) -> &[Token] {
        if let TokenKind::Sequence(items) = &self.kind { items } else { &[] }
    }

    /// The entry of a mapping whose key is the literal `name`.
    #[must_use]
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.name() == Some(name))
    }
}

impl Entry {
    /// The key, if it is a literal.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        if let Key::Literal(name) = &self.key { Some(name) } else { None }
    }
}
