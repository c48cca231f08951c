//! Copies from one tree to another: `COPY` and `ADD`.
//!
//! Invariant: paths are looked up in the tree that is copied from, so that no link and no `..` leads out of it.

use std::collections::{BTreeMap, HashMap};

use super::pattern::{is_pattern, matches_name};
use crate::tree::{Kind, Metadata, NodeId, Tree, TreeError, shown};

/// What copied files get instead of what they have.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Changes {
    pub(super) owner: Option<(u32, u32)>,
    pub(super) permissions: Option<u16>,
}

/// Why something cannot be copied.
#[derive(Debug, thiserror::Error)]
pub(super) enum CopyError {
    #[error("there is no `{0}` to copy")]
    Missing(String),
    #[error("`{0}` leads out of where is copied from")]
    Escapes(String),
    #[error("several files are copied, so `{0}` must be a folder: write a `/` behind it")]
    NoFolder(String),
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// The paths in a tree that a pattern stands for, sorted; one for a plain path that is there.
pub(super) fn find(tree: &Tree, pattern: &str) -> Result<Vec<Vec<u8>>, CopyError> {
    let mut found: Vec<Vec<u8>> = vec![Vec::new()];
    for part in pattern.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            return Err(CopyError::Escapes(shown(pattern.as_bytes())));
        }
        let mut next = Vec::new();
        for path in &found {
            let join = |name: &[u8]| [path, &b"/"[..], name].concat();
            if !is_pattern(part.as_bytes()) {
                next.push(join(part.as_bytes()));
            } else if let Ok(id) = tree.find(path)
                && let Kind::Folder(entries) = &tree.node(id).kind
            {
                next.extend(
                    entries.keys().filter(|name| matches_name(part.as_bytes(), name)).map(|name| join(name)),
                );
            }
        }
        found = next;
    }
    found.retain(|path| tree.find(path).is_ok());
    if found.is_empty() { Err(CopyError::Missing(shown(pattern.as_bytes()))) } else { Ok(found) }
}

/// Copies what is at `sources` of a tree to `target` of another: what is in a folder goes into the target, a file becomes the target, or
/// goes into it where the target is a folder or has a `/` at its end.
pub(super) fn copy(
    from: &Tree,
    sources: &[Vec<u8>],
    to: &mut Tree,
    target: &str,
    changes: Changes,
) -> Result<(), CopyError> {
    let is_folder = |tree: &Tree, path: &[u8]| {
        tree.find(path).is_ok_and(|id| matches!(tree.node(id).kind, Kind::Folder(_)))
    };
    let into = target.ends_with('/') || is_folder(to, target.as_bytes());
    if sources.len() > 1 && !into {
        return Err(CopyError::NoFolder(shown(target.as_bytes())));
    }
    let target = target.trim_end_matches('/').as_bytes();
    make_folders(to, target, into || sources.iter().any(|source| is_folder(from, source)), changes)?;
    for source in sources {
        let id = from.find(source)?;
        if let Kind::Folder(entries) = &from.node(id).kind {
            let mut copying = Copying { from, to, changes, first_names: HashMap::new() };
            for (name, &child) in entries {
                copying.node(child, &[target, b"/", name].concat())?;
            }
            continue;
        }
        let name = source.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let place = if into { [target, b"/", name].concat() } else { target.to_vec() };
        Copying { from, to, changes, first_names: HashMap::new() }.node(id, &place)?;
    }
    Ok(())
}

/// Makes the folders on the way, and the target itself where it is one.
fn make_folders(to: &mut Tree, target: &[u8], is_folder: bool, changes: Changes) -> Result<(), TreeError> {
    let mut ends: Vec<usize> = (1..target.len()).filter(|&at| target[at] == b'/').collect();
    if is_folder && !target.is_empty() {
        ends.push(target.len());
    }
    for end in ends {
        let path = &target[..end];
        if to.find(path).is_err() {
            let mut metadata = Metadata::of_root(0o755);
            if let Some((uid, gid)) = changes.owner {
                (metadata.uid, metadata.gid) = (uid, gid);
            }
            to.put(path, metadata, Kind::Folder(BTreeMap::new()))?;
        }
    }
    Ok(())
}

struct Copying<'a> {
    from: &'a Tree,
    to: &'a mut Tree,
    changes: Changes,
    first_names: HashMap<NodeId, Vec<u8>>,
}

impl Copying<'_> {
    /// Copies a node with all below it.
    fn node(&mut self, id: NodeId, place: &[u8]) -> Result<(), TreeError> {
        let mut pending = vec![(id, place.to_vec())];
        while let Some((id, place)) = pending.pop() {
            if let Some(first) = self.first_names.get(&id) {
                self.to.put_hard_link(&place, first)?;
                continue;
            }
            let node = self.from.node(id);
            let kind = match &node.kind {
                Kind::Folder(entries) => {
                    let below = entries.iter().rev();
                    pending.extend(below.map(|(name, &child)| (child, [&place, &b"/"[..], name].concat())));
                    Kind::Folder(BTreeMap::new())
                }
                other => {
                    self.first_names.insert(id, place.clone());
                    other.clone()
                }
            };
            let mut metadata = node.metadata.clone();
            if let Some((uid, gid)) = self.changes.owner {
                (metadata.uid, metadata.gid) = (uid, gid);
            }
            if let Some(permissions) = self.changes.permissions
                && !matches!(kind, Kind::Link(_))
            {
                metadata.permissions = permissions;
            }
            self.to.put(&place, metadata, kind)?;
        }
        Ok(())
    }
}
