//! Why a checkpoint was not kept, found or restored.

use std::io;
use std::path::PathBuf;

/// What went wrong with checkpoints.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// A file or folder cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file or folder cannot be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The files do not fit in what checkpoints may take together.
    #[error("checkpoints may take {budget} bytes together, and this one does not fit")]
    Budget {
        /// What they may take.
        budget: u64,
    },
    /// The disk is nearly full.
    #[error("the disk of `{}` has only {free} bytes left", path.display())]
    NoSpace {
        /// The folder of checkpoints.
        path: PathBuf,
        /// What is left for users.
        free: u64,
    },
    /// There are too many files, or they are nested too deep.
    #[error("`{}` has {what}", path.display())]
    TooMany {
        /// The folder.
        path: PathBuf,
        /// Of what it has too many.
        what: &'static str,
    },
    /// Somebody put something else where a folder of the machine was.
    #[error("`{}` is not a folder any more", .0.display())]
    NotAFolder(PathBuf),
    /// There is no such checkpoint.
    #[error("the checkpoint `{0}` is not there any more")]
    Unknown(String),
    /// What is there is not what was kept.
    #[error("the checkpoint is damaged: {what}")]
    Damaged {
        /// What is wrong.
        what: String,
    },
}

impl VaultError {
    pub(crate) fn read(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Read { path, source }
    }

    pub(crate) fn write(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Write { path, source }
    }

    pub(crate) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged { what: what.into() }
    }
}
