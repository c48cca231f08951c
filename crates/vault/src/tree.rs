//! A folder's list: its entries in the order of their names. Kept as a chunk, so that a folder in which nothing has changed
//! is kept once.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::VaultError;

/// The version of the list's encoding.
const VERSION: u8 = 1;

/// The longest name of an entry, in bytes, as file systems have it.
const MAX_NAME: usize = 255;

/// The SHA-256 of a chunk.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Digest([u8; 32]);

impl Digest {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Its 64 hexadecimal digits as a digest.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut digest = [0; 32];
        if text.len() != 2 * digest.len() || !text.is_ascii() {
            return None;
        }
        for (place, byte) in digest.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * place..2 * place + 2], 16).ok()?;
        }
        Some(Self(digest))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

/// One entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    #[serde(with = "serde_bytes")]
    pub(crate) name: Vec<u8>,
    /// Permission bits with set-user-id, set-group-id and sticky.
    pub(crate) mode: u32,
    pub(crate) owner: u32,
    pub(crate) group: u32,
    /// When its content was last changed: seconds and nanoseconds since 1970.
    pub(crate) modified: (i64, u32),
    pub(crate) content: Content,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Content {
    /// A file of these chunks.
    File { size: u64, chunks: Vec<Digest> },
    /// A folder with this list.
    Folder(Digest),
    /// A symbolic link.
    Link(#[serde(with = "serde_bytes")] Vec<u8>),
}

/// The bytes that a list is kept as.
pub(crate) fn encode(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    bytes.extend(postcard::to_stdvec(entries).expect("a list has only what can be encoded"));
    bytes
}

/// The list in these bytes. Its names are single, in order, and lead nowhere else.
pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<Entry>, VaultError> {
    let unreadable = || VaultError::damaged("the list of a folder cannot be read");
    let (version, list) = bytes.split_first().ok_or_else(unreadable)?;
    if *version != VERSION {
        return Err(VaultError::damaged(format!("the list of a folder has the unknown version {version}")));
    }
    let entries: Vec<Entry> = postcard::from_bytes(list).map_err(|_| unreadable())?;
    let is_name = |name: &[u8]| {
        !name.is_empty()
            && name.len() <= MAX_NAME
            && name != b"."
            && name != b".."
            && !name.iter().any(|byte| matches!(byte, b'/' | 0))
    };
    let in_order = entries.windows(2).all(|pair| pair[0].name < pair[1].name);
    if in_order && entries.iter().all(|entry| is_name(&entry.name)) { Ok(entries) } else { Err(unreadable()) }
}

#[cfg(test)]
mod tests {
    use super::{Content, Digest, Entry, decode, encode};

    fn entry(name: &str) -> Entry {
        let content = Content::File { size: 1, chunks: vec![Digest::of(b"a")] };
        Entry { name: name.into(), mode: 0o644, owner: 0, group: 0, modified: (1, 2), content }
    }

    fn check(names: &[&str], is_readable: bool) {
        let entries: Vec<Entry> = names.iter().map(|name| entry(name)).collect();
        assert_eq!(decode(&encode(&entries)).ok(), is_readable.then_some(entries), "{names:?}");
    }

    #[test]
    fn lists_read_back_in_order() {
        check(&[], true);
        check(&["a", "b", "c"], true);
        check(&["b", "a"], false);
        check(&["a", "a"], false);
    }

    #[test]
    fn names_lead_nowhere_else() {
        for name in ["", ".", "..", "a/b", "/", "a\0"] {
            check(&[name], false);
        }
    }

    #[test]
    fn other_versions_and_garbage_are_refused() {
        assert!(decode(&[]).is_err());
        assert!(decode(&[9]).is_err());
        let bytes = encode(&[entry("a")]);
        for end in 0..bytes.len() {
            assert!(decode(&bytes[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn digests_are_hexadecimal() {
        let digest = Digest::of(b"");
        assert!(digest.to_string().starts_with("e3b0c44298fc1c149afbf4c8996fb924"));
        assert_eq!(Digest::parse(&digest.to_string()), Some(digest));
        assert_eq!(Digest::parse("e3"), None);
        assert_eq!(Digest::parse(&"ä".repeat(32)), None);
    }
}
