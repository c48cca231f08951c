//! A root file system in a folder of the host.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::source::Root;
use crate::tree::{Content, Kind, Metadata, Tree, TreeError};

/// Small files are read at once: a file held open for each would be too many.
const SMALL: u64 = 64 * 1024;
/// All small files together, in bytes; what comes later is spooled like large files.
const MAX_SMALL: u64 = 512 << 20;

/// Why a folder is no root file system.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Something in it cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something in it does not go into an image.
    #[error("cannot use the folder `{path}`")]
    Tree {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: TreeError,
    },
}

/// Whose the files of an image become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owners {
    /// Whose they are on the host.
    Keep,
    /// Root's: the user who builds the image owns the folder and cannot own files as anybody else.
    Root,
}

/// The root file system in `folder`. `spool` is an empty folder for contents.
pub(crate) fn root(folder: &Path, spool: &Path) -> Result<Root, FolderError> {
    let owners = if rustix::process::geteuid().is_root() { Owners::Keep } else { Owners::Root };
    let mut tree = Tree::new();
    add(&mut tree, b"", folder, owners, spool)?;
    Ok(Root::new(tree, "dir".to_owned()))
}

/// Adds what is at `from` to `tree` as `to`, a folder with all that is in it. Other file systems that are mounted in it
/// are left out; so are sockets.
pub(crate) fn add(
    tree: &mut Tree,
    to: &[u8],
    from: &Path,
    owners: Owners,
    spool: &Path,
) -> Result<(), FolderError> {
    add_wanted(tree, to, from, owners, spool, &|_, _| true)
}

/// The same for what is wanted: `is_wanted` is asked with each path below `from`, which begins with a `/`, and whether a folder is there.
/// A folder that is not wanted is left out with all that is in it.
pub(crate) fn add_wanted(
    tree: &mut Tree,
    to: &[u8],
    from: &Path,
    owners: Owners,
    spool: &Path,
    is_wanted: &dyn Fn(&[u8], bool) -> bool,
) -> Result<(), FolderError> {
    let top =
        fs::symlink_metadata(from).map_err(|source| FolderError::Read { path: from.to_owned(), source })?;
    let spool = Spool::create(&spool.join("contents"))?;
    let mut reading = Reading { tree, owners, device: top.dev(), seen: BTreeMap::new(), small: 0, spool };
    let mut pending = vec![(to.to_vec(), from.to_owned())];
    let start = to.len();
    while let Some((to, from)) = pending.pop() {
        let is_folder = || fs::symlink_metadata(&from).is_ok_and(|found| found.is_dir());
        if to.len() > start && !is_wanted(&to[start..], is_folder()) {
            continue;
        }
        let children = reading.add_one(&to, &from)?;
        for name in children.into_iter().rev() {
            let mut path = to.clone();
            path.push(b'/');
            path.extend_from_slice(name.as_bytes());
            pending.push((path, from.join(name)));
        }
    }
    Ok(())
}

struct Reading<'a> {
    tree: &'a mut Tree,
    owners: Owners,
    device: u64,
    /// Files with several names, by their inode, with the first name.
    seen: BTreeMap<u64, Vec<u8>>,
    small: u64,
    spool: Spool,
}

impl Reading<'_> {
    /// Adds one file; gives the sorted names in it where it is a folder.
    fn add_one(&mut self, to: &[u8], from: &Path) -> Result<Vec<std::ffi::OsString>, FolderError> {
        let read = |source| FolderError::Read { path: from.to_owned(), source };
        let refused = |source| FolderError::Tree { path: from.to_owned(), source };
        let found = fs::symlink_metadata(from).map_err(read)?;
        let kind = found.file_type();
        if found.nlink() > 1 && !kind.is_dir() {
            if let Some(first) = self.seen.get(&found.ino()) {
                self.tree.put_hard_link(to, first).map_err(refused)?;
                return Ok(Vec::new());
            }
            self.seen.insert(found.ino(), to.to_vec());
        }
        let mut names = Vec::new();
        let device = || (rustix::fs::major(found.rdev()), rustix::fs::minor(found.rdev()));
        let kind = if kind.is_dir() {
            if found.dev() == self.device {
                for entry in fs::read_dir(from).map_err(read)? {
                    names.push(entry.map_err(read)?.file_name());
                }
                names.sort();
            }
            Kind::Folder(BTreeMap::new())
        } else if kind.is_file() {
            Kind::Regular(self.content(from, found.len()).map_err(read)?)
        } else if kind.is_symlink() {
            Kind::Link(fs::read_link(from).map_err(read)?.as_os_str().as_bytes().to_vec())
        } else if kind.is_char_device() {
            let (major, minor) = device();
            Kind::Character { major, minor }
        } else if kind.is_block_device() {
            let (major, minor) = device();
            Kind::Block { major, minor }
        } else if kind.is_fifo() {
            Kind::Pipe
        } else {
            return Ok(Vec::new());
        };
        let metadata = self.metadata(from, &found).map_err(read)?;
        self.tree.put(to, metadata, kind).map_err(refused)?;
        Ok(names)
    }

    /// The content as it is now: a file that changes while it is read would make an image that is no state of it.
    fn content(&mut self, path: &Path, length: u64) -> io::Result<Content> {
        if length <= SMALL && self.small + length <= MAX_SMALL {
            let bytes = fs::read(path)?;
            self.small += bytes.len() as u64;
            return Ok(Content::Bytes(bytes.into()));
        }
        self.spool.add(&mut File::open(path)?)
    }

    fn metadata(&self, path: &Path, found: &fs::Metadata) -> io::Result<Metadata> {
        let (uid, gid) = match self.owners {
            Owners::Keep => (found.uid(), found.gid()),
            Owners::Root => (0, 0),
        };
        let permissions = u16::try_from(found.mode() & 0o7777).expect("twelve bits were kept");
        let attributes = match self.owners {
            Owners::Keep => attributes(path)?,
            Owners::Root => BTreeMap::new(),
        };
        Ok(Metadata { permissions, uid, gid, modified: found.mtime(), attributes })
    }
}

/// The attribute that makes a program do what else only root may. Others belong to the host.
fn attributes(path: &Path) -> io::Result<BTreeMap<String, Vec<u8>>> {
    const CAPABILITY: &str = "security.capability";
    let mut value = [0; 64];
    match rustix::fs::lgetxattr(path, CAPABILITY, &mut value[..]) {
        Ok(length) => Ok(BTreeMap::from([(CAPABILITY.to_owned(), value[..length].to_vec())])),
        Err(rustix::io::Errno::NODATA | rustix::io::Errno::NOTSUP) => Ok(BTreeMap::new()),
        Err(error) => Err(error.into()),
    }
}

/// Contents one after the other in one file.
struct Spool {
    file: Arc<File>,
    length: u64,
}

impl Spool {
    fn create(path: &Path) -> Result<Self, FolderError> {
        let open = || File::options().create(true).append(true).read(true).open(path);
        let file = open().map_err(|source| FolderError::Read { path: path.to_owned(), source })?;
        let length =
            file.metadata().map_err(|source| FolderError::Read { path: path.to_owned(), source })?.len();
        Ok(Self { file: Arc::new(file), length })
    }

    fn add(&mut self, from: &mut File) -> io::Result<Content> {
        let offset = self.length;
        let length = io::copy(from, &mut self.file.as_ref())?;
        self.length += length;
        Ok(Content::Span { file: Arc::clone(&self.file), offset, length })
    }
}
