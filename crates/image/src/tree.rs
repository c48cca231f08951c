//! A file system in memory: names, kinds, owners, times; contents are in files outside, or short and here.
//!
//! Paths are looked up as in a system whose root this is: a symbolic link leads to a place in the tree, `..` at the root
//! stays there. So nothing that an archive says can name a place outside.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// How many files, folders and links a tree may have.
pub const MAX_ENTRIES: usize = 2_000_000;
/// The longest name in a folder, in bytes, as in Linux.
pub const MAX_NAME: usize = 255;
/// The longest path and the longest target of a link, in bytes, as in Linux.
pub const MAX_PATH: usize = 4095;
/// How many links are followed in one path, as in Linux.
const MAX_LINKS: u32 = 40;
/// All extended attributes of a file, with their names, in bytes: they must fit into one block.
pub const MAX_ATTRIBUTES: usize = 3800;

/// The number of a file in its tree. Two names with one number are hard links.
pub type NodeId = usize;

/// The root's number.
pub const ROOT: NodeId = 0;

/// What is known of a file besides its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Permission bits, with those for set-user-id, set-group-id and sticky: `0o7777` at most.
    pub permissions: u16,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The time of the last change, in seconds since 1970.
    pub modified: i64,
    /// Extended attributes with their whole names, such as `security.capability`.
    pub attributes: BTreeMap<String, Vec<u8>>,
}

impl Metadata {
    /// Root's, of 1970, without attributes.
    pub fn of_root(permissions: u16) -> Self {
        Self { permissions, uid: 0, gid: 0, modified: 0, attributes: BTreeMap::new() }
    }
}

/// What a file is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A folder, with the numbers of what is in it.
    Folder(BTreeMap<Vec<u8>, NodeId>),
    /// A regular file.
    Regular(Content),
    /// A symbolic link, with its target.
    Link(Vec<u8>),
    /// A character device.
    Character {
        /// The driver.
        major: u32,
        /// The device of that driver.
        minor: u32,
    },
    /// A block device.
    Block {
        /// The driver.
        major: u32,
        /// The device of that driver.
        minor: u32,
    },
    /// A named pipe.
    Pipe,
}

/// The content of a regular file.
#[derive(Clone, Debug)]
pub enum Content {
    /// In memory.
    Bytes(Arc<[u8]>),
    /// Part of a file outside.
    Span {
        /// The file.
        file: Arc<File>,
        /// Where the content begins, in bytes.
        offset: u64,
        /// How long it is, in bytes.
        length: u64,
    },
}

impl Content {
    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Span { length, .. } => *length,
        }
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A reader of it, from its begin.
    pub fn reader(&self) -> ContentReader<'_> {
        ContentReader { content: self, position: 0 }
    }

    /// All of it, where it has at most `limit` bytes.
    pub fn read(&self, limit: u64) -> io::Result<Vec<u8>> {
        if self.len() > limit {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("it has more than {limit} bytes"),
            ));
        }
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut self.reader(), &mut bytes)?;
        Ok(bytes)
    }
}

/// Reads a [`Content`]. A file outside that has become shorter is an error, not an early end.
#[derive(Debug)]
pub struct ContentReader<'a> {
    content: &'a Content,
    position: u64,
}

impl io::Read for ContentReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.content.len() - self.position;
        let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let count = match self.content {
            Content::Bytes(bytes) => {
                let at = usize::try_from(self.position).expect("it is a position in memory");
                buffer[..wanted].copy_from_slice(&bytes[at..at + wanted]);
                wanted
            }
            Content::Span { file, offset, .. } => {
                file.read_at(&mut buffer[..wanted], offset + self.position)?
            }
        };
        if count == 0 && wanted > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file with the content was cut"));
        }
        self.position += count as u64;
        Ok(count)
    }
}

/// One file, folder, link or device.
#[derive(Clone, Debug)]
pub struct Node {
    /// Owner, permissions and such.
    pub metadata: Metadata,
    /// What it is.
    pub kind: Kind,
    /// The layer that it came with, counted from the lowest.
    layer: u32,
}

