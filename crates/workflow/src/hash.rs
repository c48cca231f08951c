//! A hash for names that a file holds.
//!
//! It is quick for short keys. Whoever writes a file can make names collide on purpose; what that costs is bounded by how
//! many nodes a file may have ([`yaml::MAX_NODES`](crate::yaml::MAX_NODES)).

use std::hash::Hasher;

/// Takes eight bytes at a time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ShortHasher(u64);

impl ShortHasher {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(Self::FACTOR);
    }
}

impl Hasher for ShortHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.add(u64::from_le_bytes(*word)));
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            self.add(u64::from_le_bytes(last) ^ rest.len() as u64);
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.add(u64::from(byte));
    }

    fn finish(&self) -> u64 {
        // Tables take the place from the low bits and a mark from the high ones.
        self.0 ^ self.0 >> 32
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::{Hash, Hasher};

    use super::ShortHasher;

    #[test]
    fn names_that_differ_hash_differently() {
        let mut seen = HashSet::new();
        for name in (0..10_000).map(|number| format!("step-{number}")) {
            let mut hasher = ShortHasher::default();
            name.hash(&mut hasher);
            seen.insert(hasher.finish() & 0xffff_ffff);
        }
        assert!(seen.len() > 9_990, "{} hashes of 10,000 names", seen.len());
    }
}
