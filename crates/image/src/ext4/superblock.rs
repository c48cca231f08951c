//! The superblock and the group descriptors.

use super::BLOCK;
use super::inode::Record;
use super::layout::{FIRST_INODE, Layout};
use super::{GROUP, INODE};

/// Attributes of files; no copies of the superblock (the two that `sparse_super2` allows are not made).
const COMPATIBLE: u32 = 0x0008 | 0x0200;
/// Kinds in folders, extents, bitmaps and tables anywhere.
const INCOMPATIBLE: u32 = 0x0002 | 0x0040 | 0x0200;
/// Large files, sizes in blocks, folders with many folders in them, long inodes.
const READ_ONLY_COMPATIBLE: u32 = 0x0002 | 0x0008 | 0x0020 | 0x0040;
/// All groups are one flexible group: there are at most 2^17 of them.
const GROUPS_PER_FLEX: u8 = 17;
/// The same for all: nothing mounts two images of one name, and the digest tells images apart.
const UUID: &[u8; 16] = b"firedog root fs\0";

/// The 1024 bytes of the superblock.
pub(crate) fn superblock(layout: &Layout) -> Vec<u8> {
    let free_blocks = (0..layout.groups).map(|group| layout.free_blocks(group)).sum();
    let free_inodes = (0..layout.groups).map(|group| layout.free_inodes(group)).sum();
    let mut block = Record::new(1024);
    block.number(0x00, layout.groups * layout.inodes_per_group);
    block.number(0x04, layout.blocks);
    block.number(0x0c, free_blocks);
    block.number(0x10, free_inodes);
    // 2 to the power of (10 + 2) are the bytes of a block and of a cluster.
    block.u32(0x18, 2);
    block.u32(0x1c, 2);
    block.number(0x20, GROUP);
    block.number(0x24, GROUP);
    block.number(0x28, layout.inodes_per_group);
    // Never checked for having been mounted often.
    block.u16(0x36, u16::MAX);
    block.u16(0x38, 0xef53);
    // Clean; errors make it read-only.
    block.u16(0x3a, 1);
    block.u16(0x3c, 2);
    block.u32(0x4c, 1);
    block.u32(0x54, FIRST_INODE);
    block.u16(0x58, u16::try_from(INODE).expect("an inode is small"));
    block.u32(0x5c, COMPATIBLE);
    block.u32(0x60, INCOMPATIBLE);
    block.u32(0x64, READ_ONLY_COMPATIBLE);
    block.bytes(0x68, UUID);
    block.bytes(0x78, b"firedog");
    // Room that inodes should have beyond their first 128 bytes.
    block.u16(0x15c, 32);
    block.u16(0x15e, 32);
    block.bytes(0x174, &[GROUPS_PER_FLEX]);
    block.0
}

/// The descriptors of all groups, 32 bytes each.
pub(crate) fn group_descriptors(layout: &Layout) -> Vec<u8> {
    let mut table = Vec::new();
    for group in 0..layout.groups {
        let mut descriptor = Record::new(32);
        descriptor.number(0x00, layout.block_bitmaps + group);
        descriptor.number(0x04, layout.inode_bitmaps + group);
        descriptor.number(0x08, layout.inode_table(group));
        let count = |value: u64| u16::try_from(value).expect("a group has at most 32768 blocks and inodes");
        descriptor.u16(0x0c, count(layout.free_blocks(group)));
        descriptor.u16(0x0e, count(layout.free_inodes(group)));
        descriptor.u16(0x10, count(layout.folders(group)));
        table.extend(descriptor.0);
    }
    debug_assert!(table.len() as u64 <= layout.groups.div_ceil(BLOCK / 32) * BLOCK);
    table
}
