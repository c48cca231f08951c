//! Decides where everything lies: superblock, group descriptors, all bitmaps, all inode tables, then the data of one
//! file after the other without a gap.
//!
//! So the used blocks are the first ones, and the used inodes too. That bitmaps and tables of all groups are together is
//! what the feature `flex_bg` allows.

use std::collections::BTreeMap;

use super::folder::{self, FileType};
use super::{BLOCK, Ext4Error, GROUP, INODE};
use crate::tree::{Kind, Metadata, NodeId, ROOT, Tree};

/// The root's inode number.
pub(crate) const ROOT_INODE: u32 = 2;
/// The first inode number that is not the file system's own. It is the folder `lost+found`'s, as checkers expect.
pub(crate) const FIRST_INODE: u32 = 11;
/// The length of a target that fits into the inode, with a zero after it.
const SHORT_LINK: u64 = 59;
/// How many blocks one extent has at most.
pub(crate) const EXTENT: u64 = 32768;
/// How many extents fit into the inode.
pub(crate) const INLINE_EXTENTS: u64 = 4;
/// How many extents fit into a block.
pub(crate) const BLOCK_EXTENTS: u64 = (BLOCK - 12) / 12;

/// The places of everything, in blocks.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) groups: u64,
    pub(crate) inodes_per_group: u64,
    /// The inodes `1..=used_inodes` are taken.
    pub(crate) used_inodes: u64,
    pub(crate) block_bitmaps: u64,
    pub(crate) inode_bitmaps: u64,
    pub(crate) inode_tables: u64,
    /// Where the data begins.
    pub(crate) data: u64,
    /// All blocks.
    pub(crate) blocks: u64,
    /// How many of them are used; the used ones come first.
    pub(crate) used: u64,
    /// In the order of their numbers.
    pub(crate) files: Vec<Placed>,
}

/// A file with its inode number and the place of its content.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) number: u32,
    /// The file in the tree; `None` is `lost+found`.
    pub(crate) source: Option<NodeId>,
    pub(crate) metadata: Metadata,
    pub(crate) shape: Shape,
    pub(crate) links: u32,
    /// In bytes.
    pub(crate) size: u64,
    /// The block with extended attributes, where there are any.
    pub(crate) attributes: Option<u64>,
    /// The first of the blocks that list extents, where they do not fit into the inode.
    pub(crate) extent_blocks: u64,
    pub(crate) extent_block_count: u64,
    pub(crate) content: u64,
    pub(crate) content_blocks: u64,
    /// A folder's entries.
    pub(crate) folder: Option<Vec<u8>>,
}

/// What the inode itself must know of a file's kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Folder,
    Regular,
    ShortLink(Vec<u8>),
    LongLink,
    Character { major: u32, minor: u32 },
    Block { major: u32, minor: u32 },
    Pipe,
}

impl Layout {
    pub(crate) fn of(tree: &Tree) -> Result<Self, Ext4Error> {
        let mut files = files(tree)?;
        let used_inodes = files.last().map_or(1, |file| u64::from(file.number));
        let data_blocks: u64 = files.iter_mut().map(Placed::count_blocks).sum();
        let mut groups = 1;
        let mut layout = loop {
            let layout = Self::with_groups(groups, used_inodes, data_blocks);
            // A group has as many inodes as a block has bits.
            let needed = layout.blocks.div_ceil(GROUP).max(used_inodes.div_ceil(GROUP));
            if needed <= groups {
                break layout;
            }
            groups = needed;
        };
        if layout.blocks > u64::from(u32::MAX) {
            return Err(Ext4Error::TooLarge);
        }
        let mut next = layout.data;
        for file in &mut files {
            next = file.place(next);
        }
        layout.files = files;
        Ok(layout)
    }

    fn with_groups(groups: u64, used_inodes: u64, data_blocks: u64) -> Self {
        // Whole blocks of the inode table.
        let inodes_per_group = used_inodes.div_ceil(groups).next_multiple_of(BLOCK / INODE);
        let block_bitmaps = 1 + (groups * 32).div_ceil(BLOCK);
        let inode_bitmaps = block_bitmaps + groups;
        let inode_tables = inode_bitmaps + groups;
        let data = inode_tables + groups * inodes_per_group * INODE / BLOCK;
        let used = data + data_blocks;
        // Each group has at least one block: many small files need more groups than their blocks fill.
        let blocks = used.max((groups - 1) * GROUP + 1);
        Self {
            groups,
            inodes_per_group,
            used_inodes,
            block_bitmaps,
            inode_bitmaps,
            inode_tables,
            data,
            blocks,
            used,
            files: Vec::new(),
        }
    }

