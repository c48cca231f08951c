//! Container images in files: a folder in OCI's layout, an archive of one, an archive of `docker save`.
//!
//! Invariant: names of blobs are digests, so that no document can name a file elsewhere; an archive is read into a tree and
//! never unpacked on the host.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::model::{Descriptor, Index, Saved};
use super::{Blobs, First, MAX_DOCUMENT, OciError, document, file};
use crate::digest::{Digest, copy};
use crate::progress::{Progress, Reporter};
use crate::source::archive;
use crate::tarball::{self, Whiteouts};
use crate::tree::{Content, Tree};

/// Where the name of an image in a layout stands.
const NAME: &str = "org.opencontainers.image.ref.name";
/// Where containerd puts the whole reference.
const WHOLE_NAME: &str = "io.containerd.image.name";

/// Opens what is at `path`; where nothing is there, the part behind its last colon is the name of an image in it.
pub(super) fn open(path: &Path, scratch: &Path, limit: u64) -> Result<Box<dyn Blobs>, OciError> {
    let (path, name) = match path.to_str().and_then(|text| text.rsplit_once(':')) {
        Some((before, name)) if !path.exists() && !name.contains('/') => {
            (PathBuf::from(before), Some(name.to_owned()))
        }
        _ => (path.to_owned(), None),
    };
    let metadata = fs::metadata(&path).map_err(file("read", &path))?;
    if metadata.is_dir() {
        return Ok(Box::new(Layout { path: path.clone(), name, files: Files::Folder(path) }));
    }
    let plain = archive::plain(&path, scratch, "oci.tar", limit)?;
    let mut tree = Tree::new();
    tarball::read_into(&mut tree, plain, Whiteouts::Keep)
        .map_err(|error| OciError::NoLayout { path: path.clone(), reason: with_causes(&error) })?;
    if tree.content(b"index.json").is_none() && tree.content(b"manifest.json").is_some() {
        return Ok(Box::new(SavedArchive { path, name, tree }));
    }
    Ok(Box::new(Layout { path, name, files: Files::Archive(tree) }))
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[derive(Debug)]
enum Files {
    Folder(PathBuf),
    Archive(Tree),
}

impl Files {
    /// A document; `None` where it is missing.
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match self {
            Self::Folder(folder) => match File::open(folder.join(name)) {
                Ok(file) => {
                    let mut bytes = Vec::new();
                    file.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes)?;
                    Ok(Some(bytes))
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            },
            Self::Archive(tree) => {
                tree.content(name.as_bytes()).map(|content| content.read(MAX_DOCUMENT)).transpose()
            }
        }
    }

    /// Copies a file, at most `limit` bytes of it; whether it is there.
    fn copy(&self, name: &str, to: &Path, limit: u64) -> io::Result<bool> {
        let mut target = File::create(to)?;
        match self {
            Self::Folder(folder) => match File::open(folder.join(name)) {
                Ok(from) => copy(&mut from.take(limit), &mut target).map(|_| true),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
                Err(error) => Err(error),
            },
            Self::Archive(tree) => match tree.content(name.as_bytes()) {
                Some(content) => copy(&mut content.reader().take(limit), &mut target).map(|_| true),
                None => Ok(false),
            },
        }
    }
}

/// OCI's layout: `oci-layout`, `index.json` and `blobs/sha256/DIGEST`.
#[derive(Debug)]
struct Layout {
    path: PathBuf,
    name: Option<String>,
    files: Files,
}

impl Blobs for Layout {
    fn first(&self) -> Result<First, OciError> {
        let none = |reason: &str| OciError::NoLayout { path: self.path.clone(), reason: reason.to_owned() };
        let read = |name| self.files.read(name).map_err(file("read", &self.path.join(name)));
        read("oci-layout")?.ok_or_else(|| none("it has no file `oci-layout`"))?;
        let bytes = read("index.json")?.ok_or_else(|| none("it has no file `index.json`"))?;
        let index: Index = document("index", &bytes)?;
        let Some(name) = &self.name else {
            return match &index.manifests[..] {
                [only] => Ok(First::Descriptor(only.clone())),
                // Several for several machines, or several images.
                _ => index.for_this_machine().cloned().map(First::Descriptor),
            };
        };
        let is_named = |found: &&Descriptor| {
            [NAME, WHOLE_NAME].iter().any(|key| found.annotations.get(*key) == Some(name))
        };
        let found = index.manifests.iter().find(is_named);
        found
            .cloned()
            .map(First::Descriptor)
            .ok_or_else(|| none(&format!("no image in it is called `{name}`")))
    }

