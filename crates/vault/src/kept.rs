//! The folder of checkpoints: one that is being made, and those that are there.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fs::{FlockOperation, flock, statvfs};

use crate::capture::{self, Captured, LeaveOut, Seen};
use crate::chunks::Chunks;
use crate::error::VaultError;
use crate::prune;
use crate::restore;
use crate::tree::Digest;

/// The most bytes of a file that describes a checkpoint.
const MAX_FILE: u64 = 256 * 1024 * 1024;

/// So much of a disk is left free, or a twentieth of it where that is less: a database may be on it.
const LEFT_FREE: u64 = 256 * 1024 * 1024;

/// After so many added bytes the disk is looked at again.
const LOOK_AFTER: u64 = 16 * 1024 * 1024;

/// The file of a checkpoint that lists the digests of its trees.
pub(crate) const TREES: &str = "trees";

/// What checkpoints may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The checkpoints of so many runs are kept, those of the newest.
    pub runs: usize,
    /// All checkpoints together take so many bytes at most.
    pub bytes: u64,
}

/// A folder of checkpoints, in use by this process until it is dropped.
#[derive(Debug)]
pub struct Vault {
    folder: PathBuf,
    pub(crate) chunks: Chunks,
    pub(crate) room: Room,
    pub(crate) lock: File,
    /// What was there when it was opened, where nobody else used the folder then.
    found: Option<Vec<String>>,
    /// Whether something was removed, so that there may be chunks that nothing refers to.
    removed: AtomicBool,
}

/// How much may still be written.
#[derive(Debug)]
pub(crate) struct Room {
    folder: PathBuf,
    budget: u64,
    used: AtomicU64,
    /// How much was used when the disk was looked at last.
    looked: AtomicU64,
}

impl Room {
    /// Refuses a file that is larger than all checkpoints together may be.
    pub(crate) fn check_file(&self, size: u64) -> Result<(), VaultError> {
        if size > self.budget { Err(VaultError::Budget { budget: self.budget }) } else { Ok(()) }
    }

    /// Refuses so many more bytes where they do not fit in the budget or on the disk.
    pub(crate) fn check_chunk(&self, bytes: u64) -> Result<(), VaultError> {
        let used = self.used.load(Ordering::Relaxed);
        if used.saturating_add(bytes) > self.budget {
            return Err(VaultError::Budget { budget: self.budget });
        }
        if used.saturating_sub(self.looked.load(Ordering::Relaxed)) >= LOOK_AFTER {
            self.check_disk()?;
        }
        Ok(())
    }

    fn check_disk(&self) -> Result<(), VaultError> {
        self.looked.store(self.used.load(Ordering::Relaxed), Ordering::Relaxed);
        let disk = statvfs(&self.folder).map_err(|error| VaultError::read(&self.folder)(error.into()))?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let least = LEFT_FREE.min(disk.f_blocks.saturating_mul(disk.f_frsize) / 20);
        if free < least { Err(VaultError::NoSpace { path: self.folder.clone(), free }) } else { Ok(()) }
    }

    pub(crate) fn add(&self, bytes: u64) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    pub(crate) fn set_used(&self, bytes: u64) {
        self.used.store(bytes, Ordering::Relaxed);
        self.looked.store(bytes, Ordering::Relaxed);
    }
}

impl Vault {
    /// Opens the folder, made where it is missing. What a process that died was writing is removed.
    ///
    /// # Errors
    /// When the folder cannot be made or read.
    pub fn open(folder: &Path, budget: u64) -> Result<Self, VaultError> {
        for folder in [folder.to_owned(), folder.join("new"), folder.join("kept"), folder.join("chunks")] {
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
            made.map_err(VaultError::write(&folder))?;
        }
        let path = folder.join("lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let lock = lock.map_err(VaultError::write(&path))?;
        let is_alone = flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok();
        if is_alone {
            empty(&folder.join("new"))?;
        }
        let found = if is_alone { Some(ids(&folder.join("kept"))?) } else { None };
        flock(&lock, FlockOperation::LockShared).map_err(|error| VaultError::read(&path)(error.into()))?;
        let used = fs::read_to_string(folder.join("used")).ok().and_then(|text| text.trim().parse().ok());
        let room =
            Room { folder: folder.to_owned(), budget, used: AtomicU64::new(0), looked: AtomicU64::new(0) };
        room.set_used(used.unwrap_or_default());
        let chunks = Chunks::new(folder.join("chunks"), folder.join("new"));
        Ok(Self { folder: folder.to_owned(), chunks, room, lock, found, removed: AtomicBool::new(false) })
    }

    /// Opens the folder where there is one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open_existing(folder: &Path, budget: u64) -> Result<Option<Self>, VaultError> {
        if folder.join("kept").is_dir() { Self::open(folder, budget).map(Some) } else { Ok(None) }
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How many bytes all checkpoints take, as far as that is known without counting.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.room.used()
    }

