//! Reads tar archives into a [`Tree`]: the layers of container images, what Debian's tools write, a user's own.
//!
//! Contents stay in the archive. Everything in it is checked against its real size, so an archive can claim any
//! length, name or target and gets an error or a place inside of the tree.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use tar::EntryType;

use crate::tree::{Content, Kind, MAX_PATH, Metadata, Tree, TreeError, shown};

/// Names and attributes that do not fit into a header come in entries of their own, of this many bytes at most.
const MAX_EXTENSION: u64 = 1 << 20;
/// A file name with this prefix takes a file of an earlier layer away.
const WHITEOUT: &[u8] = b".wh.";
/// A file of this name takes away what earlier layers have in its folder.
const OPAQUE: &[u8] = b".wh..wh..opq";
const ATTRIBUTE_KEY: &str = "SCHILY.xattr.";

/// Whether files named `.wh.*` are whiteouts, as in the layers of container images, or just files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whiteouts {
    /// They take files of earlier layers away.
    Apply,
    /// They are files.
    Keep,
}

/// Why an archive was not read.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// It cannot be read, or is no tar archive.
    #[error("cannot read the archive")]
    Read(#[source] io::Error),
    /// An entry is not possible in a file system, or leads out of it.
    #[error("the archive's entry `{entry}` is refused")]
    Refused {
        /// Its name, for people.
        entry: String,
        /// Why.
        #[source]
        source: TreeError,
    },
    /// An entry is of a kind that is not read.
    #[error("the archive's entry `{entry}` is refused: {reason}")]
    Unsupported {
        /// Its name, for people.
        entry: String,
        /// Why.
        reason: &'static str,
    },
    /// An entry claims more than the archive has.
    #[error("the archive ends in the middle of `{entry}`")]
    Cut {
        /// Its name, for people.
        entry: String,
    },
}

/// Adds what the uncompressed archive in `file` has to `tree`.
pub fn read_into(tree: &mut Tree, file: File, whiteouts: Whiteouts) -> Result<(), TarError> {
    let size = file.metadata().map_err(TarError::Read)?.len();
    let file = Arc::new(file);
    let mut archive = tar::Archive::new(file.as_ref());
    let mut extensions = Extensions::default();
    for entry in archive.entries_with_seek().map_err(TarError::Read)?.raw(true) {
        let mut entry = entry.map_err(TarError::Read)?;
        if extensions.take(&mut entry)? {
            continue;
        }
        let mut named = std::mem::take(&mut extensions);
        let header = entry.header();
        let path = named.path.take().unwrap_or_else(|| header.path_bytes().into_owned());
        let length = header.entry_size().map_err(TarError::Read)?;
        let offset = entry.raw_file_position();
        if offset.checked_add(length).is_none_or(|end| end > size) {
            return Err(TarError::Cut { entry: shown(&path) });
        }
        let link = named.link.take().or_else(|| header.link_name_bytes().map(|name| name.into_owned()));
        let content = Content::Span { file: Arc::clone(&file), offset, length };
        let entry = Entry { header, path: &path, link, named, content };
        entry.add(tree, whiteouts)?;
    }
    Ok(())
}

/// What entries of their own say of the next one.
#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    uid: Option<u32>,
    gid: Option<u32>,
    attributes: BTreeMap<String, Vec<u8>>,
}