    fn write(
        &self,
        descriptor: &Descriptor,
        to: &Path,
        limit: u64,
        report: Reporter<'_>,
    ) -> Result<(), OciError> {
        let name = format!("blobs/sha256/{}", descriptor.sha256()?);
        let found = self.files.copy(&name, to, limit).map_err(file("copy", &self.path.join(&name)))?;
        report(Progress::Bytes { done: descriptor.size, total: descriptor.size });
        if found {
            Ok(())
        } else {
            let reason = format!("the blob {} is missing", descriptor.digest);
            Err(OciError::NoLayout { path: self.path.clone(), reason })
        }
    }
}

/// `manifest.json`, a configuration, and layers with names of their own. Digests are those of what is there: what they should be, the
/// configuration says.
#[derive(Debug)]
struct SavedArchive {
    path: PathBuf,
    name: Option<String>,
    tree: Tree,
}

impl SavedArchive {
    fn content(&self, name: &str) -> Result<&Content, OciError> {
        self.tree.content(name.as_bytes()).ok_or_else(|| OciError::NoLayout {
            path: self.path.clone(),
            reason: format!("the file `{}` is missing", crate::tree::shown(name.as_bytes())),
        })
    }

    fn document(&self, name: &str) -> Result<Vec<u8>, OciError> {
        self.content(name)?.read(MAX_DOCUMENT).map_err(file("read", &self.path.join(name)))
    }

    /// The images in it: one, or the one that was asked for.
    fn saved(&self) -> Result<Saved, OciError> {
        let bytes = self.document("manifest.json")?;
        let images: Vec<Saved> = document("list of images", &bytes)?;
        let none = |reason: String| OciError::NoLayout { path: self.path.clone(), reason };
        let found = match &self.name {
            Some(name) => images.into_iter().find(|image| image.is_named(name)),
            None if images.len() > 1 => {
                return Err(none("it has several images; say which with `:NAME` behind the path".to_owned()));
            }
            None => images.into_iter().next(),
        };
        found.ok_or_else(|| none("there is no such image in it".to_owned()))
    }
}

impl Blobs for SavedArchive {
    fn first(&self) -> Result<First, OciError> {
        let saved = self.saved()?;
        let mut layers = Vec::new();
        for name in &saved.layers {
            let content = self.content(name)?;
            let mut hashing = crate::digest::Hashing::new(io::sink());
            copy(&mut content.reader(), &mut hashing).map_err(file("read", &self.path.join(name)))?;
            let (digest, size, _) = hashing.finish();
            layers.push(Descriptor::layer(format!("sha256:{digest}"), size));
        }
        Ok(First::Parts { configuration: self.document(&saved.config)?, layers })
    }

    fn write(
        &self,
        descriptor: &Descriptor,
        to: &Path,
        limit: u64,
        report: Reporter<'_>,
    ) -> Result<(), OciError> {
        let wanted = descriptor.sha256()?;
        for name in &self.saved()?.layers {
            let content = self.content(name)?;
            if content.len() != descriptor.size {
                continue;
            }
            let mut target = File::create(to).map_err(file("make", to))?;
            copy(&mut content.reader().take(limit), &mut target).map_err(file("write", to))?;
            let (digest, _) = Digest::of_file(to).map_err(file("read", to))?;
            if digest == wanted {
                report(Progress::Bytes { done: descriptor.size, total: descriptor.size });
                return Ok(());
            }
        }
        let reason = format!("the layer {} is missing", descriptor.digest);
        Err(OciError::NoLayout { path: self.path.clone(), reason })
    }
}