    /// Begins a checkpoint. Its id may have letters, digits, `-`, `_` and `.`; up to the first `.` it names the run, and ids of
    /// runs sort by their time.
    ///
    /// # Errors
    /// When the disk is nearly full, or its folder cannot be made.
    ///
    /// # Panics
    /// When the id has other characters.
    pub fn begin(&self, id: &str) -> Result<Draft<'_>, VaultError> {
        assert!(is_id(id), "an id of a checkpoint can be the name of a folder");
        self.room.check_disk()?;
        let folder = self.folder.join("new").join(format!("{id}-{}", std::process::id()));
        remove(&folder)?;
        fs::DirBuilder::new().mode(0o700).create(&folder).map_err(VaultError::write(&folder))?;
        Ok(Draft { vault: self, id: id.to_owned(), folder, trees: String::new(), added: 0 })
    }

    /// The checkpoint with this id.
    ///
    /// # Errors
    /// When it is not there (any more).
    pub fn get(&self, id: &str) -> Result<Kept<'_>, VaultError> {
        let folder = self.kept(id);
        if is_id(id) && folder.is_dir() {
            Ok(Kept { vault: self, folder })
        } else {
            Err(VaultError::Unknown(id.to_owned()))
        }
    }

    /// The ids of all checkpoints, the oldest run's first.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn ids(&self) -> Result<Vec<String>, VaultError> {
        ids(&self.folder.join("kept"))
    }

    /// The ids of all checkpoints that were there when the folder was opened, where nobody else used it then: whoever made them
    /// has told of them by now, or never will.
    #[must_use]
    pub fn found(&self) -> &[String] {
        self.found.as_deref().unwrap_or_default()
    }

    /// Removes a checkpoint; its chunks are removed when they are next looked at. One that is gone is gone.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(&self, id: &str) -> Result<(), VaultError> {
        if !is_id(id) {
            return Ok(());
        }
        let kept = self.kept(id);
        let gone = self.folder.join("new").join(format!("gone-{id}-{}", std::process::id()));
        // What is only half removed is no checkpoint.
        match fs::rename(&kept, &gone) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(VaultError::Write { path: kept, source: error }),
            Ok(()) => {
                self.removed.store(true, Ordering::Relaxed);
                remove(&gone)
            }
        }
    }

    /// Forgets the oldest checkpoints beyond the limits, and removes what nothing refers to any more. Does nothing while another
    /// process uses the folder.
    ///
    /// # Errors
    /// When the folder cannot be read or written; the next time goes on.
    pub fn prune(&self, limits: Limits) -> Result<prune::Pruned, VaultError> {
        prune::prune(self, limits)
    }

    /// Like [`Vault::prune`], but counts only where something was removed, or there is too much.
    ///
    /// # Errors
    /// As there.
    pub fn settle(&self, limits: Limits) -> Result<prune::Pruned, VaultError> {
        let runs = prune::runs_of(&self.ids()?).len();
        if runs > limits.runs || self.used() > limits.bytes || self.removed.load(Ordering::Relaxed) {
            return self.prune(limits);
        }
        self.note_used()?;
        Ok(prune::Pruned::default())
    }

    /// Writes down how many bytes are used, for whoever opens the folder next.
    pub(crate) fn note_used(&self) -> Result<(), VaultError> {
        let (path, new) = (self.folder.join("used"), self.folder.join("new/used"));
        fs::write(&new, self.room.used().to_string())
            .and_then(|()| fs::rename(&new, &path))
            .map_err(VaultError::write(path))
    }

    pub(crate) fn kept(&self, id: &str) -> PathBuf {
        self.folder.join("kept").join(id)
    }
}

/// A checkpoint that is being made. Nothing is left of one that is dropped before it is published.
#[derive(Debug)]
pub struct Draft<'a> {
    vault: &'a Vault,
    id: String,
    folder: PathBuf,
    trees: String,
    added: u64,
}

