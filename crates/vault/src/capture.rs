//! From a folder on the host to chunks and lists.
//!
//! Whoever runs in the machine may change the folder meanwhile: everything is opened from its folder's descriptor without
//! following links, so that no more than the folder is read. A file that changes while it is read is kept as it was read.

use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat, statat};
use rustix::io::Errno;

use crate::chunks::{CHUNK, Chunks};
use crate::error::VaultError;
use crate::kept::Room;
use crate::tree::{Content, Digest, Entry, encode};

/// The most entries of one folder with all below it.
const MAX_ENTRIES: u64 = 2_000_000;

/// How deep folders may be nested.
const MAX_DEPTH: u32 = 500;

/// A file that was changed so shortly before it was looked at may change again without a new time.
const TICK: Duration = Duration::from_millis(50);

/// What a folder looked like when it was captured last; empty at first.
#[derive(Debug, Default)]
pub struct Seen {
    entries: Vec<SeenEntry>,
    digest: Option<Digest>,
}

#[derive(Debug)]
struct SeenEntry {
    entry: Entry,
    /// What does not stay the same where a file's content changes; none for one that may change unseen.
    stamp: Option<Stamp>,
    below: Seen,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: i64,
    changed: (i64, i64),
}

/// A folder as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Captured {
    /// The digest of its list.
    pub root: Digest,
    /// How many bytes it took that were not there before.
    pub added: u64,
    /// How many sockets, pipes and devices were left out.
    pub left_out: u64,
}

/// Which entries are left out, by their paths relative to the folder.
pub type LeaveOut<'a> = &'a (dyn Fn(&Path) -> bool + Sync);

struct Capture<'a> {
    top: &'a Path,
    leave_out: LeaveOut<'a>,
    chunks: &'a Chunks,
    room: &'a Room,
    started: SystemTime,
    entries: u64,
    added: u64,
    left_out: u64,
    buffer: Vec<u8>,
}

/// Keeps a folder, reading only what changed since it was `seen`.
pub(crate) fn capture(
    chunks: &Chunks,
    room: &Room,
    folder: &Path,
    seen: &mut Seen,
    leave_out: LeaveOut<'_>,
) -> Result<Captured, VaultError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = openat(rustix::fs::CWD, folder, flags, Mode::empty()).map_err(|error| match error {
        Errno::NOTDIR | Errno::LOOP => VaultError::NotAFolder(folder.to_owned()),
        error => VaultError::Read { path: folder.to_owned(), source: error.into() },
    })?;
    let mut capture = Capture {
        top: folder,
        leave_out,
        chunks,
        room,
        started: SystemTime::now(),
        entries: 0,
        added: 0,
        left_out: 0,
        buffer: Vec::new(),
    };
    let root = capture.folder(&opened, &mut folder.to_owned(), seen, 0)?;
    Ok(Captured { root, added: capture.added, left_out: capture.left_out })
}

