//! A root file system in a container image: from a registry, a folder or an archive in OCI's layout, or an archive of
//! `docker save`.
//!
//! Every blob is compared with its size and digest before it is looked at, every layer also with the digest that the image's
//! configuration has for its unpacked form. Layers go into one tree, lowest first, with their whiteouts applied; nothing is
//! unpacked on the host.
//!
//! * `reference` is what people write, `model` the documents of the specification, `layout` and `registry` the two places of blobs.

mod layout;
mod model;
mod reference;
mod registry;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::progress::{Progress, Reporter};
use crate::source::Root;
use crate::source::archive::{self, ArchiveError};
use crate::tarball::{self, TarError, Whiteouts};
use crate::tree::Tree;
use model::{Configuration, Descriptor, Index, Manifest, MediaType};
pub use reference::{Credentials, OciOrigin, OciReference, ReferenceError};
pub use registry::RegistryError;

/// The largest document (index, manifest, configuration), in bytes, as registries have it.
const MAX_DOCUMENT: u64 = 4 << 20;
/// How many layers an image may have; Docker's own limit is 127.
const MAX_LAYERS: usize = 500;
/// How many indexes may lead from one to the next.
const MAX_INDEXES: usize = 4;

/// Why a container image is no root file system.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// A file of it, or one that is made of it, cannot be read or written.
    #[error("cannot {operation} `{}`", path.display())]
    File {
        /// A verb.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The registry does not give it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The folder or archive is none of a container image.
    #[error("`{}` is no container image: {reason}", path.display())]
    NoLayout {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A document is not what the specification says.
    #[error("the image's {document} cannot be understood")]
    Document {
        /// Which.
        document: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A document says what is not supported.
    #[error("the image cannot be used: {reason}")]
    Unsupported {
        /// What it says.
        reason: String,
    },
    /// A blob is not what its descriptor says.
    #[error("the blob {digest} is damaged: {reason}")]
    Damaged {
        /// The digest that it should have.
        digest: String,
        /// What it is instead.
        reason: String,
    },
    /// It is for other machines.
    #[error("the image is for {found}, and machines here are linux/amd64")]
    Platform {
        /// What it is for, as far as it says so.
        found: String,
    },
    /// A layer cannot be unpacked.
    #[error("cannot unpack a layer")]
    Archive(#[from] ArchiveError),
    /// A layer has something that is refused.
    #[error("layer {number} of {count} cannot be used")]
    Layer {
        /// Counted from one.
        number: usize,
        /// How many there are.
        count: usize,
        /// Why.
        #[source]
        source: TarError,
    },
}

fn file(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OciError {
    move |source| OciError::File { operation, path: path.to_owned(), source }
}

/// A place of blobs.
trait Blobs {
    /// The descriptor of the index or manifest with which the image begins.
    fn first(&self) -> Result<First, OciError>;

    /// Writes a blob to a new file, at most `limit` bytes of it. Whoever calls this checks what it is.
    fn write(
        &self,
        descriptor: &Descriptor,
        to: &Path,
        limit: u64,
        report: Reporter<'_>,
    ) -> Result<(), OciError>;
}

/// With what an image begins.
#[derive(Debug)]
enum First {
    /// A descriptor of an index or a manifest.
    Descriptor(Descriptor),
    /// The document itself, which the place has checked already as far as that is possible.
    Document { media_type: MediaType, bytes: Vec<u8> },
    /// Places that know no manifests: configuration and layers.
    Parts { configuration: Vec<u8>, layers: Vec<Descriptor> },
}

/// The root file system of the image `origin`; what is downloaded and unpacked goes into `folder`.
pub(crate) fn root(
    origin: &OciOrigin,
    folder: &Path,
    limit: u64,
    report: Reporter<'_>,
) -> Result<Root, OciError> {
    match origin {
        OciOrigin::Registry { reference, credentials } => {
            report(Progress::Stage("asking the registry"));
            let registry = registry::Registry::new(reference.clone(), credentials.clone());
            read(&registry, folder, limit, report)
        }
        OciOrigin::Path(path) => {
            report(Progress::Stage("reading the container image"));
            read(layout::open(path, folder, limit)?.as_ref(), folder, limit, report)
        }
    }
}

fn read(blobs: &dyn Blobs, folder: &Path, limit: u64, report: Reporter<'_>) -> Result<Root, OciError> {
    let (configuration, layers) = parts(blobs, folder, report)?;
    let configuration: Configuration = document("configuration", &configuration)?;
    if (configuration.os.as_str(), configuration.architecture.as_str()) != ("linux", "amd64") {
        let found = format!("{}/{}", configuration.os, configuration.architecture);
        return Err(OciError::Platform { found });
    }
    let unpacked = &configuration.rootfs.diff_ids;
    if layers.len() != unpacked.len() {
        let reason =
            format!("it has {} layers, and its configuration knows {}", layers.len(), unpacked.len());
        return Err(OciError::Unsupported { reason });
    }
    let mut tree = Tree::new();
    let mut left = limit;
    for (at, (layer, unpacked)) in layers.iter().zip(unpacked).enumerate() {
        let count = layers.len();
        report(Progress::Stage(&format!("layer {} of {count}", at + 1)));
        let file = unpack(blobs, layer, unpacked, at, folder, left, report)?;
        left = left.saturating_sub(file.metadata().map_or(0, |metadata| metadata.len()));
        if at > 0 {
            tree.next_layer();
        }
        tarball::read_into(&mut tree, file, Whiteouts::Apply).map_err(|source| OciError::Layer {
            number: at + 1,
            count,
            source,
        })?;
    }
    Ok(configuration.config.unwrap_or_default().into_root(tree))
}

/// The configuration's bytes and the layers of the image for this architecture.
fn parts(
    blobs: &dyn Blobs,
    folder: &Path,
    report: Reporter<'_>,
) -> Result<(Vec<u8>, Vec<Descriptor>), OciError> {
    let (mut media_type, mut bytes) = match blobs.first()? {
        First::Descriptor(descriptor) => {
            let bytes = small(blobs, &descriptor, folder, report)?;
            (descriptor.media_type, bytes)
        }
        First::Document { media_type, bytes } => (media_type, bytes),
        First::Parts { configuration, layers } => return Ok((configuration, layers)),
    };
    for _ in 0..MAX_INDEXES {
        if !media_type.is_index() {
            let manifest: Manifest = document("manifest", &bytes)?;
            if manifest.layers.len() > MAX_LAYERS {
                return Err(OciError::Unsupported {
                    reason: format!("it has more than {MAX_LAYERS} layers"),
                });
            }
            if let Some(layer) = manifest.layers.iter().find(|layer| !layer.media_type.is_layer()) {
                let reason = format!("a layer is of the type `{}`", layer.media_type);
                return Err(OciError::Unsupported { reason });
            }
            let configuration = small(blobs, &manifest.config, folder, report)?;
            return Ok((configuration, manifest.layers));
        }
        let index: Index = document("index", &bytes)?;
        let descriptor = index.for_this_machine()?;
        bytes = small(blobs, descriptor, folder, report)?;
        media_type = descriptor.media_type.clone();
    }
    Err(OciError::Unsupported {
        reason: format!("more than {MAX_INDEXES} indexes lead from one to the next"),
    })
}

fn document<'a, T: serde::Deserialize<'a>>(document: &'static str, bytes: &'a [u8]) -> Result<T, OciError> {
    serde_json::from_slice(bytes).map_err(|source| OciError::Document { document, source })
}

/// A blob that is a document.
fn small(
    blobs: &dyn Blobs,
    descriptor: &Descriptor,
    folder: &Path,
    report: Reporter<'_>,
) -> Result<Vec<u8>, OciError> {
    let path = folder.join("document");
    fetch(blobs, descriptor, &path, MAX_DOCUMENT, report)?;
    std::fs::read(&path).map_err(file("read", &path))
}

/// Writes a blob to a file and checks that it is the right one.
fn fetch(
    blobs: &dyn Blobs,
    descriptor: &Descriptor,
    to: &Path,
    limit: u64,
    report: Reporter<'_>,
) -> Result<(), OciError> {
    let damaged = |reason: String| OciError::Damaged { digest: descriptor.digest.clone(), reason };
    let expected = descriptor.sha256()?;
    if descriptor.size > limit {
        return Err(OciError::Unsupported {
            reason: format!("a blob has {} bytes, and {limit} are allowed", descriptor.size),
        });
    }
    blobs.write(descriptor, to, descriptor.size.saturating_add(1), report)?;
    let (digest, size) = Digest::of_file(to).map_err(file("read", to))?;
    if size != descriptor.size {
        let found = if size > descriptor.size { "more".to_owned() } else { size.to_string() };
        return Err(damaged(format!("it has {found} of {} bytes", descriptor.size)));
    }
    if digest != expected {
        return Err(damaged(format!("its digest is sha256:{digest}")));
    }
    Ok(())
}

/// The file of an unpacked layer.
fn unpack(
    blobs: &dyn Blobs,
    layer: &Descriptor,
    unpacked: &str,
    number: usize,
    folder: &Path,
    limit: u64,
    report: Reporter<'_>,
) -> Result<File, OciError> {
    let path = folder.join(format!("layer-{number}"));
    fetch(blobs, layer, &path, limit, report)?;
    let file_of_layer = archive::plain(&path, folder, &format!("layer-{number}.tar"), limit)?;
    // The tree keeps the file that it needs open; one that was packed is not needed any more.
    let is_packed = folder.join(format!("layer-{number}.tar"));
    let plain = if is_packed.exists() { is_packed } else { path.clone() };
    let (digest, _) = Digest::of_file(&plain).map_err(file("read", &plain))?;
    if format!("sha256:{digest}") != unpacked {
        let reason = format!("unpacked, its digest is sha256:{digest}, and not {unpacked}");
        return Err(OciError::Damaged { digest: layer.digest.clone(), reason });
    }
    std::fs::remove_file(&path).map_err(file("remove", &path))?;
    Ok(file_of_layer)
}
