//! The private folders of machines on the host.
//!
//! Below one root, each machine has a folder `NAME-ID` and beside it the file `NAME-ID.lock`, which its owner holds
//! locked as long as it lives. The kernel frees the lock however the owner ends, so [`sweep`] can tell what was left behind
//! from what is in use. A lock file is made and locked before its folder is, and removed after it.
//!
//! Making and removing a dozen folders costs as much as a machine's start on some file systems. A folder that nothing can
//! write to any more is therefore emptied and kept as `spare-LAYOUT-NUMBER`, for the next machine of the same layout; one
//! whose own folders have been changed in any way is removed. Taking a spare is a rename, so only one machine gets it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rustix::fs::FlockOperation;

/// Tries to find an unused name before giving up.
const ATTEMPTS: u32 = 1000;

/// Longest part of a machine's name that its folder's name takes over, in characters.
const MAX_NAME: usize = 40;

/// Most spare folders of one layout.
const SPARES: u32 = 8;

/// The longest a folder's own list of entries may have grown for it to be kept, in bytes; it never shrinks again.
const MAX_LIST: u64 = 64 * 1024;

/// The folders that a machine's private folder begins with.
#[derive(Debug)]
pub struct Layout {
    /// Tells this layout from every other, those of other versions included.
    pub name: &'static str,
    /// Relative paths with their permission bits, parents first.
    pub folders: &'static [(&'static str, u32)],
}

/// The private folder of one machine; removed with all that it holds when dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    lock: PathBuf,
    layout: &'static Layout,
    is_reusable: bool,
    _locked: File,
}

impl Scratch {
    /// Makes a folder for the machine `name` below `root`, or takes a spare one.
    pub fn create(root: &Path, name: &str, layout: &'static Layout) -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        fs::create_dir_all(root)?;
        let kept = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_');
        let name: String = name
            .chars()
            .map(|character| if kept(character) { character } else { '-' })
            .take(MAX_NAME)
            .collect();
        for _ in 0..ATTEMPTS {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let base = format!("{name}-{}-{number}", std::process::id());
            let lock = root.join(format!("{base}.lock"));
            let file = match OpenOptions::new().write(true).create_new(true).open(&lock) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                other => other?,
            };
            rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
            if !is_same_file(&file, &lock) {
                // A sweep saw the file before it was locked and took it away.
                continue;
            }
            let path = root.join(base);
            let is_spare = (0..SPARES).any(|number| fs::rename(spare(root, layout, number), &path).is_ok());
            if !is_spare {
                make(&path, layout)?;
            }
            return Ok(Self { path, lock, layout, is_reusable: false, _locked: file });
        }
        Err(io::Error::new(ErrorKind::AlreadyExists, "no unused name for a machine's folder"))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes what the folder holds and keeps it for another machine. Only for a folder that nothing can write to any
    /// more.
    pub fn reuse(mut self) {
        self.is_reusable = true;
    }

    /// Empties the folder and puts it among the spare ones; `false` where it has to be removed.
    fn keep(&self) -> bool {
        let Some(root) = self.path.parent() else { return false };
        empty(&self.path, self.layout).is_ok()
            && (0..SPARES).any(|number| fs::rename(&self.path, spare(root, self.layout, number)).is_ok())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.is_reusable && self.keep() {
            // A lock without a folder is removed by a later sweep.
            let _ = fs::remove_file(&self.lock);
            return;
        }
        // What cannot be removed now is removed by a later sweep: the lock file stays with it.
        if remove(&self.path).is_ok() {
            let _ = fs::remove_file(&self.lock);
        }
    }
}

/// Counts as a removal under way from its making to its end.
#[derive(Debug)]
pub(crate) struct Removal(());

static REMOVALS: Mutex<usize> = Mutex::new(0);
static REMOVED: Condvar = Condvar::new();

fn removals() -> MutexGuard<'static, usize> {
    REMOVALS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Removal {
    pub(crate) fn start() -> Self {
        *removals() += 1;
        Self(())
    }
}

impl Drop for Removal {
    fn drop(&mut self) {
        *removals() -= 1;
        REMOVED.notify_all();
    }
}

/// Waits until the folders of all machines of this process that have been stopped are removed. Blocks.
pub fn wait_for_removals() {
    let mut count = removals();
    while *count > 0 {
        count = REMOVED.wait(count).unwrap_or_else(PoisonError::into_inner);
    }
}

fn spare(root: &Path, layout: &Layout, number: u32) -> PathBuf {
    root.join(format!("spare-{}-{number}", layout.name))
}

fn make(path: &Path, layout: &Layout) -> io::Result<()> {
    for (folder, mode) in std::iter::once(&("", 0o700)).chain(layout.folders) {
        let folder = path.join(folder);
        fs::create_dir(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(*mode))?;
    }
    Ok(())
}

/// Removes all but the layout's folders; fails unless those are as they were made.
fn empty(path: &Path, layout: &Layout) -> io::Result<()> {
    let owner = fs::symlink_metadata(path)?;
    for (name, mode) in std::iter::once(&("", 0o700)).chain(layout.folders) {
        let folder = if name.is_empty() { path.to_owned() } else { path.join(name) };
        let metadata = fs::symlink_metadata(&folder)?;
        let is_as_made = metadata.is_dir()
            && metadata.permissions().mode() & 0o7777 == *mode
            && (metadata.uid(), metadata.gid(), metadata.dev()) == (owner.uid(), owner.gid(), owner.dev())
            && metadata.len() <= MAX_LIST
            && has_no_attributes(&folder)?;
        if !is_as_made {
            return Err(io::Error::other("the folder has been changed"));
        }
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let is_kept = layout.folders.iter().any(|(kept, _)| path.join(kept) == entry.path());
            match entry.file_type()?.is_dir() {
                _ if is_kept => {}
                true => remove(&entry.path())?,
                false => fs::remove_file(entry.path())?,
            }
        }
    }
    Ok(())
}

/// Whether a folder has no extended attributes, access lists included; labels that the system gives do not count.
fn has_no_attributes(folder: &Path) -> io::Result<bool> {
    let mut names = [0; 1024];
    match rustix::fs::llistxattr(folder, &mut names) {
        Ok(length) => {
            let names = names[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty());
            Ok(names.into_iter().all(|name| name.starts_with(b"security.")))
        }
        Err(rustix::io::Errno::NOTSUP) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Removes the folders below `root` whose owners are gone; returns how many. Folders in use are left alone.
pub fn sweep(root: &Path) -> io::Result<usize> {
    let entries = match fs::read_dir(root) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        other => other?,
    };
    let mut removed = 0;
    for entry in entries {
        let lock = entry?.path();
        if lock.extension().is_none_or(|extension| extension != "lock") {
            continue;
        }
        let Ok(file) = OpenOptions::new().write(true).open(&lock) else { continue };
        let is_free = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
        if is_free && is_same_file(&file, &lock) {
            remove(&lock.with_extension(""))?;
            fs::remove_file(&lock)?;
            removed += 1;
        }
    }
    Ok(removed)
}

fn is_same_file(file: &File, path: &Path) -> bool {
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(named)) => identity(open) == identity(named),
        _ => false,
    }
}

/// Removes a folder, also one whose subfolders forbid it (tools make their caches read-only).
fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            make_writable(folder)?;
            fs::remove_dir_all(folder)
        }
        other => other,
    }
}

fn make_writable(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            make_writable(&entry.path())?;
        }
    }
    Ok(())
}
