//! From chunks and lists to a folder on the host.
//!
//! Everything is made from its folder's descriptor without following links: what a list says cannot lead out of the folder.
//! Only what is not there yet is made; folders may be there already. Owners are given back where this process may do so.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid, chownat, fchmod, fchown, futimens,
    mkdirat, openat, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;

use crate::chunks::Chunks;
use crate::error::VaultError;
use crate::tree::{Content, Digest, Entry, decode};

/// How deep folders may be nested.
const MAX_DEPTH: u32 = 501;

struct Restore<'a> {
    chunks: &'a Chunks,
    /// Who restores; only root may give files to others.
    user: u32,
    path: PathBuf,
}

/// Makes in `folder`, which exists, what is kept as `root`.
pub(crate) fn restore(chunks: &Chunks, root: &Digest, folder: &Path) -> Result<(), VaultError> {
    let opened = openat(rustix::fs::CWD, folder, folder_flags(), Mode::empty())
        .map_err(|error| VaultError::write(folder)(error.into()))?;
    let user = rustix::process::geteuid().as_raw();
    let mut restore = Restore { chunks, user, path: folder.to_owned() };
    restore.list(&opened, root, 0)
}

fn folder_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

impl Restore<'_> {
    fn list(&mut self, folder: &OwnedFd, list: &Digest, depth: u32) -> Result<(), VaultError> {
        if depth > MAX_DEPTH {
            return Err(VaultError::damaged("its folders are nested too deep"));
        }
        for entry in decode(&self.chunks.get_list(list)?)? {
            self.path.push(OsStr::from_bytes(&entry.name));
            self.entry(folder.as_fd(), &entry, depth)?;
            self.path.pop();
        }
        Ok(())
    }

    fn entry(&mut self, folder: BorrowedFd<'_>, entry: &Entry, depth: u32) -> Result<(), VaultError> {
        let name = OsStr::from_bytes(&entry.name);
        match &entry.content {
            Content::Folder(list) => {
                match mkdirat(folder, name, Mode::RWXU) {
                    Err(Errno::EXIST) => {}
                    other => other.map_err(|error| self.failed(error.into()))?,
                }
                let opened = openat(folder, name, folder_flags(), Mode::empty())
                    .map_err(|error| self.failed(error.into()))?;
                self.list(&opened, list, depth + 1)?;
                self.finish(opened.as_fd(), entry)
            }
            Content::File { size, chunks } => self.file(folder, entry, *size, chunks),
            Content::Link(target) => {
                replace(folder, name, || symlinkat(OsStr::from_bytes(target), folder, name))
                    .and_then(|()| match self.gives_away(entry) {
                        Some((owner, group)) => {
                            chownat(folder, name, Some(owner), Some(group), AtFlags::SYMLINK_NOFOLLOW)
                        }
                        None => Ok(()),
                    })
                    .and_then(|()| utimensat(folder, name, &times(entry), AtFlags::SYMLINK_NOFOLLOW))
                    .map_err(|error| self.failed(error.into()))
            }
        }
    }

    fn file(
        &self,
        folder: BorrowedFd<'_>,
        entry: &Entry,
        size: u64,
        chunks: &[Digest],
    ) -> Result<(), VaultError> {
        let name = OsStr::from_bytes(&entry.name);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = replace(folder, name, || openat(folder, name, flags, Mode::RUSR | Mode::WUSR))
            .map_err(|error| self.failed(error.into()))?;
        let mut file = File::from(opened);
        let mut written = 0;
        for chunk in chunks {
            let bytes = self.chunks.get(chunk)?;
            file.write_all(&bytes).map_err(|error| self.failed(error))?;
            written += bytes.len() as u64;
        }
        if written != size {
            return Err(VaultError::damaged(format!("`{}` has another size", self.path.display())));
        }
        self.finish(file.as_fd(), entry)
    }

    /// Gives owner, mode and time, in this order: each undoes something of those after it.
    fn finish(&self, opened: BorrowedFd<'_>, entry: &Entry) -> Result<(), VaultError> {
        let given = match self.gives_away(entry) {
            Some((owner, group)) => fchown(opened, Some(owner), Some(group)),
            None => Ok(()),
        };
        given
            .and_then(|()| fchmod(opened, Mode::from_raw_mode(entry.mode)))
            .and_then(|()| futimens(opened, &times(entry)))
            .map_err(|error| self.failed(error.into()))
    }

    fn gives_away(&self, entry: &Entry) -> Option<(Uid, Gid)> {
        (self.user == 0).then(|| (Uid::from_raw(entry.owner), Gid::from_raw(entry.group)))
    }

    fn failed(&self, source: io::Error) -> VaultError {
        VaultError::Write { path: self.path.clone(), source }
    }
}

/// Makes something, in place of what has its name.
fn replace<T>(folder: BorrowedFd<'_>, name: &OsStr, make: impl Fn() -> Result<T, Errno>) -> Result<T, Errno> {
    match make() {
        Err(Errno::EXIST) => {
            unlinkat(folder, name, AtFlags::empty())?;
            make()
        }
        other => other,
    }
}

fn times(entry: &Entry) -> Timestamps {
    let (seconds, nanoseconds) = entry.modified;
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: seconds, tv_nsec: i64::from(nanoseconds) },
    }
}
