//! One image, checked and ready to boot.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::AGENT;
use crate::cpio::Archive;
use crate::digest::Digest;
use crate::lock::Lock;
use crate::manifest::{FileSummary, MANIFEST_FORMAT, MAX_MANIFEST, Manifest};

pub(crate) const MANIFEST_FILE: &str = "manifest.json";
pub(crate) const KERNEL_FILE: &str = "vmlinux";
pub(crate) const MODULES_FILE: &str = "modules.cpio";
pub(crate) const ROOT_FILE: &str = "root.ext4";
/// Followed by the begin of the agent's digest and `.cpio`.
pub(crate) const INITRAMFS_PREFIX: &str = "initramfs-";

/// An image of the store. While it exists, the store does not remove its files.
#[derive(Clone, Debug)]
pub struct Image {
    name: Option<String>,
    digest: Digest,
    manifest: Arc<Manifest>,
    folder: PathBuf,
    kernel: PathBuf,
    root: PathBuf,
    _in_use: Arc<Lock>,
}

/// Why a folder is no image that can be booted here.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A file of it cannot be read.
    #[error("`{path}` is not an image of a virtual machine, or one that is incomplete")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The manifest is no manifest.
    #[error("`{path}` is not the manifest of an image")]
    Manifest {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// It is of another version of the format.
    #[error("the image has the format {found}, this program reads {MANIFEST_FORMAT}; build it again")]
    Format {
        /// The image's version.
        found: u64,
    },
    /// It is for another processor.
    #[error("the image is for {found}, this host is {}", std::env::consts::ARCH)]
    Architecture {
        /// What it is for.
        found: String,
    },
    /// A file is not the one that the manifest describes.
    #[error("the image is damaged: `{path}` {problem}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// It is about to be removed.
    #[error("the image is being removed")]
    Removed,
    /// The file that machines boot from cannot be written.
    #[error("cannot write `{path}`")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Image {
    /// Opens the image in `folder`, whose name is `digest`. That the manifest is the right one and that the files have
    /// the right sizes is checked; their contents are by [`Image::verify`].
    pub(crate) fn open(folder: &Path, digest: Digest, name: Option<String>) -> Result<Self, ImageError> {
        let path = folder.join(MANIFEST_FILE);
        let read = |source| ImageError::Read { path: path.clone(), source };
        let in_use = Lock::try_shared(&path).map_err(read)?.ok_or(ImageError::Removed)?;
        let mut text = Vec::new();
        fs::File::open(&path).map_err(read)?.take(MAX_MANIFEST + 1).read_to_end(&mut text).map_err(read)?;
        if Digest::of(&text) != digest {
            let problem = "is not the one that the image is named after".to_owned();
            return Err(ImageError::Damaged { path, problem });
        }
        let manifest = parse(&text, &path)?;
        let image = Self {
            name,
            digest,
            manifest: Arc::new(manifest),
            kernel: folder.join(KERNEL_FILE),
            root: folder.join(ROOT_FILE),
            folder: folder.to_owned(),
            _in_use: Arc::new(in_use),
        };
        for (path, summary) in image.files() {
            let size =
                fs::metadata(&path).map_err(|source| ImageError::Read { path: path.clone(), source })?.len();
            if size != summary.size {
                let problem = format!("has {size} bytes and should have {}", summary.size);
                return Err(ImageError::Damaged { path, problem });
            }
        }
        Ok(image)
    }

    /// The image's identity.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The name by which it was asked for, if it was by one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// What it is.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The kernel, an ELF file.
    pub fn kernel(&self) -> &Path {
        &self.kernel
    }

    /// The root file system, ext4. It is shared by all machines: open it for reading only.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The image's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What a machine unpacks into memory when it starts: this program's agent as `/init`, and the modules. It is
    /// written once for each agent.
    pub fn initramfs(&self) -> Result<PathBuf, ImageError> {
        let path = self.folder.join(format!("{INITRAMFS_PREFIX}{}.cpio", Digest::of(AGENT).short()));
        if path.exists() {
            return Ok(path);
        }
        // Others may be at it too: each writes a file of its own, and all have the same content.
        let unfinished = self.folder.join(format!("{INITRAMFS_PREFIX}{}.part", std::process::id()));
        let write = || -> io::Result<()> {
            let mut archive = Archive::new(fs::File::create(&unfinished)?);
            archive.file("init", 0o755, AGENT)?;
            let mut file = archive.finish()?;
            file.write_all(&fs::read(self.folder.join(MODULES_FILE))?)?;
            fs::rename(&unfinished, &path)
        };
        write().map_err(|source| {
            // The first error is the one to tell.
            let _ = fs::remove_file(&unfinished);
            ImageError::Write { path: path.clone(), source }
        })?;
        Ok(path)
    }

    /// Reads all files and compares them with the manifest.
    pub fn verify(&self) -> Result<(), ImageError> {
        for (path, summary) in self.files() {
            let (digest, _) =
                Digest::of_file(&path).map_err(|source| ImageError::Read { path: path.clone(), source })?;
            if digest != summary.sha256 {
                let problem = format!("has the digest {digest} and should have {}", summary.sha256);
                return Err(ImageError::Damaged { path, problem });
            }
        }
        Ok(())
    }

    fn files(&self) -> [(PathBuf, FileSummary); 3] {
        let manifest = &self.manifest;
        [(KERNEL_FILE, manifest.kernel), (MODULES_FILE, manifest.modules), (ROOT_FILE, manifest.root)]
            .map(|(name, summary)| (self.folder.join(name), summary))
    }
}

fn parse(text: &[u8], path: &Path) -> Result<Manifest, ImageError> {
    let failed = |source| ImageError::Manifest { path: path.to_owned(), source };
    // The version first: what else there is depends on it.
    let value: serde_json::Value = serde_json::from_slice(text).map_err(failed)?;
    match value.get("format").and_then(serde_json::Value::as_u64) {
        Some(found) if found != u64::from(MANIFEST_FORMAT) => return Err(ImageError::Format { found }),
        _ => {}
    }
    let manifest: Manifest = serde_json::from_value(value).map_err(failed)?;
    if manifest.architecture != std::env::consts::ARCH {
        return Err(ImageError::Architecture { found: manifest.architecture });
    }
    Ok(manifest)
}
