//! What an image is made from.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::source::oci::OciOrigin;

/// All that decides what an image becomes. Two builds of one recipe from the same input make the same image.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Where the root file system comes from.
    pub root: RootOrigin,
    /// Where the kernel comes from.
    pub kernel: KernelOrigin,
    /// Files that are newer than this get this time, in seconds since 1970.
    pub epoch: i64,
    /// How large the root file system may become, in bytes.
    pub max_root: u64,
}

impl Recipe {
    /// The time that no file in an image is newer than, when nothing else is said: the begin of 2026.
    pub const DEFAULT_EPOCH: i64 = 1_767_225_600;
    /// How large a root file system may become when nothing else is said, in bytes: 16 GiB.
    pub const DEFAULT_MAX_ROOT: u64 = 16 << 30;

    /// With Debian's kernel, and defaults.
    pub fn new(root: RootOrigin) -> Self {
        let kernel = KernelOrigin::Debian;
        Self { root, kernel, epoch: Self::DEFAULT_EPOCH, max_root: Self::DEFAULT_MAX_ROOT }
    }
}

/// Where a root file system comes from.
#[derive(Clone, Debug)]
pub enum RootOrigin {
    /// Packages of Debian, from the mirror that `mmdebstrap` knows.
    Debian {
        /// The release's name, such as `bookworm`.
        suite: String,
        /// Which packages.
        packages: DebianPackages,
        /// More of them.
        more: Vec<String>,
    },
    /// A folder that has a root file system in it.
    Folder(PathBuf),
    /// A tar archive of a root file system.
    Tar(PathBuf),
    /// A container image.
    Oci(OciOrigin),
    /// What a containerfile says. What it copies is in its own folder.
    Containerfile {
        /// The containerfile.
        path: PathBuf,
        /// Values for its `ARG`.
        arguments: BTreeMap<String, String>,
    },
}

/// A choice of Debian packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DebianPackages {
    /// What jobs on GitHub's machines expect to find: compilers, Python, Node.js and many tools.
    Ci,
    /// A shell, coreutils, git and certificates.
    Minimal,
    /// A shell and what Debian cannot be without.
    Base,
}

/// Where a kernel comes from.
#[derive(Clone, Debug)]
pub enum KernelOrigin {
    /// Debian's kernel for machines in a cloud, fetched with `apt-get`.
    Debian,
    /// Files that are already here.
    Files {
        /// A `vmlinux` (ELF) or `vmlinuz` (bzImage).
        kernel: PathBuf,
        /// The kernel's `lib/modules/RELEASE`, a folder whose name is the release.
        modules: PathBuf,
    },
}
