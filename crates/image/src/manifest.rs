//! The manifest of an image: what it is made of and what it holds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// The version of the manifest's format that this program writes and reads.
pub const MANIFEST_FORMAT: u32 = 1;

/// The longest manifest that is read, in bytes. One of a thousand tools has a tenth of it.
pub(crate) const MAX_MANIFEST: u64 = 1 << 20;

/// What an image is. The image's digest is that of this text, so there is nothing in it that differs between two
/// builds of the same input: no time, no path of the builder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`MANIFEST_FORMAT`].
    pub format: u32,
    /// The processor it is for, as Rust and the kernel name it: `x86_64`.
    pub architecture: String,
    /// What the root file system was made from: `debian bookworm`, `oci ghcr.io/x/y@sha256:…`, `dir`.
    pub origin: String,
    /// The kernel's release, such as `6.1.0-56-cloud-amd64`.
    pub kernel_release: String,
    /// Whom processes run as when nothing else is asked.
    pub user: User,
    /// The environment that processes start from.
    pub environment: BTreeMap<String, String>,
    /// Where processes start when nothing else is asked, an absolute path.
    pub working_directory: String,
    /// Free text about the image, from its builder: OCI labels.
    pub labels: BTreeMap<String, String>,
    /// The programs that people look for, with their versions.
    pub tools: Vec<Tool>,
    /// `vmlinux`: an ELF file that boots by PVH in QEMU, and in Firecracker.
    pub kernel: FileSummary,
    /// `modules.cpio`: `/modules/NAME.ko` and `/modules/order`, in the newc format, not compressed.
    pub modules: FileSummary,
    /// `root.ext4`: the root file system, never written to.
    pub root: FileSummary,
}

/// A user of the image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The name in the image's `/etc/passwd`.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// The number of its first group.
    pub gid: u32,
    /// Its home folder, an absolute path.
    pub home: String,
}

/// A program in an image.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// Its name, or that of its package.
    pub name: String,
    /// Its version, as its origin writes it.
    pub version: String,
}

/// The size and digest of one file of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSummary {
    /// In bytes.
    pub size: u64,
    /// Of its content.
    pub sha256: Digest,
}

impl Manifest {
    /// The text on disk, whose digest names the image.
    pub(crate) fn text(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self).expect("a manifest has only names as keys");
        text.push(b'\n');
        text
    }

    /// The name of the image that this describes.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.text())
    }

    /// The size of all its files, in bytes.
    pub fn size(&self) -> u64 {
        self.kernel.size + self.modules.size + self.root.size
    }
}
