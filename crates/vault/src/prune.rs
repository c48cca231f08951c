//! What is forgotten: the checkpoints of old runs, and chunks that no checkpoint refers to.
//!
//! References are counted from checkpoints to lists and from lists to what is in them, each list once whatever refers to it:
//! work grows with what is kept, not with how often it is referred to.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use crate::error::VaultError;
use crate::kept::{Limits, Vault};
use crate::tree::{Content, Digest, decode};

/// What was forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// The checkpoints.
    pub checkpoints: Vec<String>,
    /// How many bytes that freed.
    pub freed: u64,
    /// Whether another process used the folder, so that nothing was looked at.
    pub busy: bool,
}

/// What refers to what.
struct References<'a> {
    vault: &'a Vault,
    sizes: HashMap<Digest, u64>,
    counts: HashMap<Digest, u64>,
    /// The bytes of all chunks that are referred to.
    live: u64,
}

pub(crate) fn prune(vault: &Vault, limits: Limits) -> Result<Pruned, VaultError> {
    // Whoever reads or writes holds the lock; without it chunks could go that are just being referred to.
    if flock(&vault.lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(Pruned { busy: true, ..Pruned::default() });
    }
    let pruned = prune_locked(vault, limits);
    let shared = flock(&vault.lock, FlockOperation::LockShared);
    shared.map_err(|error| VaultError::read(vault.folder().join("lock"))(error.into()))?;
    pruned
}

fn prune_locked(vault: &Vault, limits: Limits) -> Result<Pruned, VaultError> {
    let mut pruned = Pruned::default();
    let mut ids = vault.ids()?;
    let runs: Vec<String> = runs_of(&ids).into_iter().map(str::to_owned).collect();
    let old: HashSet<&str> =
        runs[..runs.len().saturating_sub(limits.runs)].iter().map(String::as_str).collect();
    let (gone, kept): (Vec<String>, Vec<String>) = ids.drain(..).partition(|id| old.contains(run_of(id)));
    for id in gone {
        vault.remove(&id)?;
        pruned.checkpoints.push(id);
    }
    let sizes: HashMap<Digest, u64> = vault.chunks.all()?.into_iter().collect();
    let all: u64 = sizes.values().sum();
    let mut references = References { vault, sizes, counts: HashMap::new(), live: 0 };
    let mut own = HashMap::new();
    for id in &kept {
        own.insert(id.as_str(), size_of(&vault.kept(id))?);
        for (_, tree) in vault.get(id)?.trees()? {
            references.refer(tree);
        }
    }
    for id in &kept {
        if references.live + own.values().sum::<u64>() <= limits.bytes {
            break;
        }
        for (_, tree) in vault.get(id)?.trees()? {
            references.release(tree);
        }
        vault.remove(id)?;
        own.remove(id.as_str());
        pruned.checkpoints.push(id.clone());
    }
    for digest in references.sizes.keys().filter(|digest| !references.counts.contains_key(digest)) {
        vault.chunks.remove(digest)?;
    }
    pruned.freed = all - references.live;
    vault.room.set_used(references.live + own.values().sum::<u64>());
    vault.note_used()?;
    Ok(pruned)
}

/// The runs that ids of checkpoints name, the oldest first.
pub(crate) fn runs_of(ids: &[String]) -> Vec<&str> {
    let mut runs: Vec<&str> = ids.iter().map(|id| run_of(id)).collect();
    runs.dedup();
    runs
}

/// The run that a checkpoint's id names.
fn run_of(id: &str) -> &str {
    id.split('.').next().unwrap_or(id)
}

impl References<'_> {
    fn refer(&mut self, list: Digest) {
        let mut open = vec![list];
        while let Some(list) = open.pop() {
            if self.count(list) {
                self.each_below(list, |references, below, is_list| {
                    if is_list {
                        open.push(below);
                    } else {
                        references.count(below);
                    }
                });
            }
        }
    }

    fn release(&mut self, list: Digest) {
        let mut open = vec![list];
        while let Some(list) = open.pop() {
            if self.discount(list) {
                self.each_below(list, |references, below, is_list| {
                    if is_list {
                        open.push(below);
                    } else {
                        references.discount(below);
                    }
                });
            }
        }
    }

    /// Calls for all that a list refers to; a list that is damaged refers to nothing.
    fn each_below(&mut self, list: Digest, mut each: impl FnMut(&mut Self, Digest, bool)) {
        let Ok(entries) = self.vault.chunks.get_list(&list).and_then(|bytes| decode(&bytes)) else { return };
        for entry in entries {
            match entry.content {
                Content::Folder(below) => each(self, below, true),
                Content::File { chunks, .. } => chunks.into_iter().for_each(|chunk| each(self, chunk, false)),
                Content::Link(_) => {}
            }
        }
    }

    /// Whether nothing had referred to it.
    fn count(&mut self, digest: Digest) -> bool {
        let count = self.counts.entry(digest).or_default();
        *count += 1;
        let is_first = *count == 1;
        if is_first {
            self.live += self.sizes.get(&digest).copied().unwrap_or_default();
        }
        is_first
    }

    /// Whether nothing refers to it any more.
    fn discount(&mut self, digest: Digest) -> bool {
        let Some(count) = self.counts.get_mut(&digest) else { return false };
        *count -= 1;
        let is_last = *count == 0;
        if is_last {
            self.counts.remove(&digest);
            self.live -= self.sizes.get(&digest).copied().unwrap_or_default();
        }
        is_last
    }
}

/// The bytes of all files in a folder of checkpoints, as they are allocated.
fn size_of(folder: &Path) -> Result<u64, VaultError> {
    use std::os::unix::fs::MetadataExt;
    let mut size = 0;
    for entry in std::fs::read_dir(folder).map_err(VaultError::read(folder))? {
        let entry = entry.map_err(VaultError::read(folder))?;
        let metadata = entry.metadata().map_err(VaultError::read(entry.path()))?;
        size += if metadata.is_dir() {
            size_of(&entry.path())?
        } else {
            metadata.len().min(metadata.blocks() * 512)
        };
    }
    Ok(size)
}
