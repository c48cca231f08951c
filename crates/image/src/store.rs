//! Where images are kept: a folder for each, named by its digest, and files with names that point to them.
//!
//! ```text
//! <images>/<digest>/{manifest.json,vmlinux,modules.cpio,root.ext4,initramfs-*.cpio}
//! <images>/names/NAME        the digest, as text
//! <images>/locks/NAME        held by who builds this name
//! <images>/building/N/lock   held by who builds; a folder whose lock nobody has is rubbish
//! <images>/building.lock     held by who makes or removes such folders: a new one has no lock yet, and is no rubbish
//! ```
//!
//! Invariants: a digest's folder is complete or absent, because it is renamed into its place; a name is replaced by a
//! rename; nothing that another process holds open through an [`Image`] is removed.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::image::{INITRAMFS_PREFIX, Image, ImageError, MANIFEST_FILE};
use crate::lock::Lock;
use crate::names::{self, NameError};

/// How many digits of a digest are enough to ask for an image.
const MIN_PREFIX: usize = 6;
const NAMES: &str = "names";
const LOCKS: &str = "locks";
const BUILDING: &str = "building";
const BUILDING_LOCK: &str = "building.lock";

/// The store of images in a folder.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder, or something in it, cannot be read or written.
    #[error("cannot {operation} `{path}`")]
    Files {
        /// What was tried.
        operation: &'static str,
        /// With what.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is none of this name or digest.
    #[error("there is no image `{0}`")]
    Unknown(String),
    /// Several digests begin so.
    #[error("several images begin with `{0}`")]
    Ambiguous(String),
    /// The text is no name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The image is not whole.
    #[error("the image `{name}` cannot be used")]
    Image {
        /// As it was asked for.
        name: String,
        /// Why.
        #[source]
        source: ImageError,
    },
    /// A machine uses it.
    #[error("the image `{0}` is in use")]
    InUse(String),
}

/// An image of the list.
#[derive(Debug)]
pub struct Listed {
    /// Its identity.
    pub digest: Digest,
    /// Its names, sorted.
    pub names: Vec<String>,
    /// The image, or why it is none.
    pub image: Result<Image, ImageError>,
}

/// What [`Store::prune`] removed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Images without a name.
    pub images: Vec<Digest>,
    /// Folders of builds that did not end.
    pub unfinished: usize,
    /// How many bytes that was.
    pub bytes: u64,
}

