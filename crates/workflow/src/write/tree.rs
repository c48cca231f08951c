//! A template as the lines of a YAML file.

use super::scalar::{MAX_KEY, Written, line, literal, scalar, source};
use crate::template::{Entry, Key, Token, TokenKind};

const INDENT: usize = 2;

/// A template as YAML, ended by a new line.
#[must_use]
pub fn yaml(token: &Token) -> String {
    let mut writer = Writer { text: String::new(), spaced: 0 };
    writer.document(token);
    writer.text
}

/// A whole file: its parts and the jobs have an empty line between them.
pub(super) fn file(token: &Token) -> String {
    let mut writer = Writer { text: String::new(), spaced: 2 };
    writer.document(token);
    writer.text
}

struct Writer {
    text: String,
    /// Levels on which an empty line stands between entries of several lines.
    spaced: usize,
}

impl Writer {
    fn document(&mut self, token: &Token) {
        match &token.kind {
            TokenKind::Mapping(entries) if !entries.is_empty() => self.entries(entries, 0, ""),
            TokenKind::Sequence(items) if !items.is_empty() => self.items(items, 0),
            _ => self.value(token, 0),
        }
    }

    fn indent(&mut self, level: usize) {
        self.text.extend(std::iter::repeat_n(' ', level * INDENT));
    }

    /// The entries of a mapping; the first one stands behind what is already on its line.
    fn entries(&mut self, entries: &[Entry], level: usize, first: &str) {
        let is_spaced = first.is_empty() && level < self.spaced;
        let mut was_long = false;
        for (place, entry) in entries.iter().enumerate() {
            let is_long = is_spaced && is_long(&entry.value);
            let is_jobs = level == 0 || !entries.iter().any(|entry| !is_long_mapping(&entry.value));
            if place > 0 && is_spaced && is_jobs && (is_long || was_long) {
                self.text.push('\n');
            }
            was_long = is_long;
            if place > 0 || first.is_empty() {
                self.indent(level);
            }
            self.key(&entry.key, level);
            self.text.push(':');
            self.below_key(&entry.value, level);
        }
    }

    fn key(&mut self, key: &Key, level: usize) {
        let written = match key {
            Key::Literal(name) => line(&literal(name)),
            Key::Expression(expr) => line(&source(expr)),
            Key::Insert => "${{ insert }}".into(),
        };
        if written.len() > MAX_KEY {
            self.text.push_str("? ");
            self.text.push_str(&written);
            self.text.push('\n');
            self.indent(level);
        } else {
            self.text.push_str(&written);
        }
    }

    /// What stands behind the colon of a key.
    fn below_key(&mut self, value: &Token, level: usize) {
        match &value.kind {
            TokenKind::Mapping(entries) if !entries.is_empty() => {
                self.text.push('\n');
                self.entries(entries, level + 1, "");
            }
            TokenKind::Sequence(items) if !items.is_empty() => {
                self.text.push('\n');
                self.items(items, level + 1);
            }
            // Nothing is null, too.
            TokenKind::Null => self.text.push('\n'),
            _ => {
                self.text.push(' ');
                self.value(value, level + 1);
            }
        }
    }

    fn items(&mut self, items: &[Token], level: usize) {
        for item in items {
            self.indent(level);
            self.text.push_str("- ");
            match &item.kind {
                TokenKind::Mapping(entries) if !entries.is_empty() => self.entries(entries, level + 1, "- "),
                TokenKind::Sequence(inner) if !inner.is_empty() => {
                    self.text.pop();
                    self.text.push('\n');
                    self.items(inner, level + 1);
                }
                _ => self.value(item, level + 1),
            }
        }
    }

    /// A scalar or an empty collection; the lines of a block are indented by `level`.
    fn value(&mut self, value: &Token, level: usize) {
        match &value.kind {
            TokenKind::Mapping(_) => self.text.push_str("{}\n"),
            TokenKind::Sequence(_) => self.text.push_str("[]\n"),
            kind => match scalar(kind) {
                Written::Line(line) => {
                    self.text.push_str(&line);
                    self.text.push('\n');
                }
                Written::Block(style, lines) => {
                    self.text.push_str(style);
                    self.text.push('\n');
                    for line in lines {
                        if !line.is_empty() {
                            self.indent(level.max(1));
                            self.text.push_str(&line);
                        }
                        self.text.push('\n');
                    }
                }
            },
        }
    }
}

fn is_long(value: &Token) -> bool {
    match &value.kind {
        TokenKind::Mapping(entries) => !entries.is_empty(),
        TokenKind::Sequence(items) => !items.is_empty(),
        _ => false,
    }
}

fn is_long_mapping(value: &Token) -> bool {
    value.entries().len() > 1
}
