//! Which processes own runs. Each has a file `owners/ID.lock` below the state folder and holds it locked as long as it
//! lives; the kernel frees the lock however the process ends. A file that nobody holds is a process that died.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Tries to find an unused id before giving up.
const ATTEMPTS: u32 = 100;

/// This process as an owner of runs, until it is dropped.
#[derive(Debug)]
pub(crate) struct Owner {
    id: String,
    file: PathBuf,
    _lock: File,
}

/// An owner whose process is gone. Nobody else sees it as long as this lives.
#[derive(Debug)]
pub(crate) struct Departed {
    id: String,
    file: PathBuf,
    _lock: File,
}

impl Owner {
    /// Registers this process below `state`.
    pub(crate) fn register(state: &Path) -> io::Result<Self> {
        let folder = owners(state);
        fs::create_dir_all(&folder)?;
        for _ in 0..ATTEMPTS {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let id = format!("{}-{}", std::process::id(), since.as_nanos());
            let file = folder.join(format!("{id}.lock"));
            let lock = match OpenOptions::new().write(true).create_new(true).open(&file) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                other => other?,
            };
            // Another process may have seen the file before it was locked and taken it for a dead one.
            if lock.try_lock().is_ok() && is_at(&lock, &file) {
                return Ok(Self { id, file, _lock: lock });
            }
        }
        Err(io::Error::new(ErrorKind::AlreadyExists, "no unused name for this process"))
    }

    /// Its name in the store.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // A file that stays is found unlocked by the next start, which then has nothing to close.
        drop(fs::remove_file(&self.file));
    }
}

impl Departed {
    /// Its name in the store.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Forgets it: its runs are closed.
    pub(crate) fn forget(self) -> io::Result<()> {
        fs::remove_file(&self.file)
    }
}

/// The owners below `state` whose processes are gone.
pub(crate) fn departed(state: &Path) -> io::Result<Vec<Departed>> {
    let entries = match fs::read_dir(owners(state)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut departed = Vec::new();
    for entry in entries {
        let file = entry?.path();
        let Some(id) = file.file_name().and_then(|name| name.to_str()?.strip_suffix(".lock")) else {
            continue;
        };
        let id = id.to_owned();
        // A file that is gone by now belonged to a process that has just ended well.
        let Ok(lock) = OpenOptions::new().write(true).open(&file) else { continue };
        if lock.try_lock().is_ok() && is_at(&lock, &file) {
            departed.push(Departed { id, file, _lock: lock });
        }
    }
    Ok(departed)
}

fn owners(state: &Path) -> PathBuf {
    state.join("owners")
}

fn is_at(file: &File, path: &Path) -> bool {
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(named)) => identity(open) == identity(named),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Owner, departed, owners};

    #[test]
    fn a_living_owner_is_not_departed() {
        let state = tempfile::tempdir().expect("a folder can be made");
        let owner = Owner::register(state.path()).expect("the folder can be written");
        assert!(departed(state.path()).expect("the folder can be read").is_empty());
        drop(owner);
        assert!(departed(state.path()).expect("the folder can be read").is_empty());
    }

    #[test]
    fn an_owner_that_left_its_file_is_departed_until_it_is_forgotten() {
        let state = tempfile::tempdir().expect("a folder can be made");
        std::fs::create_dir_all(owners(state.path())).expect("a folder can be made");
        std::fs::write(owners(state.path()).join("7-7.lock"), "").expect("a file can be written");
        let mut found = departed(state.path()).expect("the folder can be read");
        assert_eq!(found.iter().map(|owner| owner.id()).collect::<Vec<_>>(), ["7-7"]);
        assert!(departed(state.path()).expect("the folder can be read").is_empty(), "it is taken");
        found.remove(0).forget().expect("the file can be removed");
        assert!(departed(state.path()).expect("the folder can be read").is_empty());
    }
}