impl Store {
    /// Opens the store in `folder`, which is made where it is missing.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        for part in ["", NAMES, LOCKS, BUILDING] {
            let path = folder.join(part);
            fs::create_dir_all(&path).map_err(failed("make", &path))?;
        }
        let folder = fs::canonicalize(folder).map_err(failed("find", folder))?;
        Ok(Self { folder })
    }

    /// The image of this name, digest, or begin of a digest.
    pub fn get(&self, name: &str) -> Result<Image, StoreError> {
        let (digest, given) = self.resolve(name)?;
        Image::open(&self.image_folder(digest), digest, given)
            .map_err(|source| StoreError::Image { name: name.to_owned(), source })
    }

    /// All images, in the order of their names; those without one come last.
    pub fn list(&self) -> Result<Vec<Listed>, StoreError> {
        let names = self.names()?;
        let mut listed: Vec<Listed> = self
            .digests()?
            .into_iter()
            .map(|digest| Listed {
                digest,
                names: names.iter().filter(|(_, of)| *of == digest).map(|(name, _)| name.clone()).collect(),
                image: Image::open(&self.image_folder(digest), digest, None),
            })
            .collect();
        listed.sort_by_key(|listed| (listed.names.is_empty(), listed.names.clone(), listed.digest));
        Ok(listed)
    }

    /// Removes a name, and the image with its last name; a digest removes the image with all its names.
    pub fn remove(&self, name: &str) -> Result<(), StoreError> {
        let (digest, given) = self.resolve(name)?;
        let names: Vec<String> =
            self.names()?.into_iter().filter(|(_, of)| *of == digest).map(|(name, _)| name).collect();
        let (gone, stays): (Vec<String>, Vec<String>) =
            names.into_iter().partition(|other| given.as_ref().is_none_or(|given| given == other));
        if stays.is_empty() && !self.remove_image(digest)? {
            return Err(StoreError::InUse(name.to_owned()));
        }
        for name in gone {
            let path = self.folder.join(NAMES).join(name);
            fs::remove_file(&path).map_err(failed("remove", &path))?;
        }
        Ok(())
    }

    /// Removes images without a name, what builds have left that were killed, and what older agents booted from.
    pub fn prune(&self) -> Result<Pruned, StoreError> {
        let mut pruned = Pruned::default();
        let names = self.names()?;
        for digest in self.digests()? {
            let folder = self.image_folder(digest);
            if names.iter().any(|(_, of)| *of == digest) {
                pruned.bytes += remove_old_initramfs(&folder);
                continue;
            }
            let size = size_of(&folder);
            if self.remove_image(digest)? {
                pruned.images.push(digest);
                pruned.bytes += size;
            }
        }
        let (unfinished, bytes) = self.remove_unfinished()?;
        pruned.unfinished = unfinished;
        pruned.bytes += bytes;
        Ok(pruned)
    }

    /// Removes what killed builds have left; says how many there were, and how many bytes.
    pub(crate) fn remove_unfinished(&self) -> Result<(usize, u64), StoreError> {
        let _alone = self.lock_building()?;
        let building = self.folder.join(BUILDING);
        let (mut count, mut bytes) = (0, 0);
        for entry in fs::read_dir(&building).map_err(failed("read", &building))? {
            let path = entry.map_err(failed("read", &building))?.path();
            let size = size_of(&path);
            if remove_unfinished(&path)? {
                count += 1;
                bytes += size;
            }
        }
        Ok((count, bytes))
    }

    /// Waits until nobody else builds this name.
    pub(crate) fn lock_name(&self, name: &str, waiting: impl FnOnce()) -> Result<Lock, StoreError> {
        names::check(name)?;
        let path = self.folder.join(LOCKS).join(name);
        if let Some(lock) = Lock::try_alone(&path).map_err(failed("lock", &path))? {
            return Ok(lock);
        }
        waiting();
        Lock::wait(&path).map_err(failed("lock", &path))
    }

    fn lock_building(&self) -> Result<Lock, StoreError> {
        let path = self.folder.join(BUILDING_LOCK);
        Lock::wait(&path).map_err(failed("lock", &path))
    }

    /// A new folder for a build.
    pub(crate) fn begin(&self) -> Result<Unfinished, StoreError> {
        let _alone = self.lock_building()?;
        let building = self.folder.join(BUILDING);
        let mut number = 0_u32;
        loop {
            let folder = building.join(format!("{}-{number}", std::process::id()));
            match fs::create_dir(&folder) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    number += 1;
                    continue;
                }
                Err(source) => return Err(failed("make", &folder)(source)),
            }
            let lock = folder.join("lock");
            let lock = Lock::wait(&lock).map_err(failed("lock", &lock))?;
            return Ok(Unfinished { store: self.clone(), folder, _lock: lock });
        }
    }

    /// Moves a finished image into its place and gives it its name.
    pub(crate) fn install(&self, from: &Path, digest: Digest, name: &str) -> Result<Image, StoreError> {
        let folder = self.image_folder(digest);
        if folder.join(MANIFEST_FILE).exists() {
            // The same image was built before; but a damaged one is replaced.
            let whole = Image::open(&folder, digest, None).and_then(|image| image.verify());
            if whole.is_err() && !self.remove_image(digest)? {
                return Err(StoreError::InUse(name.to_owned()));
            }
        }
        if let Err(source) = fs::rename(from, &folder)
            && !folder.join(MANIFEST_FILE).exists()
        {
            return Err(failed("make", &folder)(source));
        }
        let path = self.folder.join(NAMES).join(name);
        let unfinished = self.folder.join(LOCKS).join(format!("{name}.new"));
        fs::write(&unfinished, format!("{digest}\n")).map_err(failed("write", &unfinished))?;
        fs::rename(&unfinished, &path).map_err(failed("write", &path))?;
        self.get(name)
    }

    fn image_folder(&self, digest: Digest) -> PathBuf {
        self.folder.join(digest.to_string())
    }

    /// The digest that is meant, and the name if it was one.
    fn resolve(&self, text: &str) -> Result<(Digest, Option<String>), StoreError> {
        names::check(text)
            .or_else(|error| if text.parse::<Digest>().is_ok() { Ok(()) } else { Err(error) })?;
        if let Some(digest) = self.digest_of(text)? {
            return Ok((digest, Some(text.to_owned())));
        }
        let mut matching = self.digests()?;
        matching.retain(|digest| text.len() >= MIN_PREFIX && digest.to_string().starts_with(text));
        match matching[..] {
            [digest] => Ok((digest, None)),
            [] => Err(StoreError::Unknown(text.to_owned())),
            _ => Err(StoreError::Ambiguous(text.to_owned())),
        }
    }

    fn digest_of(&self, name: &str) -> Result<Option<Digest>, StoreError> {
        let path = self.folder.join(NAMES).join(name);
        let mut text = String::new();
        let read = fs::File::open(&path).and_then(|file| file.take(100).read_to_string(&mut text));
        match read {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed("read", &path)(source)),
        }
        let digest =
            text.trim_end().parse().map_err(|error| failed("read", &path)(io::Error::other(error)))?;
        Ok(Some(digest))
    }

    fn names(&self) -> Result<Vec<(String, Digest)>, StoreError> {
        let folder = self.folder.join(NAMES);
        let mut names = Vec::new();
        for entry in fs::read_dir(&folder).map_err(failed("read", &folder))? {
            let entry = entry.map_err(failed("read", &folder))?;
            if let Some(name) = entry.file_name().to_str()
                && names::check(name).is_ok()
                && let Some(digest) = self.digest_of(name)?
            {
                names.push((name.to_owned(), digest));
            }
        }
        names.sort();
        Ok(names)
    }

    fn digests(&self) -> Result<Vec<Digest>, StoreError> {
        let entries = fs::read_dir(&self.folder).map_err(failed("read", &self.folder))?;
        let mut digests: Vec<Digest> =
            entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
        digests.sort();
        Ok(digests)
    }

    /// Removes an image's folder; `false` where somebody uses it.
    fn remove_image(&self, digest: Digest) -> Result<bool, StoreError> {
        let folder = self.image_folder(digest);
        let manifest = folder.join(MANIFEST_FILE);
        let _alone = match manifest.exists() {
            true => match Lock::try_alone(&manifest).map_err(failed("lock", &manifest))? {
                Some(lock) => Some(lock),
                None => return Ok(false),
            },
            false => None,
        };
        // First out of sight: half an image is none.
        let away = self.begin()?;
        let hidden = away.folder.join("removed");
        match fs::rename(&folder, &hidden) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", &folder)(error)),
            _ => Ok(true),
        }
    }
}

