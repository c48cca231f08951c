//! The entries of a mapping while it is read: a key may be there once, compared without regard to case.

use std::collections::HashSet;
use std::sync::Arc;

use crate::template::{Entry, Key};

/// Keys that are compared one by one; more of them are found by hash.
const FEW: usize = 32;

/// The entries so far, and the keys that were refused or whose values were.
#[derive(Debug, Default)]
pub(super) struct Keys {
    read: Vec<Entry>,
    refused: Vec<Arc<str>>,
    /// Whether a key has letters outside of ASCII, some of which have their lower case in it.
    has_others: bool,
    /// All keys in lower case, when they are more than few.
    many: HashSet<String>,
}

impl Keys {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self { read: Vec::with_capacity(capacity), ..Self::default() }
    }

    /// Whether this is the first key of the name, which then counts as taken when it is added or refused.
    pub(super) fn take(&mut self, name: &str) -> bool {
        if self.many.is_empty() {
            if self.read.len() + self.refused.len() < FEW {
                return !self.has(name);
            }
            self.many = self.names().map(str::to_lowercase).collect();
        }
        self.many.insert(name.to_lowercase())
    }

    pub(super) fn add(&mut self, entry: Entry) {
        self.has_others |= entry.name().is_some_and(|name| !name.is_ascii());
        self.read.push(entry);
    }

    pub(super) fn refuse(&mut self, key: Key) {
        if let Key::Literal(name) = key {
            self.has_others |= !name.is_ascii();
            self.refused.push(name);
        }
    }

    /// Whether the key was there, refused or not.
    pub(super) fn has(&self, name: &str) -> bool {
        if self.has_others || !name.is_ascii() {
            return self.names().any(|known| is_same(known, name));
        }
        self.names().any(|known| known.eq_ignore_ascii_case(name))
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.read.iter().filter_map(Entry::name).chain(self.refused.iter().map(|name| &**name))
    }

    pub(super) fn into_entries(self) -> Arc<[Entry]> {
        self.read.into()
    }
}

fn is_same(left: &str, right: &str) -> bool {
    left.eq_ignore_ascii_case(right)
        || (!(left.is_ascii() && right.is_ascii()) && left.to_lowercase() == right.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::Keys;
    use crate::source::Span;
    use crate::template::{Entry, Key, Token, TokenKind};

    fn add(keys: &mut Keys, name: &str) -> bool {
        let is_new = keys.take(name);
        if is_new {
            let value = Token { kind: TokenKind::Null, span: Span::default() };
            keys.add(Entry { key: Key::Literal(name.into()), key_span: Span::default(), value });
        }
        is_new
    }

    #[test]
    fn keys_are_compared_without_case() {
        let mut keys = Keys::with_capacity(4);
        for (name, is_new) in
            [("a", true), ("A", false), ("\u{212a}", true), ("K", false), ("ä", true), ("Ä", false)]
        {
            assert_eq!(add(&mut keys, name), is_new, "{name}");
        }
        assert!(keys.take("b"));
        keys.refuse(Key::Literal("b".into()));
        assert!(!keys.take("B"));
        assert!(keys.has("b") && !keys.has("c"));
        assert_eq!(keys.into_entries().len(), 3);
    }

    #[test]
    fn many_keys_are_compared_alike() {
        let mut keys = Keys::default();
        for number in 0..200 {
            assert!(add(&mut keys, &format!("key{number}")));
        }
        for number in 0..200 {
            assert!(!add(&mut keys, &format!("KEY{number}")), "{number}");
        }
    }
}
