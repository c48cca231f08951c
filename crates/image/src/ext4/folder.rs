//! The blocks of a folder: entries of inode number, name and file type that fill each block to its end.

use super::BLOCK;
use crate::tree::Kind;

/// What a folder says of the kind of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileType {
    Regular = 1,
    Folder = 2,
    Character = 3,
    Block = 4,
    Pipe = 5,
    Link = 7,
}

impl FileType {
    pub(crate) fn of(kind: &Kind) -> Self {
        match kind {
            Kind::Folder(_) => Self::Folder,
            Kind::Regular(_) => Self::Regular,
            Kind::Link(_) => Self::Link,
            Kind::Character { .. } => Self::Character,
            Kind::Block { .. } => Self::Block,
            Kind::Pipe => Self::Pipe,
        }
    }
}

const BLOCK_SIZE: usize = BLOCK as usize;
/// Inode number, length of the entry, length of the name, file type.
const HEADER: usize = 8;
/// The entry `.` is the first and has the shortest length, so `..` begins here.
const PARENT: usize = 12;

/// The blocks of the folder `number` in the folder `parent`.
pub(crate) fn encode(number: u32, parent: u32, entries: &[(&[u8], u32, FileType)]) -> Vec<u8> {
    let mut blocks = Blocks { bytes: vec![0; BLOCK_SIZE], at: 0, last: 0 };
    blocks.entry(b".", number, FileType::Folder);
    blocks.entry(b"..", parent, FileType::Folder);
    for (name, inode, kind) in entries {
        blocks.entry(name, *inode, *kind);
    }
    blocks.end_block();
    blocks.bytes
}

/// Changes the number of the folder that this one is in.
pub(crate) fn set_parent(blocks: &mut [u8], parent: u32) {
    blocks[PARENT..PARENT + 4].copy_from_slice(&parent.to_le_bytes());
}

struct Blocks {
    bytes: Vec<u8>,
    /// The begin of free space.
    at: usize,
    /// The begin of the last entry.
    last: usize,
}

impl Blocks {
    fn entry(&mut self, name: &[u8], inode: u32, kind: FileType) {
        let length = (HEADER + name.len()).next_multiple_of(4);
        if self.at + length > self.bytes.len() {
            self.end_block();
            self.at = self.bytes.len();
            self.bytes.resize(self.at + BLOCK_SIZE, 0);
        }
        self.last = self.at;
        let entry = &mut self.bytes[self.at..self.at + length];
        entry[..4].copy_from_slice(&inode.to_le_bytes());
        entry[4..6].copy_from_slice(&u16::try_from(length).expect("a name is short").to_le_bytes());
        entry[6] = u8::try_from(name.len()).expect("a tree has no longer names");
        entry[7] = kind as u8;
        entry[HEADER..HEADER + name.len()].copy_from_slice(name);
        self.at += length;
    }

    /// The last entry of a block reaches to its end.
    fn end_block(&mut self) {
        let length = u16::try_from(self.bytes.len() - self.last).expect("it is within one block");
        self.bytes[self.last + 4..self.last + 6].copy_from_slice(&length.to_le_bytes());
    }
}
