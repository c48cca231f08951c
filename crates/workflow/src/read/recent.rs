//! What was made of the newest short texts: `${{ matrix.os }}` stands in many places.
//!
//! Invariant: memory is bounded by the number of slots and the length of the texts.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::hash::ShortHasher;

/// Texts that are remembered, at most.
const SLOTS: usize = 512;
/// Bytes of a text that is remembered.
const MAX_TEXT: usize = 128;

/// What was made of texts by a rule `K`. A newer text takes the place of an older one with the same hash.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    slots: Vec<Option<(K, Arc<str>, V)>>,
}

impl<K: Copy + Eq + Hash, V: Clone> Recent<K, V> {
    pub(super) const fn new() -> Self {
        Self { slots: Vec::new() }
    }

    /// What the rule makes of the text; `make` is called where that is not remembered.
    pub(super) fn get<E>(
        &mut self,
        rule: K,
        text: &str,
        make: impl FnOnce() -> Result<V, E>,
    ) -> Result<V, E> {
        if text.len() > MAX_TEXT {
            return make();
        }
        if self.slots.is_empty() {
            self.slots.resize_with(SLOTS, || None);
        }
        let mut hasher = ShortHasher::default();
        (rule, text).hash(&mut hasher);
        let slot = &mut self.slots[hasher.finish() as usize % SLOTS];
        if let Some((of, known, value)) = slot
            && *of == rule
            && **known == *text
        {
            return Ok(value.clone());
        }
        let value = make()?;
        *slot = Some((rule, Arc::from(text), value.clone()));
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::Recent;

    #[test]
    fn texts_are_remembered_with_their_rules() {
        let mut recent = Recent::new();
        let mut made = 0;
        let mut check = |rule: u8, text: &str, is_made: bool| {
            let before = made;
            let value = recent.get(rule, text, || {
                made += 1;
                if text.is_empty() { Err("nothing") } else { Ok(format!("{rule} {text}")) }
            });
            let expected = if text.is_empty() { Err("nothing") } else { Ok(format!("{rule} {text}")) };
            assert_eq!((value, made - before), (expected, usize::from(is_made)), "{rule} {text}");
        };
        check(1, "a", true);
        check(1, "a", false);
        check(2, "a", true);
        check(1, "b", true);
        check(1, "", true);
        check(1, "", true);
        let long = "x".repeat(1000);
        check(1, &long, true);
        check(1, &long, true);
        for number in 0..2000 {
            check(3, &number.to_string(), true);
        }
    }
}
