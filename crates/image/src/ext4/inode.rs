//! The inode of a file, the blocks that list its extents, and the block of its extended attributes.

use super::layout::{BLOCK_EXTENTS, EXTENT, Placed, Shape};
use super::{BLOCK, INODE};

const EXTENTS_FLAG: u32 = 0x8_0000;
/// How much of an inode after its first 128 bytes is used: the fields up to the time of creation.
const EXTRA: u16 = 32;

/// A block besides those of the content.
#[derive(Debug)]
pub(crate) struct ExtraBlock {
    pub(crate) number: u64,
    pub(crate) bytes: Vec<u8>,
}

/// Bytes at fixed places.
pub(crate) struct Record(pub(crate) Vec<u8>);

impl Record {
    pub(crate) fn new(size: u64) -> Self {
        Self(vec![0; usize::try_from(size).expect("a record is small")])
    }

    pub(crate) fn bytes(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    pub(crate) fn u16(&mut self, at: usize, value: u16) {
        self.bytes(at, &value.to_le_bytes());
    }

    pub(crate) fn u32(&mut self, at: usize, value: u32) {
        self.bytes(at, &value.to_le_bytes());
    }

    /// A number that the layout has found to fit into 32 bits.
    pub(crate) fn number(&mut self, at: usize, value: u64) {
        self.u32(at, u32::try_from(value).expect("the layout refuses more than 32 bits"));
    }
}

fn low(value: u32) -> u16 {
    (value & 0xffff) as u16
}

fn high(value: u32) -> u16 {
    (value >> 16) as u16
}

/// The inode of `file`.
pub(crate) fn encode(file: &Placed) -> Vec<u8> {
    let metadata = &file.metadata;
    let mut inode = Record::new(INODE);
    inode.u16(0x00, kind_bits(&file.shape) | metadata.permissions);
    inode.u16(0x02, low(metadata.uid));
    inode.u16(0x78, high(metadata.uid));
    inode.u16(0x18, low(metadata.gid));
    inode.u16(0x7a, high(metadata.gid));
    inode.u32(0x04, (file.size & 0xffff_ffff) as u32);
    inode.u32(0x6c, (file.size >> 32) as u32);
    inode.u16(0x80, EXTRA);
    let (seconds, extra) = time(metadata.modified);
    // Access, change, modification, creation: there is only one time.
    for (at, extra_at) in [(0x08, 0x8c), (0x0c, 0x84), (0x10, 0x88), (0x90, 0x94)] {
        inode.u32(at, seconds);
        inode.u32(extra_at, extra);
    }
    // Each name of a file is a link; a tree has fewer entries than a file may have links only by the hundred thousand.
    inode.u16(0x1a, u16::try_from(file.links).unwrap_or(u16::MAX));
    inode.number(0x1c, file.all_blocks() * (BLOCK / 512));
    inode.number(0x68, file.attributes.unwrap_or(0));
    match &file.shape {
        Shape::Folder | Shape::Regular | Shape::LongLink => {
            inode.u32(0x20, EXTENTS_FLAG);
            inode.bytes(0x28, &extents_in_inode(file));
        }
        Shape::ShortLink(target) => inode.bytes(0x28, target),
        Shape::Character { major, minor } | Shape::Block { major, minor } => {
            device(&mut inode, *major, *minor)
        }
        Shape::Pipe => {}
    }
    inode.0
}

fn kind_bits(shape: &Shape) -> u16 {
    match shape {
        Shape::Pipe => 0x1000,
        Shape::Character { .. } => 0x2000,
        Shape::Folder => 0x4000,
        Shape::Block { .. } => 0x6000,
        Shape::Regular => 0x8000,
        Shape::ShortLink(_) | Shape::LongLink => 0xa000,
    }
}

/// Seconds in 32 bits with a sign, and two bits that count how often they ran over.
fn time(seconds: i64) -> (u32, u32) {
    let seconds = seconds.clamp(i64::from(i32::MIN), i64::from(i32::MAX) + (3 << 32));
    let low = (seconds & 0xffff_ffff) as u32;
    let over = (seconds - i64::from(low.cast_signed())) >> 32;
    (low, (over & 3) as u32)
}

/// Numbers of the early kind are in the first word, larger ones in the second.
fn device(inode: &mut Record, major: u32, minor: u32) {
    if major < 256 && minor < 256 {
        inode.u32(0x28, major << 8 | minor);
    } else {
        inode.u32(0x2c, minor & 0xff | major << 8 | (minor & !0xff) << 12);
    }
}

/// A header with the number of entries, the room for them, and how many levels are below.
fn extent_header(record: &mut Record, entries: u64, room: u16, depth: u16) {
    record.u16(0, 0xf30a);
    record.u16(2, u16::try_from(entries).expect("the layout counts what fits"));
    record.u16(4, room);
    record.u16(6, depth);
}

/// Extents `first..` of a file, up to `count` of them, after a header.
fn extents(record: &mut Record, file: &Placed, first: u64, count: u64) {
    for index in 0..count {
        let logical = (first + index) * EXTENT;
        let at = usize::try_from(12 + index * 12).expect("it is within a block");
        record.number(at, logical);
        let length = (file.content_blocks - logical).min(EXTENT);
        record.u16(at + 4, u16::try_from(length).expect("an extent is short"));
        record.number(at + 8, file.content + logical);
    }
}

fn extents_in_inode(file: &Placed) -> Vec<u8> {
    let mut record = Record::new(60);
    let count = file.content_blocks.div_ceil(EXTENT);
    if file.extent_block_count == 0 {
        extent_header(&mut record, count, 4, 0);
        extents(&mut record, file, 0, count);
    } else {
        extent_header(&mut record, file.extent_block_count, 4, 1);
        for index in 0..file.extent_block_count {
            let at = usize::try_from(12 + index * 12).expect("the layout refuses more than four");
            record.number(at, index * BLOCK_EXTENTS * EXTENT);
            record.number(at + 4, file.extent_blocks + index);
        }
    }
    record.0
}

impl Placed {
    /// The blocks that lie before the content: attributes, then lists of extents.
    pub(crate) fn blocks_before_content(&self) -> Vec<ExtraBlock> {
        let mut blocks = Vec::new();
        if let Some(number) = self.attributes {
            blocks.push(ExtraBlock { number, bytes: attributes(self) });
        }
        let count = self.content_blocks.div_ceil(EXTENT);
        for index in 0..self.extent_block_count {
            let first = index * BLOCK_EXTENTS;
            let here = (count - first).min(BLOCK_EXTENTS);
            let mut record = Record::new(BLOCK);
            let room = u16::try_from(BLOCK_EXTENTS).expect("a block is small");
            extent_header(&mut record, here, room, 0);
            extents(&mut record, self, first, here);
            blocks.push(ExtraBlock { number: self.extent_blocks + index, bytes: record.0 });
        }
        blocks
    }
}

/// The number that stands for a prefix of names, and the rest of the name.
fn attribute_name(name: &str) -> (u8, &str) {
    const PREFIXES: [(u8, &str); 4] = [(1, "user."), (4, "trusted."), (6, "security."), (7, "system.")];
    match name {
        "system.posix_acl_access" => (2, ""),
        "system.posix_acl_default" => (3, ""),
        _ => PREFIXES
            .iter()
            .find_map(|(index, prefix)| Some((*index, name.strip_prefix(prefix)?)))
            .unwrap_or((0, name)),
    }
}

/// Entries grow from the begin of the block, sorted; values from its end.
fn attributes(file: &Placed) -> Vec<u8> {
    let mut record = Record::new(BLOCK);
    record.u32(0, 0xea02_0000);
    // One file uses the block, and it is one block.
    record.u32(4, 1);
    record.u32(8, 1);
    let mut sorted: Vec<(u8, &str, &[u8])> = file
        .metadata
        .attributes
        .iter()
        .map(|(name, value)| {
            let (index, name) = attribute_name(name);
            (index, name, value.as_slice())
        })
        .collect();
    sorted.sort_by_key(|(index, name, _)| (*index, name.len(), *name));
    let (mut at, mut end) = (32, record.0.len());
    let mut hash = 0_u32;
    for (index, name, value) in sorted {
        end -= value.len().next_multiple_of(4);
        record.bytes(end, value);
        record.bytes(at, &[u8::try_from(name.len()).expect("a tree has no longer names"), index]);
        record.u16(at + 2, u16::try_from(end).expect("it is within a block"));
        record.u32(at + 8, u32::try_from(value.len()).expect("it is within a block"));
        let entry = attribute_hash(name, value);
        record.u32(at + 12, entry);
        hash = hash.rotate_left(16) ^ entry;
        record.bytes(at + 16, name.as_bytes());
        at += (16 + name.len()).next_multiple_of(4);
    }
    record.u32(12, hash);
    record.0
}

/// The hash of one attribute, as Linux computes it from the bytes of its name and the words of its value.
fn attribute_hash(name: &str, value: &[u8]) -> u32 {
    let named = name.bytes().fold(0_u32, |hash, byte| hash.rotate_left(5) ^ u32::from(byte));
    value.chunks(4).fold(named, |hash, chunk| {
        let mut word = [0; 4];
        word[..chunk.len()].copy_from_slice(chunk);
        hash.rotate_left(16) ^ u32::from_le_bytes(word)
    })
}

#[cfg(test)]
mod tests {
    use super::time;

    #[test]
    fn a_time_is_32_bits_with_a_sign_and_two_bits_more() {
        assert_eq!(time(0), (0, 0));
        assert_eq!(time(-1), (u32::MAX, 0));
        assert_eq!(time(0x7fff_ffff), (0x7fff_ffff, 0));
        assert_eq!(time(0x8000_0000), (0x8000_0000, 1));
        assert_eq!(time(0x1_0000_0000), (0, 1));
        assert_eq!(time(i64::MAX), (0x7fff_ffff, 3));
        assert_eq!(time(i64::MIN), (0x8000_0000, 0));
    }
}
