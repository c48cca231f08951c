//! The account of an evaluation's memory, kept as GitHub keeps it: by the level of a node, as if text were UTF-16.

use super::parser::MAX_DEPTH;

/// The most bytes that an expression of a workflow or an action may use: 10 MiB.
pub const MEMORY_OF_TEMPLATE: usize = 10 * 1024 * 1024;

/// The most bytes that an expression evaluated by itself may use: 1 MiB.
pub const MEMORY_OF_EXPRESSION: usize = 1024 * 1024;

const OBJECT_BYTES: usize = 24;
const STRING_BYTES: usize = 26;
const POINTER_BYTES: usize = 8;

/// The account is exceeded.
#[derive(Debug)]
pub(crate) struct Exceeded;

/// What GitHub counts for a text.
pub(crate) fn of_text(text: &str) -> usize {
    let units = if text.is_ascii() { text.len() } else { text.encode_utf16().count() };
    STRING_BYTES + 2 * units
}

/// What a node's evaluation left behind.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Held {
    /// A value that was computed: `bytes`, and nothing of its operands any more.
    Computed(usize),
    /// A value that belongs to a context or to a collection: `bytes` more than what its operands hold.
    Borrowed(usize),
}

impl Held {
    pub(crate) const OBJECT: usize = OBJECT_BYTES;
}

/// The memory of one evaluation.
#[derive(Debug)]
pub(crate) struct Memory {
    levels: [usize; MAX_DEPTH as usize + 1],
    deepest: usize,
    total: usize,
    limit: usize,
}

impl Memory {
    pub(crate) fn new(limit: usize) -> Self {
        Self { levels: [0; MAX_DEPTH as usize + 1], deepest: 0, total: 0, limit }
    }

    /// Adds what a node at `level` holds.
    pub(crate) fn add(&mut self, level: usize, held: Held) -> Result<(), Exceeded> {
        let (Held::Computed(bytes) | Held::Borrowed(bytes)) = held;
        if let Held::Computed(_) = held {
            while self.deepest > level {
                self.total -= std::mem::take(&mut self.levels[self.deepest]);
                self.deepest -= 1;
            }
        }
        self.deepest = self.deepest.max(level);
        self.levels[level] += bytes;
        self.total += bytes;
        if self.total > self.limit { Err(Exceeded) } else { Ok(()) }
    }

    /// A counter for the value that one function builds.
    pub(crate) fn counter(&self) -> Counter {
        Counter { bytes: 0, limit: self.limit }
    }
}

/// The size of one value while it is built.
#[derive(Debug)]
pub(crate) struct Counter {
    bytes: usize,
    limit: usize,
}

impl Counter {
    fn add(&mut self, bytes: usize) -> Result<(), Exceeded> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > self.limit { Err(Exceeded) } else { Ok(()) }
    }

    /// Counts a piece of text.
    pub(crate) fn add_text(&mut self, text: &str) -> Result<(), Exceeded> {
        self.add(of_text(text))
    }

    /// Counts an object.
    pub(crate) fn add_object(&mut self) -> Result<(), Exceeded> {
        self.add(OBJECT_BYTES)
    }

    /// Counts an item of a list.
    pub(crate) fn add_item(&mut self) -> Result<(), Exceeded> {
        self.add(POINTER_BYTES)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::{Held, Memory, of_text};

    #[test]
    fn operands_are_forgotten_when_a_value_is_computed() {
        let mut memory = Memory::new(100);
        memory.add(2, Held::Borrowed(40)).unwrap();
        memory.add(2, Held::Borrowed(40)).unwrap();
        memory.add(1, Held::Computed(20)).unwrap();
        memory.add(2, Held::Borrowed(80)).unwrap();
        assert!(memory.add(1, Held::Borrowed(1)).is_err());
    }

    #[test]
    fn text_counts_as_utf16() {
        assert_eq!(of_text(""), 26);
        assert_eq!(of_text("aü😀"), 26 + 8);
    }
}
