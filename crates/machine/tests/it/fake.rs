//! The fake Firecracker, started by its name in a folder of the test's own.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder with the fake under the names of the real programs.
#[derive(Debug)]
pub(crate) struct Fake(tempfile::TempDir);

impl Fake {
    /// Lines of a method, a path and what is to happen at that request.
    pub(crate) fn new(sabotage: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in ["firecracker", "jailer"] {
            symlink(env!("CARGO_BIN_EXE_fake-firecracker"), folder.path().join(name)).expect("a link");
        }
        symlink(env!("CARGO_BIN_EXE_machine-agent"), folder.path().join("machine-agent")).expect("a link");
        fs::write(folder.path().join("sabotage"), sabotage).expect("a file");
        Self(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn firecracker(&self) -> PathBuf {
        self.path().join("firecracker")
    }
}

/// Whether the fake's guest can run here, which takes bubblewrap; says so where it cannot.
pub(crate) fn can_run() -> bool {
    crate::fixture::namespace().is_some()
}

/// Makes a small disk with a file system.
pub(crate) fn empty_disk(path: &Path) {
    fs::File::create(path).and_then(|file| file.set_len(1 << 20)).expect("a file");
    let made = Command::new("/usr/sbin/mke2fs")
        .args(["-q", "-F", "-t", "ext4", "-O", "^has_journal"])
        .arg(path)
        .status();
    assert!(made.expect("e2fsprogs is installed").success());
}