    /// Where an inode lies, in bytes. The tables of all groups follow each other.
    pub(crate) fn inode_offset(&self, number: u32) -> u64 {
        self.inode_tables * BLOCK + u64::from(number - 1) * INODE
    }

    /// The first block of a group's inode table.
    pub(crate) fn inode_table(&self, group: u64) -> u64 {
        self.inode_tables + group * self.inodes_per_group * INODE / BLOCK
    }

    pub(crate) fn free_blocks(&self, group: u64) -> u64 {
        let end = ((group + 1) * GROUP).min(self.blocks);
        end - self.used.clamp(group * GROUP, end)
    }

    pub(crate) fn free_inodes(&self, group: u64) -> u64 {
        let end = (group + 1) * self.inodes_per_group;
        end - self.used_inodes.clamp(group * self.inodes_per_group, end)
    }

    pub(crate) fn folders(&self, group: u64) -> u64 {
        let is_here = |number: u32| (u64::from(number) - 1) / self.inodes_per_group == group;
        let folders = self.files.iter().filter(|file| file.shape == Shape::Folder && is_here(file.number));
        folders.count() as u64
    }

    pub(crate) fn block_bitmap(&self, group: u64) -> Vec<u8> {
        // What is after the end of the file system counts as used.
        let end = self.blocks.saturating_sub(group * GROUP).min(GROUP);
        bitmap(self.used.saturating_sub(group * GROUP).min(GROUP), end)
    }

    pub(crate) fn inode_bitmap(&self, group: u64) -> Vec<u8> {
        let used = self.used_inodes.saturating_sub(group * self.inodes_per_group);
        bitmap(used.min(self.inodes_per_group), self.inodes_per_group)
    }
}

/// A block of bits: set below `used`, and from `end` on.
fn bitmap(used: u64, end: u64) -> Vec<u8> {
    let mut bits = vec![0_u8; usize::try_from(BLOCK).expect("a block is small")];
    for (index, byte) in bits.iter_mut().enumerate() {
        for bit in 0..8 {
            let position = index as u64 * 8 + bit;
            if position < used || position >= end {
                *byte |= 1 << bit;
            }
        }
    }
    bits
}

impl Placed {
    /// Decides how many blocks the file needs, all kinds together.
    fn count_blocks(&mut self) -> u64 {
        self.content_blocks = match self.shape {
            Shape::Folder | Shape::Regular | Shape::LongLink => self.size.div_ceil(BLOCK),
            _ => 0,
        };
        let extents = self.content_blocks.div_ceil(EXTENT);
        self.extent_block_count = if extents <= INLINE_EXTENTS { 0 } else { extents.div_ceil(BLOCK_EXTENTS) };
        self.all_blocks()
    }

    /// Gives the file its blocks from `next` on; returns the first block after them.
    fn place(&mut self, next: u64) -> u64 {
        let mut at = next;
        if !self.metadata.attributes.is_empty() {
            self.attributes = Some(at);
            at += 1;
        }
        self.extent_blocks = at;
        self.content = at + self.extent_block_count;
        next + self.all_blocks()
    }

    /// How many blocks the file has, with those for its attributes and extents.
    pub(crate) fn all_blocks(&self) -> u64 {
        u64::from(!self.metadata.attributes.is_empty()) + self.extent_block_count + self.content_blocks
    }
}

