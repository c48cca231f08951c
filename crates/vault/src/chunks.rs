//! Parts of files and lists of folders by their digest. A chunk is written aside and then renamed, so that one that has its
//! name is whole.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::VaultError;
use crate::tree::Digest;

/// The most bytes of one chunk of a file: a file that only grows is kept again from its last chunk on.
pub(crate) const CHUNK: usize = 4 * 1024 * 1024;

/// The most bytes of a chunk that is a folder's list.
const MAX_LIST: u64 = 256 * 1024 * 1024;

/// The folder of chunks, and the one where they are written.
#[derive(Debug)]
pub(crate) struct Chunks {
    folder: PathBuf,
    new: PathBuf,
    next: AtomicU64,
}

impl Chunks {
    pub(crate) fn new(folder: PathBuf, new: PathBuf) -> Self {
        Self { folder, new, next: AtomicU64::new(0) }
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_string();
        self.folder.join(&name[..2]).join(name)
    }

    /// Keeps bytes; returns their digest and how many bytes that took, none where they were there before.
    pub(crate) fn put(&self, bytes: &[u8]) -> Result<(Digest, u64), VaultError> {
        let digest = Digest::of(bytes);
        let path = self.path(&digest);
        // One of another size was cut by a machine that went down, and is written again.
        if fs::metadata(&path).is_ok_and(|found| found.len() == bytes.len() as u64) {
            return Ok((digest, 0));
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let new = self.new.join(format!("chunk-{}-{number}", std::process::id()));
        let failed = |error| {
            drop(fs::remove_file(&new));
            VaultError::Write { path: path.clone(), source: error }
        };
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)
            .map_err(failed)?;
        file.write_all(bytes).map_err(failed)?;
        match fs::rename(&new, &path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let folder = path.parent().expect("a chunk is in a folder");
                match fs::DirBuilder::new().mode(0o700).create(folder) {
                    Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(failed(error)),
                    _ => fs::rename(&new, &path).map_err(failed)?,
                }
            }
            renamed => renamed.map_err(failed)?,
        }
        Ok((digest, bytes.len() as u64))
    }

    /// Reads the chunk of a file; one that is not what it was is an error.
    pub(crate) fn get(&self, digest: &Digest) -> Result<Vec<u8>, VaultError> {
        self.read(digest, CHUNK as u64)
    }

    /// Reads the list of a folder.
    pub(crate) fn get_list(&self, digest: &Digest) -> Result<Vec<u8>, VaultError> {
        self.read(digest, MAX_LIST)
    }

    fn read(&self, digest: &Digest, most: u64) -> Result<Vec<u8>, VaultError> {
        let path = self.path(digest);
        let failed = |error: std::io::Error| match error.kind() {
            ErrorKind::NotFound => VaultError::damaged(format!("`{}` is missing", path.display())),
            _ => VaultError::Read { path: path.clone(), source: error },
        };
        let mut bytes = Vec::new();
        File::open(&path).map_err(failed)?.take(most + 1).read_to_end(&mut bytes).map_err(failed)?;
        if Digest::of(&bytes) == *digest {
            Ok(bytes)
        } else {
            Err(VaultError::damaged(format!("`{}` is not what was kept", path.display())))
        }
    }

    /// Every chunk with its size.
    pub(crate) fn all(&self) -> Result<Vec<(Digest, u64)>, VaultError> {
        let mut all = Vec::new();
        for folder in fs::read_dir(&self.folder).map_err(VaultError::read(&self.folder))? {
            let folder = folder.map_err(VaultError::read(&self.folder))?.path();
            for entry in fs::read_dir(&folder).map_err(VaultError::read(&folder))? {
                let entry = entry.map_err(VaultError::read(&folder))?;
                let digest = entry.file_name().to_str().and_then(Digest::parse);
                let size = entry.metadata().map_err(VaultError::read(entry.path()))?.len();
                all.extend(digest.map(|digest| (digest, size)));
            }
        }
        Ok(all)
    }

    /// Removes a chunk; one that is gone is gone.
    pub(crate) fn remove(&self, digest: &Digest) -> Result<(), VaultError> {
        let path = self.path(digest);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(VaultError::Write { path, source: error })
            }
            _ => Ok(()),
        }
    }
}
