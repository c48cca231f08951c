//! Writes a [`Tree`] as an ext4 file system into a file: no mount, no root, no program of the host.
//!
//! The file system is for reading only: it is as large as its content, has no journal and no free space, and everything
//! lies in the order of the tree. Same tree, same bytes. Owners, devices and attributes are those of the tree, whoever
//! the user is that writes.
//!
//! The format is that of `Documentation/filesystems/ext4` in Linux. Without a check sum, an index of folders or copies of
//! the superblock, all of which are optional: `layout` decides what lies where, `inode`, `folder` and `superblock`
//! encode it.

mod folder;
mod inode;
mod layout;
mod superblock;

use std::io::{self, Read, Write};

use crate::tree::{Content, Kind, Tree};
use layout::{Layout, Placed};

/// The size of a block, in bytes.
pub(crate) const BLOCK: u64 = 4096;
/// How many blocks a group has: one bit for each in a block.
pub(crate) const GROUP: u64 = 8 * BLOCK;
/// The size of an inode, in bytes.
pub(crate) const INODE: u64 = 256;

/// Why a tree was not written.
#[derive(Debug, thiserror::Error)]
pub enum Ext4Error {
    /// The tree needs more blocks or inodes than 32 bits count.
    #[error("the file system would be larger than 16 TiB")]
    TooLarge,
    /// The target cannot be written, or a content cannot be read.
    #[error("cannot write the file system")]
    Write(#[source] io::Error),
}

/// The size in bytes that [`write()`] will write.
pub fn size(tree: &Tree) -> Result<u64, Ext4Error> {
    Ok(Layout::of(tree)?.blocks * BLOCK)
}

/// Writes `tree` to `to`, from its first byte to its last. `written` is told how many bytes there are so far.
pub fn write(tree: &Tree, to: &mut impl Write, written: &mut dyn FnMut(u64)) -> Result<(), Ext4Error> {
    let layout = Layout::of(tree)?;
    let mut sink = Sink { to, at: 0, written };
    write_metadata(&layout, &mut sink)
        .and_then(|()| layout.files.iter().try_for_each(|placed| write_data(tree, placed, &mut sink)))
        .and_then(|()| sink.fill_to(layout.blocks * BLOCK))
        .map_err(Ext4Error::Write)
}

fn write_metadata(layout: &Layout, sink: &mut Sink<'_, impl Write>) -> io::Result<()> {
    sink.fill_to(1024)?;
    sink.bytes(&superblock::superblock(layout))?;
    sink.fill_to(BLOCK)?;
    sink.bytes(&superblock::group_descriptors(layout))?;
    sink.fill_to(layout.block_bitmaps * BLOCK)?;
    for group in 0..layout.groups {
        sink.bytes(&layout.block_bitmap(group))?;
    }
    for group in 0..layout.groups {
        sink.bytes(&layout.inode_bitmap(group))?;
    }
    // Inodes 1 to 10 are the file system's own; only the second of them, the root, is used.
    let mut number = 1;
    for placed in &layout.files {
        sink.fill_to(layout.inode_offset(placed.number))?;
        sink.bytes(&inode::encode(placed))?;
        number = placed.number;
    }
    debug_assert_eq!(u64::from(number), layout.used_inodes);
    sink.fill_to(layout.data * BLOCK)
}

/// Writes what is outside of the inode, in the order in which `layout` placed it.
fn write_data(tree: &Tree, placed: &Placed, sink: &mut Sink<'_, impl Write>) -> io::Result<()> {
    for block in placed.blocks_before_content() {
        sink.fill_to(block.number * BLOCK)?;
        sink.bytes(&block.bytes)?;
    }
    if placed.content_blocks == 0 {
        return Ok(());
    }
    sink.fill_to(placed.content * BLOCK)?;
    if let Some(folder) = &placed.folder {
        return sink.bytes(folder);
    }
    match placed.source.map(|id| &tree.node(id).kind) {
        Some(Kind::Regular(content)) => sink.content(content),
        Some(Kind::Link(target)) => sink.bytes(target),
        _ => unreachable!("only files, folders and links have blocks"),
    }
}

/// Where the image is written to, from begin to end.
struct Sink<'a, W> {
    to: &'a mut W,
    at: u64,
    written: &'a mut dyn FnMut(u64),
}

impl<W: Write> Sink<'_, W> {
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.to.write_all(bytes)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn fill_to(&mut self, offset: u64) -> io::Result<()> {
        const ZEROS: [u8; 4096] = [0; 4096];
        assert!(self.at <= offset, "the layout has no overlaps");
        while self.at < offset {
            let count = usize::try_from(offset - self.at).unwrap_or(usize::MAX).min(ZEROS.len());
            self.bytes(&ZEROS[..count])?;
        }
        Ok(())
    }

    fn content(&mut self, content: &Content) -> io::Result<()> {
        let mut reader = content.reader();
        let mut buffer = vec![0; usize::try_from(content.len().min(256 * 1024)).expect("it is small")];
        let mut left = content.len();
        while left > 0 {
            let count = reader.read(&mut buffer)?;
            self.bytes(&buffer[..count])?;
            left -= count as u64;
        }
        (self.written)(self.at);
        Ok(())
    }
}