impl Draft<'_> {
    /// Where a machine may put its snapshot; the folder is not there yet.
    #[must_use]
    pub fn snapshot(&self) -> PathBuf {
        self.folder.join("snapshot")
    }

    /// Counts bytes that somebody else wrote below [`Draft::snapshot`].
    ///
    /// # Errors
    /// When they do not fit in the budget.
    pub fn count(&mut self, bytes: u64) -> Result<(), VaultError> {
        self.vault.room.check_chunk(bytes)?;
        self.vault.room.add(bytes);
        self.added += bytes;
        Ok(())
    }

    /// Keeps the folder `folder` of the host under `name`, but for what is to be left out, reading only what changed since it was
    /// `seen`. Returns what that took.
    ///
    /// # Errors
    /// When something cannot be read or written, or does not fit.
    pub fn capture(
        &mut self,
        name: &str,
        folder: &Path,
        seen: &mut Seen,
        leave_out: LeaveOut<'_>,
    ) -> Result<Captured, VaultError> {
        let captured = capture::capture(&self.vault.chunks, &self.vault.room, folder, seen, leave_out)?;
        self.trees.push_str(&format!("{} {name}\n", captured.root));
        self.added += captured.added;
        Ok(captured)
    }

    /// Writes a file into the checkpoint.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, name: &str, bytes: &[u8]) -> Result<(), VaultError> {
        let path = self.folder.join(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(bytes)).map_err(VaultError::write(path))?;
        self.vault.room.add(bytes.len() as u64);
        self.added += bytes.len() as u64;
        Ok(())
    }

    /// Makes it a checkpoint, in place of one of the same id. Returns how many bytes were added for it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn publish(mut self) -> Result<u64, VaultError> {
        let trees = std::mem::take(&mut self.trees);
        self.write(TREES, trees.as_bytes())?;
        self.vault.remove(&self.id)?;
        let kept = self.vault.kept(&self.id);
        fs::rename(&self.folder, &kept).map_err(VaultError::write(kept))?;
        Ok(self.added)
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        // What stays is removed when the folder is next opened.
        let _ = remove(&self.folder);
    }
}

/// A checkpoint.
#[derive(Debug)]
pub struct Kept<'a> {
    vault: &'a Vault,
    folder: PathBuf,
}

impl Kept<'_> {
    /// The machine's snapshot, where it has one.
    #[must_use]
    pub fn snapshot(&self) -> Option<PathBuf> {
        Some(self.folder.join("snapshot")).filter(|snapshot| snapshot.is_dir())
    }

    /// Reads a file that was written into it.
    ///
    /// # Errors
    /// When there is no such file, or it cannot be read.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, VaultError> {
        let path = self.folder.join(name);
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes));
        match read {
            Ok(_) if bytes.len() as u64 <= MAX_FILE => Ok(bytes),
            Ok(_) => Err(VaultError::damaged(format!("`{}` is too large", path.display()))),
            Err(error) => Err(VaultError::Read { path, source: error }),
        }
    }

    /// The names of the folders that it keeps, with the digests of their trees.
    ///
    /// # Errors
    /// When its list cannot be read.
    pub fn trees(&self) -> Result<Vec<(String, Digest)>, VaultError> {
        let text = String::from_utf8(self.read(TREES)?).unwrap_or_default();
        let line = |line: &str| {
            let (digest, name) = line.split_once(' ')?;
            Some((name.to_owned(), Digest::parse(digest)?))
        };
        let trees: Option<Vec<_>> = text.lines().map(line).collect();
        trees.ok_or_else(|| VaultError::damaged("the list of its folders cannot be read"))
    }

    /// Makes in `folder`, which exists, what was in the folder of this digest.
    ///
    /// # Errors
    /// When something is missing, damaged, or cannot be written.
    pub fn restore(&self, tree: &Digest, folder: &Path) -> Result<(), VaultError> {
        restore::restore(&self.vault.chunks, tree, folder)
    }
}

fn is_id(id: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !id.is_empty() && id.len() <= 200 && !id.starts_with('.') && id.bytes().all(fits)
}

fn ids(folder: &Path) -> Result<Vec<String>, VaultError> {
    let mut ids = Vec::new();
    for entry in fs::read_dir(folder).map_err(VaultError::read(folder))? {
        let name = entry.map_err(VaultError::read(folder))?.file_name();
        ids.extend(name.into_string().ok().filter(|name| is_id(name)));
    }
    ids.sort_unstable();
    Ok(ids)
}

/// Removes all that is in a folder.
fn empty(folder: &Path) -> Result<(), VaultError> {
    for entry in fs::read_dir(folder).map_err(VaultError::read(folder))? {
        let entry = entry.map_err(VaultError::read(folder))?;
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let path = entry.path();
        if is_folder { remove(&path)? } else { fs::remove_file(&path).map_err(VaultError::write(&path))? }
    }
    Ok(())
}

/// Removes a folder of this module's own making.
pub(crate) fn remove(folder: &Path) -> Result<(), VaultError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(VaultError::Write { path: folder.to_owned(), source: error })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::is_id;

    #[test]
    fn ids_are_names_of_folders() {
        for (id, expected) in
            [("0192-a.b.3", true), ("", false), (".new", false), ("a/b", false), ("..", false), ("ä", false)]
        {
            assert_eq!(is_id(id), expected, "{id}");
        }
    }
}
