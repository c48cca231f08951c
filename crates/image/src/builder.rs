//! Builds an image: gets the kernel and the root file system, writes the four files, puts them into the store.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::digest::{Digest, Hashing};
use crate::ext4::{self, Ext4Error};
use crate::finish::{FinishError, finish};
use crate::image::{Image, KERNEL_FILE, MANIFEST_FILE, MODULES_FILE, ROOT_FILE};
use crate::manifest::{FileSummary, MANIFEST_FORMAT, Manifest};
use crate::progress::{Progress, Reporter};
use crate::recipe::{Recipe, RootOrigin};
use crate::source::Root;
use crate::source::archive::{self, ArchiveError};
use crate::source::containerfile::{self, ContainerfileError};
use crate::source::debian::{self, DebianError};
use crate::source::folder::{self, FolderError};
use crate::source::kernel::{Kernel, KernelSourceError, kernel};
use crate::source::oci::{self, OciError};
use crate::store::{Store, StoreError};
use crate::tree::Tree;

/// Why there is no image in the end.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The store cannot take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no kernel.
    #[error(transparent)]
    Kernel(#[from] KernelSourceError),
    /// There is no root file system from Debian.
    #[error(transparent)]
    Debian(#[from] DebianError),
    /// There is none from an archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// There is none from a container image.
    #[error(transparent)]
    Oci(#[from] OciError),
    /// There is none from a containerfile.
    #[error("cannot do what `{path}` says")]
    Containerfile {
        /// The containerfile.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<ContainerfileError>,
    },
    /// There is none from a folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The root file system cannot become an image.
    #[error(transparent)]
    Finish(#[from] FinishError),
    /// The root file system cannot be written.
    #[error("cannot write `{path}`")]
    Ext4 {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Ext4Error,
    },
    /// A file of the image cannot be written.
    #[error("cannot write `{path}`")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is larger than the recipe allows.
    #[error(
        "the root file system has {size} bytes, and {limit} are allowed; a larger limit is given with `--max-size`"
    )]
    TooLarge {
        /// What it has.
        size: u64,
        /// What it may have.
        limit: u64,
    },
}

impl Store {
    /// Builds an image and gives it a name, which another image may have had. Builds of one name wait for each other.
    pub fn build(&self, name: &str, recipe: &Recipe, report: Reporter<'_>) -> Result<Image, BuildError> {
        let waiting = || report(Progress::Stage("waiting for another build of this name"));
        let _lock = self.lock_name(name, waiting)?;
        self.remove_unfinished()?;
        let unfinished = self.begin()?;
        let work = unfinished.path().join("work");
        let folder = unfinished.path().join("image");
        for folder in [&work, &folder] {
            fs::create_dir(folder).map_err(|source| BuildError::Write { path: folder.clone(), source })?;
        }
        let kernel = kernel(&recipe.kernel, &work, report)?;
        let mut root = root(recipe, &work, report)?;
        let manifest = write_image(&folder, kernel, &mut root, recipe, report)?;
        drop(root);
        Ok(self.install(&folder, manifest.digest(), name)?)
    }
}

fn root(recipe: &Recipe, work: &Path, report: Reporter<'_>) -> Result<Root, BuildError> {
    Ok(match &recipe.root {
        RootOrigin::Debian { suite, packages, more } => {
            debian::root(suite, *packages, more, recipe.epoch, work, report)?
        }
        RootOrigin::Tar(path) => {
            report(Progress::Stage("reading the archive"));
            archive::root(path, work, recipe.max_root)?
        }
        RootOrigin::Oci(origin) => oci::root(origin, work, recipe.max_root, report)?,
        RootOrigin::Containerfile { path, arguments } => {
            containerfile::root(path, arguments, work, recipe.epoch, recipe.max_root, report).map_err(
                |source| BuildError::Containerfile { path: path.clone(), source: Box::new(source) },
            )?
        }
        RootOrigin::Folder(path) => {
            report(Progress::Stage("reading the folder"));
            folder::root(path, work)?
        }
    })
}

fn write_image(
    folder: &Path,
    kernel: Kernel,
    root: &mut Root,
    recipe: &Recipe,
    report: Reporter<'_>,
) -> Result<Manifest, BuildError> {
    let finished = finish(root, recipe.epoch)?;
    let kernel_summary = write_file(&folder.join(KERNEL_FILE), &kernel.vmlinux)?;
    let path = folder.join(MODULES_FILE);
    let modules =
        kernel.modules.archive().map_err(|source| BuildError::Write { path: path.clone(), source })?;
    let modules_summary = write_file(&path, &modules)?;
    report(Progress::Stage("writing the root file system"));
    let root_summary = write_root(&folder.join(ROOT_FILE), &root.tree, recipe.max_root, report)?;
    let manifest = Manifest {
        format: MANIFEST_FORMAT,
        architecture: std::env::consts::ARCH.to_owned(),
        origin: root.origin.clone(),
        kernel_release: kernel.release,
        user: finished.user,
        environment: finished.environment,
        working_directory: finished.working_directory,
        labels: root.labels.clone(),
        tools: finished.tools,
        kernel: kernel_summary,
        modules: modules_summary,
        root: root_summary,
    };
    write_file(&folder.join(MANIFEST_FILE), &manifest.text())?;
    Ok(manifest)
}

fn write_file(path: &Path, content: &[u8]) -> Result<FileSummary, BuildError> {
    let write = || -> io::Result<()> {
        let mut file = File::create(path)?;
        file.write_all(content)?;
        file.sync_all()
    };
    write().map_err(|source| BuildError::Write { path: path.to_owned(), source })?;
    Ok(FileSummary { size: content.len() as u64, sha256: Digest::of(content) })
}

fn write_root(path: &Path, tree: &Tree, limit: u64, report: Reporter<'_>) -> Result<FileSummary, BuildError> {
    let failed = |source| BuildError::Ext4 { path: path.to_owned(), source };
    let total = ext4::size(tree).map_err(failed)?;
    if total > limit {
        return Err(BuildError::TooLarge { size: total, limit });
    }
    let file = File::create(path).map_err(|source| BuildError::Write { path: path.to_owned(), source })?;
    let mut to = Hashing::new(BufWriter::with_capacity(1 << 20, file));
    ext4::write(tree, &mut to, &mut |done| report(Progress::Bytes { done, total })).map_err(failed)?;
    let (sha256, size, to) = to.finish();
    let synced = to.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| file.sync_all());
    synced.map_err(|source| BuildError::Write { path: path.to_owned(), source })?;
    Ok(FileSummary { size, sha256 })
}
