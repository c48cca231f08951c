//! Models to YAML: a workflow or action as a file that is read back to the same model.
//!
//! [`workflow`] and [`action`] give whole files, [`yaml`] the text of any template. The keys of a job and a step stand in
//! the order in which people write them, not in that of the file that the model comes from.
//!
//! Invariant: reading what is written gives the same model but for the places in the file.

mod action;
mod scalar;
mod steps;
mod tree;
mod trigger;
mod workflow;

pub use tree::yaml;

use std::sync::Arc;

use crate::model::{Action, Workflow};
use crate::source::{Span, Spanned};
use crate::template::{Entry, Key, Token, TokenKind};

/// A workflow as YAML.
#[must_use]
pub fn workflow(workflow: &Workflow) -> String {
    tree::file(&workflow::token(workflow))
}

/// An action's metadata as YAML.
#[must_use]
pub fn action(action: &Action) -> String {
    tree::file(&action::token(action))
}

fn token(kind: TokenKind) -> Token {
    Token { kind, span: Span::default() }
}

fn text(text: &str) -> Token {
    token(TokenKind::String(Arc::from(text)))
}

fn texts(texts: &[Spanned<String>]) -> Token {
    token(TokenKind::Sequence(texts.iter().map(|item| text(&item.value)).collect()))
}

fn one_or_more(steps: &[Spanned<String>]) -> Token {
    match steps {
        [one] => text(&one.value),
        several => texts(several),
    }
}

/// The entries of a mapping as they come.
#[derive(Default)]
struct Mapping {
    entries: Vec<Entry>,
}

impl Mapping {
    fn put(&mut self, name: &str, value: Token) {
        self.entries.push(Entry { key: Key::Literal(Arc::from(name)), key_span: Span::default(), value });
    }

    fn put_some(&mut self, name: &str, value: Option<&Token>) {
        if let Some(value) = value {
            self.put(name, value.clone());
        }
    }

    fn put_text(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.put(name, text(value));
        }
    }

    /// `name: true`, where it is true.
    fn put_true(&mut self, name: &str, value: bool) {
        if value {
            self.put(name, token(TokenKind::Bool(true)));
        }
    }

    fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn into_token(self) -> Token {
        token(TokenKind::Mapping(self.entries.into()))
    }
}
