//! The fake Firecracker, started by its name in a folder of the test's own, and what its machines are made from.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use futures_util::future::BoxFuture;
use machine::firecracker::api::Deadlines;
use machine::firecracker::{Confinement, Firecracker, Program};
use machine::vm::{Image, User};
use machine::{Backend, BackendName, BootError, Booted, MachineSpec, Network};

/// A folder with the fake under the names of the real programs.
#[derive(Debug)]
pub(crate) struct Fake(tempfile::TempDir);

impl Fake {
    /// Lines of a method, a path and what is to happen at that request.
    pub(crate) fn new(sabotage: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        link_programs(folder.path());
        let fake = Self(folder);
        fake.sabotage(sabotage);
        fake
    }

    pub(crate) fn sabotage(&self, lines: &str) {
        fs::write(self.path().join("sabotage"), lines).expect("a file");
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn firecracker(&self) -> PathBuf {
        self.path().join("firecracker")
    }

    /// The backend with this fake, jailed or not.
    pub(crate) fn backend(&self, is_jailed: bool) -> Firecracker {
        backend(self.path(), is_jailed)
    }
}

/// The backend for specifications that want a network, which its machines have not.
#[derive(Debug)]
pub(crate) struct WithoutNetwork(Firecracker);

impl Backend for WithoutNetwork {
    fn name(&self) -> BackendName {
        self.0.name()
    }

    fn boot<'a>(&'a self, spec: &'a MachineSpec) -> BoxFuture<'a, Result<Box<dyn Booted>, BootError>> {
        let spec = MachineSpec { network: Network::None, ..spec.clone() };
        Box::pin(async move { self.0.boot(&spec).await })
    }
}

/// The backend with a fake that does all as it should, not jailed, where it can run.
pub(crate) fn sound_backend() -> Option<WithoutNetwork> {
    static BACKEND: OnceLock<Firecracker> = OnceLock::new();
    let made = || {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("firecracker");
        fs::create_dir_all(&folder).expect("a folder for tests");
        link_programs(&folder);
        backend(&folder, false)
    };
    can_run().then(|| WithoutNetwork(BACKEND.get_or_init(made).clone()))
}

fn backend(folder: &Path, is_jailed: bool) -> Firecracker {
    let program = Program::at(folder.join("firecracker")).expect("the fake says its version");
    let confinement = if is_jailed { Confinement::Jailer(folder.join("jailer")) } else { Confinement::User };
    let deadlines = Deadlines { short: Duration::from_secs(10), long: Duration::from_secs(60) };
    Firecracker::new(program, confinement, image(folder)).with_deadlines(deadlines, Duration::from_secs(60))
}

/// What the fake takes for an image: its guest has the host's files.
fn image(folder: &Path) -> Image {
    let (kernel, initramfs, root) =
        (folder.join("vmlinux"), folder.join("initramfs"), folder.join("root.ext4"));
    fs::write(&kernel, b"\x7fELF kernel").expect("a file");
    fs::write(&initramfs, "").expect("a file");
    if !root.exists() {
        let unfinished = folder.join(format!("root-{}.new", std::process::id()));
        empty_disk(&unfinished);
        fs::rename(unfinished, &root).expect("a file");
    }
    let user = User { name: "root".to_owned(), uid: 0, gid: 0, home: "/home/runner".to_owned() };
    let environment = vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())];
    Image { digest: "fake".to_owned(), kernel, initramfs, root, user, environment }
}

fn link_programs(folder: &Path) {
    let fake = env!("CARGO_BIN_EXE_fake-firecracker");
    let agent = env!("CARGO_BIN_EXE_machine-agent");
    for (name, program) in [("firecracker", fake), ("jailer", fake), ("machine-agent", agent)] {
        match symlink(program, folder.join(name)) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => panic!("a link: {error}"),
            _ => {}
        }
    }
}

/// Whether the fake's guest can run here, which takes bubblewrap; says so where it cannot.
pub(crate) fn can_run() -> bool {
    crate::fixture::namespace().is_some()
}

/// Whether jails can be made here, which takes root; says so where they cannot.
#[expect(clippy::print_stderr, reason = "a test that is skipped must be seen to be")]
pub(crate) fn can_jail() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("skipped: only root can make jails");
    }
    is_root && can_run()
}

/// Makes a small disk with a file system.
pub(crate) fn empty_disk(path: &Path) {
    fs::File::create(path).and_then(|file| file.set_len(1 << 20)).expect("a file");
    let mut command = Command::new("/usr/sbin/mke2fs");
    let made = command.args(["-q", "-F", "-t", "ext4", "-O", "^has_journal"]).arg(path).status();
    assert!(made.expect("e2fsprogs is installed").success());
}