/// Why something cannot be put into a tree, or is not found in it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TreeError {
    /// A part of the path is missing.
    #[error("`{0}` does not exist")]
    Missing(String),
    /// A part of the path is no folder.
    #[error("`{0}` is not a folder")]
    NoFolder(String),
    /// A folder stands where a file should be, or the other way round.
    #[error("`{0}` is a folder")]
    IsFolder(String),
    /// Links that lead to links without end.
    #[error("`{0}` goes through too many symbolic links")]
    TooManyLinks(String),
    /// A path leads upwards.
    #[error("`{0}` has a part `..`")]
    Upwards(String),
    /// A name or path is too long, empty or has a zero in it.
    #[error("`{0}` is no name of a file")]
    Name(String),
    /// More than [`MAX_ENTRIES`].
    #[error("there are more than {MAX_ENTRIES} files")]
    TooManyEntries,
    /// More than [`MAX_ATTRIBUTES`].
    #[error("`{0}` has more than {MAX_ATTRIBUTES} bytes of extended attributes")]
    Attributes(String),
}

/// A file system in memory.
#[derive(Clone, Debug)]
pub struct Tree {
    nodes: Vec<Node>,
    layer: u32,
}

impl Default for Tree {
    fn default() -> Self {
        Self::new()
    }
}

impl Tree {
    /// With nothing but a root.
    pub fn new() -> Self {
        let root = Node { metadata: Metadata::of_root(0o755), kind: Kind::Folder(BTreeMap::new()), layer: 0 };
        Self { nodes: vec![root], layer: 0 }
    }

    /// Begins a new layer: what is removed from now on by [`Tree::remove_lower`] is what came before.
    pub fn next_layer(&mut self) {
        self.layer += 1;
    }