impl Extensions {
    /// Takes the entry in where it is such a one.
    fn take(&mut self, entry: &mut tar::Entry<'_, &File>) -> Result<bool, TarError> {
        let kind = entry.header().entry_type();
        match kind {
            EntryType::GNULongName => self.path = Some(without_zeros(extension(entry)?)),
            EntryType::GNULongLink => self.link = Some(without_zeros(extension(entry)?)),
            EntryType::XHeader => self.records(&extension(entry)?)?,
            // Of the whole archive: a comment, the name of the program that wrote it.
            EntryType::XGlobalHeader => drop(extension(entry)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn records(&mut self, text: &[u8]) -> Result<(), TarError> {
        let refused = |reason| TarError::Unsupported { entry: "extended header".into(), reason };
        for record in tar::PaxExtensions::new(text) {
            let record = record.map_err(TarError::Read)?;
            let key = record.key().map_err(|_| refused("a key in it is no text"))?;
            let value = record.value_bytes();
            match key {
                "path" => self.path = Some(value.to_vec()),
                "linkpath" => self.link = Some(value.to_vec()),
                "uid" => self.uid = Some(number(value).ok_or_else(|| refused(NO_OWNER))?),
                "gid" => self.gid = Some(number(value).ok_or_else(|| refused(NO_OWNER))?),
                "size" => return Err(refused("files of 8 GiB and more are not read")),
                key if key.starts_with("GNU.sparse.") => return Err(refused("sparse files are not read")),
                key => {
                    if let Some(name) = key.strip_prefix(ATTRIBUTE_KEY) {
                        self.attributes.insert(name.to_owned(), value.to_vec());
                    }
                }
            }
        }
        Ok(())
    }
}

const NO_OWNER: &str = "its owner has no number of 32 bits";

fn number(text: &[u8]) -> Option<u32> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn extension(entry: &mut tar::Entry<'_, &File>) -> Result<Vec<u8>, TarError> {
    let refused = |reason| TarError::Unsupported { entry: "extended header".into(), reason };
    let size = entry.header().entry_size().map_err(TarError::Read)?;
    if size > MAX_EXTENSION {
        return Err(refused("it is larger than 1 MiB"));
    }
    let mut bytes = Vec::new();
    entry.take(MAX_EXTENSION).read_to_end(&mut bytes).map_err(TarError::Read)?;
    if bytes.len() as u64 != size {
        return Err(TarError::Cut { entry: "extended header".into() });
    }
    Ok(bytes)
}

fn without_zeros(mut name: Vec<u8>) -> Vec<u8> {
    while name.last() == Some(&0) {
        name.pop();
    }
    name
}

struct Entry<'a> {
    header: &'a tar::Header,
    path: &'a [u8],
    link: Option<Vec<u8>>,
    named: Extensions,
    content: Content,
}

impl Entry<'_> {
    fn add(self, tree: &mut Tree, whiteouts: Whiteouts) -> Result<(), TarError> {
        let refused = |source| TarError::Refused { entry: shown(self.path), source };
        if whiteouts == Whiteouts::Apply
            && let Some(result) = whiteout(tree, self.path)
        {
            return result.map_err(refused);
        }
        if self.header.entry_type() == EntryType::Link {
            return tree.put_hard_link(self.path, &self.target()?).map_err(refused);
        }
        let kind = self.kind()?;
        let metadata = self.metadata()?;
        tree.put(self.path, metadata, kind).map(drop).map_err(refused)
    }

    fn kind(&self) -> Result<Kind, TarError> {
        let unsupported = |reason| TarError::Unsupported { entry: shown(self.path), reason };
        let device = || {
            let major = self.header.device_major().map_err(TarError::Read)?;
            let minor = self.header.device_minor().map_err(TarError::Read)?;
            match (major, minor) {
                (Some(major), Some(minor)) if major < 1 << 12 && minor < 1 << 20 => Ok((major, minor)),
                _ => Err(unsupported("its device number is none")),
            }
        };
        Ok(match self.header.entry_type() {
            // Archives of long ago mark a folder by its name only.
            EntryType::Regular if self.path.ends_with(b"/") => Kind::Folder(BTreeMap::new()),
            EntryType::Regular | EntryType::Continuous => Kind::Regular(self.content.clone()),
            EntryType::Directory => Kind::Folder(BTreeMap::new()),
            EntryType::Symlink => Kind::Link(self.target()?),
            EntryType::Fifo => Kind::Pipe,
            EntryType::Char => device().map(|(major, minor)| Kind::Character { major, minor })?,
            EntryType::Block => device().map(|(major, minor)| Kind::Block { major, minor })?,
            EntryType::GNUSparse => return Err(unsupported("sparse files are not read")),
            _ => return Err(unsupported("it is of an unknown kind")),
        })
    }

    fn target(&self) -> Result<Vec<u8>, TarError> {
        match &self.link {
            Some(target) if !target.is_empty() && target.len() <= MAX_PATH && !target.contains(&0) => {
                Ok(target.clone())
            }
            _ => Err(TarError::Unsupported { entry: shown(self.path), reason: "it is a link to nothing" }),
        }
    }

    fn metadata(&self) -> Result<Metadata, TarError> {
        let number = |named: Option<u32>, field: &[u8], value: io::Result<u64>| {
            // npm leaves owners out; so do others who think that nobody looks at them.
            let is_blank = field.iter().all(|byte| matches!(byte, 0 | b' '));
            named
                .or(is_blank.then_some(0))
                .or_else(|| u32::try_from(value.ok()?).ok())
                .ok_or_else(|| TarError::Unsupported { entry: shown(self.path), reason: NO_OWNER })
        };
        let fields = self.header.as_old();
        let mode = self.header.mode().map_err(TarError::Read)? & 0o7777;
        Ok(Metadata {
            permissions: u16::try_from(mode).expect("twelve bits were kept"),
            uid: number(self.named.uid, &fields.uid, self.header.uid())?,
            gid: number(self.named.gid, &fields.gid, self.header.gid())?,
            modified: self.header.mtime().ok().and_then(|time| i64::try_from(time).ok()).unwrap_or(0),
            attributes: self.named.attributes.clone(),
        })
    }
}

/// Applies a whiteout; `None` where the path is none.
fn whiteout(tree: &mut Tree, path: &[u8]) -> Option<Result<(), TreeError>> {
    let (folder, name) = match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => path.split_at(at + 1),
        None => (b"".as_slice(), path),
    };
    if name == OPAQUE {
        return Some(tree.clear_lower(folder));
    }
    let removed = name.strip_prefix(WHITEOUT)?;
    // `.wh..wh.` begins names that some builders keep for themselves.
    if removed.starts_with(WHITEOUT) {
        return Some(Ok(()));
    }
    if removed.is_empty() || removed == b"." || removed == b".." {
        return Some(Err(TreeError::Name(shown(path))));
    }
    Some(tree.remove_lower(&[folder, removed].concat()))
}
