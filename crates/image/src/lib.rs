//! Images of virtual machines: what they are, how they are built without root, and where they are kept.
//!
//! An image is a folder with a kernel, its modules, a read-only root file system and a manifest that describes them.
//! The folder's name is the digest of the manifest, and the manifest has the digests of the files: an image cannot
//! change, and the same input makes the same image.
//!
//! * [`Store`] keeps images and their names; [`Image`] is one of them, ready to boot; [`Manifest`] is its description.
//! * [`Recipe`] says what an image is made from; `source` has one module for each kind of origin.
//! * [`tree`] is a file system in memory, with the contents in files outside. Every origin becomes one, and [`ext4`]
//!   writes one to a disk image. Nothing is unpacked on the host, so a hostile archive has nothing to escape to.
//! * `kernel`, `modules` and `cpio` make what a machine boots from; [`AGENT`] is what runs first in it.
//!
//! Invariants: the crate prints nothing and reads no environment; a folder in the store is complete or absent; what is
//! not finished lives in a folder that `Store::prune` recognises and removes.

mod builder;
mod cpio;
mod digest;
pub mod ext4;
mod finish;
mod image;
mod kernel;
mod lock;
mod manifest;
mod modules;
mod names;
mod program;
mod progress;
mod recipe;
mod source;
mod store;
pub mod tarball;
pub mod tree;

pub use builder::BuildError;
pub use digest::{Digest, NoDigest};
pub use finish::FinishError;
pub use image::{Image, ImageError};
pub use kernel::KernelError;
pub use manifest::{FileSummary, MANIFEST_FORMAT, Manifest, Tool, User};
pub use modules::ModulesError;
pub use names::NameError;
pub use program::ProgramError;
pub use progress::{Progress, Reporter};
pub use recipe::{DebianPackages, KernelOrigin, Recipe, RootOrigin};
pub use source::archive::ArchiveError;
pub use source::containerfile::{ContainerfileError, SandboxError, StepError};
pub use source::debian::DebianError;
pub use source::folder::FolderError;
pub use source::kernel::KernelSourceError;
pub use source::node::NodeError;
pub use source::oci::{Credentials, OciError, OciOrigin, OciReference, ReferenceError, RegistryError};
pub use store::{Listed, Pruned, Store, StoreError};

/// The guest agent, a static program for the architecture that this crate is built for.
pub const AGENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/agent"));
