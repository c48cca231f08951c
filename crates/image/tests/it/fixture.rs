//! A store in a folder of its own, and small inputs for images: a kernel that is one by its header only, and roots.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use image::{BuildError, Image, KernelOrigin, Recipe, RootOrigin, Store};
use tempfile::TempDir;

/// An entry of a root: a path, and what is there.
#[derive(Clone, Debug)]
pub(crate) enum Entry<'a> {
    Folder(&'a str),
    File(&'a str, &'a str),
    Link(&'a str, &'a str),
    HardLink(&'a str, &'a str),
    Device(&'a str),
}

/// What every usable root has.
pub(crate) const SHELL: &[Entry<'static>] = &[Entry::Folder("bin"), Entry::File("bin/sh", "#!shell")];

pub(crate) struct Place {
    folder: TempDir,
    pub(crate) store: Store,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        write_kernel(folder.path());
        let store = Store::open(&folder.path().join("images")).unwrap();
        Self { folder, store }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn images(&self) -> PathBuf {
        self.path().join("images")
    }

    /// A recipe with the small kernel.
    pub(crate) fn recipe(&self, root: RootOrigin) -> Recipe {
        let kernel = self.path().join("vmlinux");
        let modules = self.path().join("6.1.0-test");
        Recipe { kernel: KernelOrigin::Files { kernel, modules }, ..Recipe::new(root) }
    }

    /// An archive of these entries.
    pub(crate) fn tar(&self, entries: &[Entry<'_>]) -> PathBuf {
        let path = self.path().join("root.tar");
        fs::write(&path, tar(entries)).unwrap();
        path
    }

    pub(crate) fn build(&self, name: &str, entries: &[Entry<'_>]) -> Result<Image, BuildError> {
        let recipe = self.recipe(RootOrigin::Tar(self.tar(entries)));
        self.store.build(name, &recipe, &|_| ())
    }
}

/// A kernel for this processor and the modules that every machine needs.
pub(crate) fn write_kernel(folder: &Path) {
    let mut kernel = vec![0; 4096];
    kernel[..6].copy_from_slice(b"\x7fELF\x02\x01");
    kernel[18] = if cfg!(target_arch = "x86_64") { 62 } else { 183 };
    fs::write(folder.join("vmlinux"), kernel).unwrap();
    let modules = folder.join("6.1.0-test");
    fs::create_dir_all(&modules).unwrap();
    fs::write(modules.join("virtio_blk.ko"), "\x7fELF\0depends=\0").unwrap();
    let builtin = "kernel/overlay.ko\nkernel/ext4.ko\nkernel/virtio_console.ko\n";
    fs::write(modules.join("modules.builtin"), builtin).unwrap();
}

pub(crate) fn tar(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for entry in entries {
        let (path, kind, target, content) = match entry {
            Entry::Folder(path) => (path, tar::EntryType::Directory, "", ""),
            Entry::File(path, content) => (path, tar::EntryType::Regular, "", *content),
            Entry::Link(path, target) => (path, tar::EntryType::Symlink, *target, ""),
            Entry::HardLink(path, target) => (path, tar::EntryType::Link, *target, ""),
            Entry::Device(path) => (path, tar::EntryType::Char, "", ""),
        };
        let mut header = tar::Header::new_gnu();
        // By hand: the library makes no archive that leads out of its folder.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000_000);
        header.set_size(content.len() as u64);
        if kind == tar::EntryType::Char {
            header.set_device_major(1).unwrap();
            header.set_device_minor(3).unwrap();
        }
        header.set_cksum();
        builder.append(&header, content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

/// A program of e2fsprogs, which is often not on `PATH` of others than root.
pub(crate) fn program(name: &str) -> PathBuf {
    let folders = ["/usr/sbin", "/sbin", "/usr/bin"].map(|folder| Path::new(folder).join(name));
    folders.into_iter().find(|path| path.exists()).unwrap_or_else(|| PathBuf::from(name))
}

/// Whether e2fsprogs is there; a test that needs it says so and ends where it is not.
pub(crate) fn has_e2fsprogs() -> bool {
    let is_there =
        ["e2fsck", "debugfs"].iter().all(|name| Command::new(program(name)).arg("-V").output().is_ok());
    if !is_there {
        println!("skipped: e2fsck and debugfs (e2fsprogs)");
    }
    is_there
}

/// An error with its causes on one line.
pub(crate) fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}