impl Capture<'_> {
    fn folder(
        &mut self,
        folder: &OwnedFd,
        path: &mut PathBuf,
        seen: &mut Seen,
        depth: u32,
    ) -> Result<Digest, VaultError> {
        if depth > MAX_DEPTH {
            return Err(VaultError::TooMany { path: path.clone(), what: "folders that are nested too deep" });
        }
        // Where this fails half way, what was seen stands for no list.
        let (mut before, known) = (std::mem::take(&mut seen.entries), seen.digest.take());
        let mut changed = false;
        for name in names(folder).map_err(VaultError::read(&*path))? {
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                return Err(VaultError::TooMany { path: path.clone(), what: "too many files" });
            }
            let place = before.binary_search_by(|known| known.entry.name.as_slice().cmp(name.to_bytes()));
            let known = place.ok().map(|place| {
                // Left in its place, so that the order stays; nobody looks it up again.
                let gone = &mut before[place];
                let below = std::mem::take(&mut gone.below);
                SeenEntry { entry: gone.entry.clone(), stamp: gone.stamp, below }
            });
            path.push(OsStr::from_bytes(name.to_bytes()));
            let is_left_out = path.strip_prefix(self.top).is_ok_and(self.leave_out);
            let now =
                if is_left_out { Ok(None) } else { self.entry(folder.as_fd(), &name, path, known, depth) };
            path.pop();
            if let Some((entry, is_new)) = now? {
                changed |= is_new;
                seen.entries.push(entry);
            }
        }
        let unchanged = known.filter(|_| !changed && before.len() == seen.entries.len());
        let digest = match unchanged {
            Some(digest) => digest,
            None => {
                let list: Vec<Entry> = seen.entries.iter().map(|seen| seen.entry.clone()).collect();
                self.put(&encode(&list))?
            }
        };
        seen.digest = Some(digest);
        Ok(digest)
    }

    /// An entry as it is now, and whether it is another one than was known; none for what is gone or cannot be kept.
    fn entry(
        &mut self,
        folder: BorrowedFd<'_>,
        name: &CStr,
        path: &mut PathBuf,
        known: Option<SeenEntry>,
        depth: u32,
    ) -> Result<Option<(SeenEntry, bool)>, VaultError> {
        let failed = |path: &Path, error: Errno| VaultError::read(path)(error.into());
        let stat = match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(None),
            other => other.map_err(|error| failed(path, error))?,
        };
        let (old, stamp, mut below) = match known {
            Some(known) => (Some(known.entry), known.stamp, known.below),
            None => (None, None, Seen::default()),
        };
        let (stat, content, stamp) = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                let unchanged = stamp.filter(|stamp| *stamp == stamp_of(&stat)).and(old.as_ref());
                match unchanged.map(|entry| entry.content.clone()) {
                    Some(content @ Content::File { .. }) => (stat, content, stamp),
                    _ => match self.file(folder, name, path)? {
                        Some((stat, content)) => {
                            let stamp = self.trusted_stamp(&stat);
                            (stat, content, stamp)
                        }
                        None => return Ok(None),
                    },
                }
            }
            FileType::Directory => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let opened = match openat(folder, name, flags, Mode::empty()) {
                    Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
                    other => other.map_err(|error| failed(path, error))?,
                };
                (stat, Content::Folder(self.folder(&opened, path, &mut below, depth + 1)?), None)
            }
            FileType::Symlink => match readlinkat(folder, name, Vec::new()) {
                Err(Errno::NOENT | Errno::INVAL) => return Ok(None),
                other => {
                    let target = other.map_err(|error| failed(path, error))?;
                    (stat, Content::Link(target.into_bytes()), None)
                }
            },
            _ => {
                self.left_out += 1;
                return Ok(None);
            }
        };
        let entry = Entry {
            name: name.to_bytes().to_vec(),
            mode: stat.st_mode & 0o7777,
            owner: stat.st_uid,
            group: stat.st_gid,
            modified: (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or_default()),
            content,
        };
        let is_new = old.is_none_or(|old| old != entry);
        Ok(Some((SeenEntry { entry, stamp, below }, is_new)))
    }

    /// The content of a file; none where it is gone or something else by now.
    fn file(
        &mut self,
        folder: BorrowedFd<'_>,
        name: &CStr,
        path: &Path,
    ) -> Result<Option<(Stat, Content)>, VaultError> {
        // A pipe that takes the file's place is not waited for.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let failed = |error: io::Error| VaultError::read(path)(error);
        let opened = match openat(folder, name, flags, Mode::empty()) {
            Err(Errno::NOENT | Errno::LOOP) => return Ok(None),
            other => other.map_err(|error| failed(error.into()))?,
        };
        let stat = fstat(&opened).map_err(|error| failed(error.into()))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(None);
        }
        self.room.check_file(u64::try_from(stat.st_size).unwrap_or_default())?;
        let mut file = File::from(opened);
        let (mut size, mut chunks) = (0, Vec::new());
        loop {
            let mut buffer = std::mem::take(&mut self.buffer);
            buffer.clear();
            let read = file.by_ref().take(CHUNK as u64).read_to_end(&mut buffer).map_err(failed)?;
            if read > 0 {
                size += read as u64;
                self.room.check_file(size)?;
                chunks.push(self.put(&buffer)?);
            }
            self.buffer = buffer;
            if read < CHUNK {
                return Ok(Some((stat, Content::File { size, chunks })));
            }
        }
    }

    fn put(&mut self, bytes: &[u8]) -> Result<Digest, VaultError> {
        self.room.check_chunk(bytes.len() as u64)?;
        let (digest, added) = self.chunks.put(bytes)?;
        self.room.add(added);
        self.added += added;
        Ok(digest)
    }

    fn trusted_stamp(&self, stat: &Stat) -> Option<Stamp> {
        let stamp = stamp_of(stat);
        let changed = u64::try_from(stamp.changed.0).ok().map(|seconds| {
            UNIX_EPOCH
                + Duration::new(seconds, 0)
                + Duration::from_nanos(u64::try_from(stamp.changed.1).unwrap_or_default())
        })?;
        (changed + TICK < self.started).then_some(stamp)
    }
}

fn stamp_of(stat: &Stat) -> Stamp {
    Stamp {
        device: stat.st_dev,
        inode: stat.st_ino,
        size: stat.st_size,
        changed: (stat.st_ctime, i64::try_from(stat.st_ctime_nsec).unwrap_or_default()),
    }
}

/// The names in a folder, in order.
fn names(folder: &OwnedFd) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let name = entry?.file_name().to_owned();
        if !matches!(name.to_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}
