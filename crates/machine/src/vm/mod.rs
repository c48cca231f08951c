//! What virtual machines have in common, whoever runs them.
//!
//! A machine is made of an [`Image`] and has two disks: `vda`, the image's root, read-only and shared by all; `vdb`, its own
//! ([`disk`]), which lies above the first. Its first process is the guest agent ([`guest::init`]). Through it the machine is told
//! who it is and is given its files ([`arrival`]), after each boot and each restore.
//!
//! * [`process`]: the program that runs the machine, its descriptors, its rights and its end. [`cage`]: the namespaces of one that
//!   changes its user by itself.
//! * [`tail`]: what the console and that program say, as far as it is kept. [`crash`]: what that tells about a death, and [`autopsy`]: who
//!   asks.
//! * [`snapshot`]: what a snapshot's folder holds, and whether it can be used.
//! * [`network`]: what connects the machine.
//!
//! Invariants: no length, path or number that comes from inside is believed; what is kept of a machine's words is bounded; no file
//! of an image or a snapshot is ever written to; a machine's files belong to a user of its own where this process may give
//! them away.

pub(crate) mod arrival;
pub(crate) mod autopsy;
pub(crate) mod cage;
pub(crate) mod crash;
pub mod disk;
pub(crate) mod network;
pub(crate) mod process;
pub mod snapshot;
pub(crate) mod tail;

use std::path::PathBuf;

pub use guest::protocol::User;

use crate::scratch::Layout;
use crate::spec::Size;

/// What a virtual machine gets where nobody says how large it is to be.
pub const DEFAULT_SIZE: Size = Size { vcpus: 1, memory_mib: 1024 };

/// The largest a virtual machine may be.
pub const MAX_SIZE: Size = Size { vcpus: 64, memory_mib: 512 * 1024 };

/// The least memory that the kernel and the agent run in, in MiB.
pub const MIN_MEMORY_MIB: u32 = 128;

/// What virtual machines are made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Names its content; a snapshot goes only with the image that it was made of.
    pub digest: String,
    /// The kernel, as an ELF file.
    pub kernel: PathBuf,
    /// The agent and the kernel's modules, as a cpio archive.
    pub initramfs: PathBuf,
    /// The root file system, ext4; never written to.
    pub root: PathBuf,
    /// Who runs the steps.
    pub user: User,
    /// What processes start from; `PATH` above all.
    pub environment: Vec<(String, String)>,
}

/// A virtual machine's private folder begins empty and is never used again.
pub(crate) const LAYOUT: Layout = Layout { name: "vm-1", folders: &[] };

/// A size that a virtual machine can have: `size`, or the default, within the limits.
pub(crate) fn bounded(size: Option<Size>) -> Size {
    let size = size.unwrap_or(DEFAULT_SIZE);
    Size {
        vcpus: size.vcpus.clamp(1, MAX_SIZE.vcpus),
        memory_mib: size.memory_mib.clamp(MIN_MEMORY_MIB, MAX_SIZE.memory_mib),
    }
}
