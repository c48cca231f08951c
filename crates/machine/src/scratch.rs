//! The private folders of machines on the host.
//!
//! Below one root, each machine has a folder `NAME-ID` and beside it the file `NAME-ID.lock`, which its owner holds
//! locked as long as it lives. The kernel frees the lock however the owner ends, so [`sweep`] can tell what was left behind
//! from what is in use. A lock file is made and locked before its folder is, and removed after it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::FlockOperation;

/// Tries to find an unused name before giving up.
const ATTEMPTS: u32 = 1000;

/// Longest part of a machine's name that its folder's name takes over, in characters.
const MAX_NAME: usize = 40;

/// The private folder of one machine; removed with all that it holds when dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    lock: PathBuf,
    _locked: File,
}

impl Scratch {
    /// Makes a folder for the machine `name` below `root`.
    pub fn create(root: &Path, name: &str) -> io::Result<Self> {
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
            fs::create_dir(&path)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
            return Ok(Self { path, lock, _locked: file });
        }
        Err(io::Error::new(ErrorKind::AlreadyExists, "no unused name for a machine's folder"))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now is removed by a later sweep: the lock file stays with it.
        if remove(&self.path).is_ok() {
            let _ = fs::remove_file(&self.lock);
        }
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