/// All files of the tree with their numbers, sizes and links, in the order of the numbers.
fn files(tree: &Tree) -> Result<Vec<Placed>, Ext4Error> {
    let mut numbers: BTreeMap<NodeId, u32> = BTreeMap::from([(ROOT, ROOT_INODE)]);
    let mut order = vec![ROOT];
    let mut names: BTreeMap<NodeId, u32> = BTreeMap::new();
    let walk = tree.walk();
    for (path, id) in walk {
        if path == b"/lost+found" || path.starts_with(b"/lost+found/") {
            continue;
        }
        *names.entry(id).or_default() += 1;
        let next = u32::try_from(numbers.len()).ok().and_then(|count| count.checked_add(FIRST_INODE));
        numbers.entry(id).or_insert_with(|| {
            order.push(id);
            next.expect("a tree has far fewer entries than numbers have values")
        });
    }
    let mut files: Vec<Placed> = Vec::with_capacity(order.len() + 1);
    for id in order {
        let parent = ROOT_INODE;
        files.push(placed(tree, id, &numbers, names[&id], parent));
    }
    set_parents(tree, &numbers, &mut files);
    files.insert(1, lost_and_found(&files[0].metadata));
    Ok(files)
}

fn placed(tree: &Tree, id: NodeId, numbers: &BTreeMap<NodeId, u32>, names: u32, parent: u32) -> Placed {
    let node = tree.node(id);
    let number = numbers[&id];
    let (shape, size, folder, links) = match &node.kind {
        Kind::Folder(entries) => {
            let listed = entries.iter().filter(|(name, child)| is_listed(id, name, **child, numbers));
            let mut list: Vec<(&[u8], u32, FileType)> = listed
                .map(|(name, child)| (name.as_slice(), numbers[child], FileType::of(&tree.node(*child).kind)))
                .collect();
            if id == ROOT {
                list.push((b"lost+found", FIRST_INODE, FileType::Folder));
            }
            let folders = list.iter().filter(|(_, _, kind)| *kind == FileType::Folder).count();
            let bytes = folder::encode(number, parent, &list);
            // More than 65,000 links are not counted: that is what 1 says.
            let links = u32::try_from(folders + 2).ok().filter(|links| *links < 65_000).unwrap_or(1);
            (Shape::Folder, bytes.len() as u64, Some(bytes), links)
        }
        Kind::Regular(content) => (Shape::Regular, content.len(), None, names),
        Kind::Link(target) if target.len() as u64 <= SHORT_LINK => {
            (Shape::ShortLink(target.clone()), target.len() as u64, None, names)
        }
        Kind::Link(target) => (Shape::LongLink, target.len() as u64, None, names),
        Kind::Character { major, minor } => {
            (Shape::Character { major: *major, minor: *minor }, 0, None, names)
        }
        Kind::Block { major, minor } => (Shape::Block { major: *major, minor: *minor }, 0, None, names),
        Kind::Pipe => (Shape::Pipe, 0, None, names),
    };
    Placed {
        number,
        source: Some(id),
        metadata: node.metadata.clone(),
        shape,
        links,
        size,
        attributes: None,
        extent_blocks: 0,
        extent_block_count: 0,
        content: 0,
        content_blocks: 0,
        folder,
    }
}

/// The root's `lost+found` is this writer's own.
fn is_listed(folder: NodeId, name: &[u8], child: NodeId, numbers: &BTreeMap<NodeId, u32>) -> bool {
    (folder != ROOT || name != b"lost+found") && numbers.contains_key(&child)
}

/// Writes into each folder's `..` which folder it is in.
fn set_parents(tree: &Tree, numbers: &BTreeMap<NodeId, u32>, files: &mut [Placed]) {
    let mut parents: BTreeMap<u32, u32> = BTreeMap::new();
    for (id, number) in numbers {
        if let Kind::Folder(entries) = &tree.node(*id).kind {
            parents.extend(entries.values().filter_map(|child| Some((*numbers.get(child)?, *number))));
        }
    }
    for file in files {
        if let (Some(folder), Some(parent)) = (&mut file.folder, parents.get(&file.number)) {
            folder::set_parent(folder, *parent);
        }
    }
}

fn lost_and_found(root: &Metadata) -> Placed {
    let bytes = folder::encode(FIRST_INODE, ROOT_INODE, &[]);
    Placed {
        number: FIRST_INODE,
        source: None,
        metadata: Metadata { modified: root.modified, ..Metadata::of_root(0o700) },
        shape: Shape::Folder,
        links: 2,
        size: bytes.len() as u64,
        attributes: None,
        extent_blocks: 0,
        extent_block_count: 0,
        content: 0,
        content_blocks: 0,
        folder: Some(bytes),
    }
}
