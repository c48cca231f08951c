//! Texts of scalars, shared by those that are the same: keys, labels and actions stand in many places.
//!
//! Invariant: memory is bounded by the number of slots and the length of the texts.

use std::cell::RefCell;
use std::hash::Hasher;
use std::sync::Arc;

use crate::hash::ShortHasher;

/// Texts that are kept for the next scalar, at most.
const SLOTS: usize = 1024;
/// Bytes of a text that is kept.
const MAX_TEXT: usize = 48;

thread_local! {
    // Of each thread: those that count the references of the same text wait for each other.
    static NEWEST: RefCell<Vec<Arc<str>>> = const { RefCell::new(Vec::new()) };
}

/// The text, of an earlier scalar if that is at hand. A newer text takes the place of an older one with the same hash.
pub(super) fn shared(text: &str) -> Arc<str> {
    if text.len() > MAX_TEXT {
        return Arc::from(text);
    }
    NEWEST.with_borrow_mut(|newest| {
        if newest.is_empty() {
            newest.resize(SLOTS, Arc::from(""));
        }
        let mut hasher = ShortHasher::default();
        hasher.write(text.as_bytes());
        let slot = &mut newest[hasher.finish() as usize % SLOTS];
        if **slot != *text {
            *slot = Arc::from(text);
        }
        slot.clone()
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::{any, proptest};

    use super::{MAX_TEXT, SLOTS, shared};

    #[test]
    fn the_same_text_is_shared() {
        assert!(Arc::ptr_eq(&shared("name"), &shared("name")));
        let long = "x".repeat(MAX_TEXT + 1);
        assert!(!Arc::ptr_eq(&shared(&long), &shared(&long)));
        for number in 0..4 * SLOTS {
            let text = number.to_string();
            assert_eq!(&*shared(&text), text);
        }
    }

    proptest! {
        #[test]
        fn every_text_is_itself(text in any::<String>()) {
            assert_eq!(&*shared(&text), text.as_str());
        }
    }
}