/// A folder for something that is not finished. It is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Unfinished {
    store: Store,
    folder: PathBuf,
    _lock: Lock,
}

impl Unfinished {
    pub(crate) fn path(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Half removed, it would look like rubbish, and its name be given away. What cannot be removed now is found by the
        // next `prune`.
        let _alone = self.store.lock_building();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Removes the folder of a build whose process is gone; `false` where it is still at work.
fn remove_unfinished(folder: &Path) -> Result<bool, StoreError> {
    let lock = folder.join("lock");
    match Lock::try_alone(&lock) {
        Ok(None) => return Ok(false),
        Ok(Some(_)) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(failed("lock", &lock)(source)),
    }
    fs::remove_dir_all(folder).map_err(failed("remove", folder))?;
    Ok(true)
}

/// Removes what other agents than this program's boot from. A machine reads it only when it starts.
fn remove_old_initramfs(folder: &Path) -> u64 {
    let current = format!("{INITRAMFS_PREFIX}{}.cpio", Digest::of(crate::AGENT).short());
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let mut bytes = 0;
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_old = name.to_str().is_some_and(|name| name.starts_with(INITRAMFS_PREFIX) && name != current);
        let size = entry.metadata().map_or(0, |metadata| metadata.len());
        if is_old && fs::remove_file(entry.path()).is_ok() {
            bytes += size;
        }
    }
    bytes
}

/// The size of all files in a folder, as far as they can be read.
fn size_of(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => size_of(&entry.path()),
        _ => entry.metadata().map_or(0, |metadata| metadata.len()),
    });
    sizes.sum()
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Files { operation, path, source }
}