    /// The file of this number.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id]
    }

    /// Everything that has a name, depth first, names in the order of their bytes: path with `/` before each part, and
    /// number. The root comes first, with an empty path.
    pub fn walk(&self) -> Vec<(Vec<u8>, NodeId)> {
        let mut found = Vec::new();
        let mut pending = vec![(Vec::new(), ROOT)];
        while let Some((path, id)) = pending.pop() {
            if let Kind::Folder(entries) = &self.nodes[id].kind {
                pending.extend(entries.iter().rev().map(|(name, child)| {
                    let mut path = path.clone();
                    path.push(b'/');
                    path.extend_from_slice(name);
                    (path, *child)
                }));
            }
            found.push((path, id));
        }
        found
    }

    /// The number of what is at `path`, links on the way and at its end followed.
    pub fn find(&self, path: &[u8]) -> Result<NodeId, TreeError> {
        let parts = parts(path)?;
        let trail = self.resolve(&parts, &mut 0)?;
        Ok(*trail.last().expect("a trail begins at the root"))
    }

    /// Like [`Tree::find`], but a link at the end of the path is not followed.
    pub fn find_link(&self, path: &[u8]) -> Result<NodeId, TreeError> {
        let parts = parts(path)?;
        let Some((name, above)) = parts.split_last() else { return Ok(ROOT) };
        let trail = self.resolve(above, &mut 0)?;
        self.child(*trail.last().expect("a trail begins at the root"), name)?
            .ok_or_else(|| TreeError::Missing(shown(path)))
    }

    /// The regular file at `path`, where there is one.
    pub fn content(&self, path: &[u8]) -> Option<&Content> {
        match &self.nodes[self.find(path).ok()?].kind {
            Kind::Regular(content) => Some(content),
            _ => None,
        }
    }

    /// Puts something at `path` in place of what is there; only a folder put over a folder keeps what is in it. Missing
    /// folders on the way are made, as root's. A `..` in the path is refused.
    pub fn put(&mut self, path: &[u8], metadata: Metadata, kind: Kind) -> Result<NodeId, TreeError> {
        check_metadata(path, &metadata)?;
        let parts = downward(path)?;
        let Some((name, above)) = parts.split_last() else {
            let Kind::Folder(_) = kind else { return Err(TreeError::IsFolder("/".into())) };
            self.nodes[ROOT].metadata = metadata;
            return Ok(ROOT);
        };
        let parent = self.make_folders(above)?;
        let old = self.child(parent, name)?;
        if let (Some(old), Kind::Folder(_)) = (old, &kind)
            && let Kind::Folder(_) = self.nodes[old].kind
        {
            self.nodes[old].metadata = metadata;
            self.nodes[old].layer = self.layer;
            return Ok(old);
        }
        let id = self.new_node(metadata, kind)?;
        self.entries(parent).insert(name.to_vec(), id);
        Ok(id)
    }

    /// Puts a copy of what is at `from` in another tree at `path`, as root's, with all that is in it.
    pub fn graft(&mut self, path: &[u8], other: &Tree, from: &[u8]) -> Result<(), TreeError> {
        let mut pending = vec![(path.to_vec(), other.find_link(from)?)];
        while let Some((path, id)) = pending.pop() {
            let node = other.node(id);
            let kind = match &node.kind {
                Kind::Folder(entries) => {
                    pending.extend(
                        entries.iter().map(|(name, child)| ([&path, name.as_slice()].join(&b'/'), *child)),
                    );
                    Kind::Folder(BTreeMap::new())
                }
                other => other.clone(),
            };
            let metadata = Metadata { uid: 0, gid: 0, ..node.metadata.clone() };
            self.put(&path, metadata, kind)?;
        }
        Ok(())
    }

    /// Gives what is at `target` the second name `path`.
    pub fn put_hard_link(&mut self, path: &[u8], target: &[u8]) -> Result<(), TreeError> {
        downward(target)?;
        let id = self.find_link(target)?;
        if let Kind::Folder(_) = self.nodes[id].kind {
            return Err(TreeError::IsFolder(shown(target)));
        }
        let parts = downward(path)?;
        let Some((name, above)) = parts.split_last() else { return Err(TreeError::IsFolder("/".into())) };
        let parent = self.make_folders(above)?;
        self.entries(parent).insert(name.to_vec(), id);
        self.nodes[id].layer = self.layer;
        Ok(())
    }

    /// Removes what is at `path`, with all that is in it. That there is nothing is no error.
    pub fn remove(&mut self, path: &[u8]) -> Result<(), TreeError> {
        if let Some((parent, name)) = self.place(path)? {
            self.entries(parent).remove(&name);
        }
        Ok(())
    }

    /// Removes what came with earlier layers at `path`: a whiteout.
    pub fn remove_lower(&mut self, path: &[u8]) -> Result<(), TreeError> {
        if let Some((parent, name)) = self.place(path)?
            && let Some(id) = self.child(parent, &name)?
            && !self.retain_this_layer(id)
        {
            self.entries(parent).remove(&name);
        }
        Ok(())
    }

    /// Removes from the folder at `path` what came with earlier layers: an opaque whiteout.
    pub fn clear_lower(&mut self, path: &[u8]) -> Result<(), TreeError> {
        downward(path)?;
        let id = match self.find(path) {
            Ok(id) => id,
            Err(TreeError::Missing(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        if let Kind::Folder(_) = self.nodes[id].kind {
            self.clear_folder(id);
        }
        Ok(())
    }

    /// Removes all that is in the folder at `path`. That there is none is no error.
    pub fn empty_folder(&mut self, path: &[u8]) {
        if let Ok(id) = self.find(path)
            && let Kind::Folder(entries) = &mut self.nodes[id].kind
        {
            entries.clear();
        }
    }

    /// Changes owner, permissions and such of what has this number.
    pub fn metadata_mut(&mut self, id: NodeId) -> &mut Metadata {
        &mut self.nodes[id].metadata
    }

    /// Whether the node, or anything in it, came with this layer; what did not is taken out of it.
    fn retain_this_layer(&mut self, id: NodeId) -> bool {
        if let Kind::Folder(_) = self.nodes[id].kind {
            self.clear_folder(id);
        }
        let has_children = matches!(&self.nodes[id].kind, Kind::Folder(entries) if !entries.is_empty());
        has_children || self.nodes[id].layer == self.layer
    }

    fn clear_folder(&mut self, id: NodeId) {
        let children = self.entries(id).clone();
        for (name, child) in children {
            if !self.retain_this_layer(child) {
                self.entries(id).remove(&name);
            }
        }
    }

    /// The folder and name of `path`; `None` where the folder does not exist.
    fn place(&self, path: &[u8]) -> Result<Option<(NodeId, Vec<u8>)>, TreeError> {
        let parts = downward(path)?;
        let Some((name, above)) = parts.split_last() else { return Err(TreeError::IsFolder("/".into())) };
        match self.resolve(above, &mut 0) {
            Ok(trail) => {
                let parent = *trail.last().expect("a trail begins at the root");
                match self.nodes[parent].kind {
                    Kind::Folder(_) => Ok(Some((parent, name.to_vec()))),
                    _ => Ok(None),
                }
            }
            Err(TreeError::Missing(_) | TreeError::NoFolder(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn new_node(&mut self, metadata: Metadata, kind: Kind) -> Result<NodeId, TreeError> {
        if self.nodes.len() >= MAX_ENTRIES {
            return Err(TreeError::TooManyEntries);
        }
        self.nodes.push(Node { metadata, kind, layer: self.layer });
        Ok(self.nodes.len() - 1)
    }

    fn entries(&mut self, id: NodeId) -> &mut BTreeMap<Vec<u8>, NodeId> {
        match &mut self.nodes[id].kind {
            Kind::Folder(entries) => entries,
            _ => unreachable!("the caller has looked that it is a folder"),
        }
    }

    fn child(&self, folder: NodeId, name: &[u8]) -> Result<Option<NodeId>, TreeError> {
        match &self.nodes[folder].kind {
            Kind::Folder(entries) => Ok(entries.get(name).copied()),
            _ => Err(TreeError::NoFolder(shown(name))),
        }
    }

    /// The folders from the root to the one that `parts` name, links followed, missing ones made.
    fn make_folders(&mut self, parts: &[&[u8]]) -> Result<NodeId, TreeError> {
        let mut made: Vec<&[u8]> = Vec::new();
        let mut current = ROOT;
        for part in parts {
            made.push(part);
            current = match self.resolve(&made, &mut 0) {
                Ok(trail) => *trail.last().expect("a trail begins at the root"),
                Err(TreeError::Missing(_)) if self.child(current, part)?.is_none() => {
                    let id = self.new_node(Metadata::of_root(0o755), Kind::Folder(BTreeMap::new()))?;
                    self.entries(current).insert(part.to_vec(), id);
                    id
                }
                Err(error) => return Err(error),
            };
            if !matches!(self.nodes[current].kind, Kind::Folder(_)) {
                return Err(TreeError::NoFolder(shown(&made.join(&b'/'))));
            }
        }
        Ok(current)
    }

    /// The nodes from the root to what the parts name, links followed.
    fn resolve(&self, parts: &[&[u8]], links: &mut u32) -> Result<Vec<NodeId>, TreeError> {
        let whole = || shown(&parts.join(&b'/'));
        let mut trail = vec![ROOT];
        let mut pending: Vec<Vec<u8>> = parts.iter().rev().map(|part| part.to_vec()).collect();
        while let Some(part) = pending.pop() {
            if part == b".." {
                if trail.len() > 1 {
                    trail.pop();
                }
                continue;
            }
            let folder = *trail.last().expect("a trail begins at the root");
            let id = self
                .child(folder, &part)
                .map_err(|_| TreeError::NoFolder(whole()))?
                .ok_or_else(|| TreeError::Missing(whole()))?;
            let Kind::Link(target) = &self.nodes[id].kind else {
                trail.push(id);
                continue;
            };
            *links += 1;
            if *links > MAX_LINKS {
                return Err(TreeError::TooManyLinks(whole()));
            }
            if target.starts_with(b"/") {
                trail.truncate(1);
            }
            pending.extend(self::parts(target)?.iter().rev().map(|part| part.to_vec()));
        }
        Ok(trail)
    }
}

/// The parts of a path; `.` and empty ones say nothing.
fn parts(path: &[u8]) -> Result<Vec<&[u8]>, TreeError> {
    let parts: Vec<&[u8]> =
        path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    let is_wrong = |part: &&[u8]| part.len() > MAX_NAME || part.contains(&0);
    if path.len() > MAX_PATH || parts.iter().any(is_wrong) {
        return Err(TreeError::Name(shown(path)));
    }
    Ok(parts)
}

/// The parts of a path from outside, which may not lead upwards.
fn downward(path: &[u8]) -> Result<Vec<&[u8]>, TreeError> {
    let parts = parts(path)?;
    if parts.contains(&b"..".as_slice()) { Err(TreeError::Upwards(shown(path))) } else { Ok(parts) }
}

fn check_metadata(path: &[u8], metadata: &Metadata) -> Result<(), TreeError> {
    let size: usize = metadata.attributes.iter().map(|(name, value)| name.len() + value.len() + 24).sum();
    if size > MAX_ATTRIBUTES || metadata.attributes.keys().any(|name| name.len() > MAX_NAME) {
        return Err(TreeError::Attributes(shown(path)));
    }
    Ok(())
}

/// A path for people: what is no text is replaced, what is too long is cut.
pub(crate) fn shown(path: &[u8]) -> String {
    const LONGEST: usize = 200;
    let text: String = String::from_utf8_lossy(path).chars().flat_map(char::escape_debug).collect();
    if text.chars().count() > LONGEST {
        text.chars().take(LONGEST).chain("…".chars()).collect()
    } else {
        text
    }
}
