//! What this host can do, found out by trying it.

use std::any::Any;
use std::fmt;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::backend::Backend;
use crate::firecracker::choice::{self, Jail};
use crate::host::Host;
use crate::kvm::{self, Kvm};
use crate::namespace::Namespace;
use crate::qemu::{Accelerator, Program, Qemu};
use crate::vm::Image;

/// What to install for the namespace backend.
const INSTALL_BUBBLEWRAP: &str = "install bubblewrap (`apt install bubblewrap`, `dnf install bubblewrap`)";

/// What to install for virtual machines.
const INSTALL_QEMU: &str =
    "install QEMU 8.2 or later (`apt install qemu-system-x86`; on Debian 12 from bookworm-backports)";

/// Switches that forbid user namespaces, with the value that does, and what to do about each.
const SWITCHES: [(&str, &str, &str); 3] = [
    (
        "/proc/sys/kernel/unprivileged_userns_clone",
        "0",
        "run `sysctl kernel.unprivileged_userns_clone=1` as root",
    ),
    ("/proc/sys/user/max_user_namespaces", "0", "run `sysctl user.max_user_namespaces=15000` as root"),
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "allow bwrap in an AppArmor profile, or run `sysctl kernel.apparmor_restrict_unprivileged_userns=0` as root",
    ),
];

/// Programs that steps use as shells, with the argument that makes each say its version.
const SHELLS: [(&str, &str); 5] = [
    ("bash", "--version"),
    ("sh", ""),
    ("python3", "--version"),
    ("pwsh", "--version"),
    ("node", "--version"),
];

/// One thing about this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capability {
    /// What it is about, such as `namespace machines` or `bash`.
    pub name: String,
    /// Whether it is there.
    pub state: State,
}

/// Whether something is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It is, with its version or place.
    Available(String),
    /// It is not.
    Missing {
        /// Why.
        reason: String,
        /// What to install or change, if anything helps.
        remedy: Option<String>,
    },
}

/// Which backend to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Choice {
    /// The strongest isolation that works; never none.
    #[default]
    Auto,
    /// Namespaces or nothing.
    Namespace,
    /// MicroVMs by Firecracker or nothing; for root behind its jailer.
    Firecracker,
    /// MicroVMs by Firecracker or nothing, without its jailer.
    FirecrackerUnjailed,
    /// Virtual machines by QEMU or nothing; without KVM by translation.
    Qemu,
    /// No isolation.
    Host,
}

/// What machines are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Which backend.
    pub choice: Choice,
    /// Whether they are to reach anything.
    pub has_network: bool,
}

/// The image that virtual machines are to be made of.
#[derive(Debug, Clone)]
pub struct FoundImage {
    /// The image.
    pub image: Image,
    /// What keeps its files where they are.
    pub held: Arc<dyn Any + Send + Sync>,
}

/// A backend that works here, and why it was taken.
#[derive(Debug)]
pub struct Selection {
    /// The backend.
    pub backend: Box<dyn Backend>,
    /// For a person, in a few words.
    pub reason: String,
}

/// No backend that was allowed works here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no isolated machine works on this host: {reason}")]
pub struct NoBackend {
    /// What failed.
    pub reason: String,
    /// What to install or change.
    pub remedy: Option<String>,
}

impl fmt::Display for Capability {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.state {
            State::Available(detail) => write!(formatter, "{}: {detail}", self.name),
            State::Missing { reason, remedy: None } => write!(formatter, "{}: no ({reason})", self.name),
            State::Missing { reason, remedy: Some(remedy) } => {
                write!(formatter, "{}: no ({reason}); {remedy}", self.name)
            }
        }
    }
}

/// The backend to use, looked for with the programs on `path` and for virtual machines the image that `find_image` finds. Makes no machine
/// for a trial unless a switch of the kernel speaks against it: a machine that cannot be made says so itself, and a trial would
/// cost as much as a machine.
pub fn select(
    Wanted { choice, has_network }: Wanted,
    path: &[PathBuf],
    find_image: &dyn Fn() -> Result<FoundImage, NoBackend>,
) -> Result<Selection, NoBackend> {
    match choice {
        Choice::Host => Ok(Selection {
            backend: Box::new(Host),
            reason: "asked for; steps run without isolation".to_owned(),
        }),
        Choice::Qemu => asked_qemu(path, find_image),
        Choice::Firecracker => choice::asked(Jail::AsUsual, path, find_image),
        Choice::FirecrackerUnjailed => choice::asked(Jail::Never, path, find_image),
        Choice::Auto => {
            // Its machines have no network device.
            let firecracker = (!has_network).then(|| choice::usual(path, find_image)).flatten();
            let backend: Box<dyn Backend> = match firecracker {
                Some(firecracker) => Box::new(firecracker),
                None => match fast_qemu(path, find_image) {
                    Some(qemu) => Box::new(qemu),
                    None => Box::new(expect_namespace(path)?),
                },
            };
            Ok(Selection { backend, reason: "the strongest isolation that works here".to_owned() })
        }
        Choice::Namespace => {
            Ok(Selection { backend: Box::new(expect_namespace(path)?), reason: "asked for".to_owned() })
        }
    }
}

/// QEMU, where somebody asked for it: with KVM, or else by translation.
fn asked_qemu(
    path: &[PathBuf],
    find_image: &dyn Fn() -> Result<FoundImage, NoBackend>,
) -> Result<Selection, NoBackend> {
    let program = Program::find(path)
        .map_err(|error| NoBackend { reason: error.to_string(), remedy: Some(INSTALL_QEMU.to_owned()) })?;
    let FoundImage { image, held } = find_image()?;
    let (accelerator, how) = match kvm::probe() {
        Kvm::Fast { .. } => (Accelerator::Kvm, "with KVM".to_owned()),
        slow @ (Kvm::Slow { .. } | Kvm::Missing { .. }) => {
            (Accelerator::Tcg, format!("by translation, several times slower than this host; {slow}"))
        }
    };
    let reason = format!("asked for; QEMU {} {how}", program.version());
    let qemu = Qemu::new(program, accelerator, image).holding(held);
    Ok(Selection { backend: Box::new(qemu), reason })
}

/// QEMU with KVM, where there is all that it needs. What is found out quickest is looked for first.
fn fast_qemu(path: &[PathBuf], find_image: &dyn Fn() -> Result<FoundImage, NoBackend>) -> Option<Qemu> {
    if !Path::new("/dev/kvm").exists() {
        return None;
    }
    let FoundImage { image, held } = find_image().ok()?;
    // Where KVM is slow, as on most hosts that are virtual themselves, no program is started to find out.
    let Kvm::Fast { .. } = kvm::probe() else { return None };
    let program = Program::find(path).ok()?;
    Some(Qemu::new(program, Accelerator::Kvm, image).holding(held))
}

/// The namespace backend, if nothing speaks against it.
fn expect_namespace(path: &[PathBuf]) -> Result<Namespace, NoBackend> {
    match remedy() {
        None => find_namespace(path),
        // The switch may not be meant for this caller or for this program.
        Some(_) => try_namespace(path),
    }
}

fn find_namespace(path: &[PathBuf]) -> Result<Namespace, NoBackend> {
    Namespace::find(path).ok_or_else(|| NoBackend {
        reason: "there is no `bwrap` on PATH".to_owned(),
        remedy: Some(INSTALL_BUBBLEWRAP.to_owned()),
    })
}

/// The namespace backend, once a sandbox has really been made. Blocks for some milliseconds.
pub fn try_namespace(path: &[PathBuf]) -> Result<Namespace, NoBackend> {
    let namespace = find_namespace(path)?;
    let mut command = Command::new(namespace.bubblewrap());
    command.args([
        "--unshare-user",
        "--unshare-pid",
        "--unshare-ipc",
        "--unshare-uts",
        "--ro-bind",
        "/",
        "/",
    ]);
    command.args(["--proc", "/proc", "--dev", "/dev", "true"]).env_clear().process_group(0);
    let reason = match command.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => return Ok(namespace),
        Ok(output) => match String::from_utf8_lossy(&output.stderr).trim() {
            "" => format!("`bwrap` ended with {}", output.status),
            complaint => complaint.to_owned(),
        },
        Err(error) => format!("`bwrap` does not start: {error}"),
    };
    Err(NoBackend { reason, remedy: remedy() })
}

/// What to do about a switch of the kernel that forbids user namespaces, if one does.
pub(crate) fn remedy() -> Option<String> {
    let is_set = |(file, value, _): &&(&str, &str, &str)| {
        fs::read_to_string(file).is_ok_and(|content| content.trim() == *value)
    };
    SWITCHES.iter().find(is_set).map(|(_, _, remedy)| (*remedy).to_owned())
}

/// What this host can do, for a person who asks. Starts a few short programs; blocks for some tens of milliseconds.
pub fn probe(path: &[PathBuf]) -> Vec<Capability> {
    let mut capabilities = vec![namespace(path)];
    let capability = |name: &str, state| Capability { name: name.to_owned(), state };
    let host = "always; without isolation, only when asked for by name".to_owned();
    capabilities.push(capability("host machines", State::Available(host)));
    capabilities.push(capability("Firecracker machines", choice::state(path)));
    capabilities.push(capability("QEMU machines", qemu(path)));
    capabilities.push(capability("KVM", fast_kvm()));
    let kernel = rustix::system::uname();
    let kernel = format!("{} {}", kernel.sysname().to_string_lossy(), kernel.release().to_string_lossy());
    capabilities.push(capability("kernel", State::Available(kernel)));
    capabilities.push(capability("control groups", control_groups()));
    let programs = SHELLS.iter().copied().chain([("git", "--version")]);
    let versions = std::thread::scope(|scope| {
        let asked: Vec<_> = programs
            .map(|(name, argument)| (name, scope.spawn(move || program(name, argument, path))))
            .collect();
        asked
            .into_iter()
            .map(|(name, state)| capability(name, state.join().expect("asking for a version does not panic")))
            .collect::<Vec<_>>()
    });
    capabilities.extend(versions);
    capabilities.push(capability("containers", containers(path)));
    capabilities
}

fn namespace(path: &[PathBuf]) -> Capability {
    let state = match try_namespace(path) {
        Ok(namespace) => State::Available(format!("by {}", namespace.bubblewrap().display())),
        Err(NoBackend { reason, remedy }) => State::Missing { reason, remedy },
    };
    Capability { name: "namespace machines".to_owned(), state }
}

fn qemu(path: &[PathBuf]) -> State {
    match Program::find(path) {
        Ok(program) => State::Available(format!("QEMU {} ({})", program.version(), program.file().display())),
        Err(error) => State::Missing { reason: error.to_string(), remedy: Some(INSTALL_QEMU.to_owned()) },
    }
}

fn fast_kvm() -> State {
    match kvm::probe() {
        fast @ Kvm::Fast { .. } => State::Available(fast.to_string()),
        other => {
            let reason = format!("{other}; virtual machines run by translation, several times slower");
            State::Missing { reason, remedy: None }
        }
    }
}

fn control_groups() -> State {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let has = |kind: &str| mounts.lines().any(|line| line.split(' ').nth(2) == Some(kind));
    match (has("cgroup2"), has("cgroup")) {
        (true, false) => State::Available("version 2".to_owned()),
        (true, true) => State::Available("version 1 and 2 (hybrid)".to_owned()),
        (false, true) => State::Available("version 1".to_owned()),
        (false, false) => State::Missing { reason: "none is mounted".to_owned(), remedy: None },
    }
}

fn find(name: &str, path: &[PathBuf]) -> Option<PathBuf> {
    path.iter().map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Whether a program is there, and what it says about its version.
fn program(name: &str, argument: &str, path: &[PathBuf]) -> State {
    let Some(file) = find(name, path) else {
        let reason = "it is not on PATH".to_owned();
        return State::Missing { reason, remedy: Some(format!("install {name}")) };
    };
    let place = file.display().to_string();
    if argument.is_empty() {
        return State::Available(place);
    }
    // A version manager's shim finds the real program by the environment, which is therefore kept.
    let output = Command::new(&file).arg(argument).stdin(Stdio::null()).stderr(Stdio::null()).output();
    let first_line = output.ok().filter(|output| output.status.success()).and_then(|output| {
        String::from_utf8_lossy(&output.stdout).lines().next().map(|line| line.trim().to_owned())
    });
    match first_line {
        Some(version) => State::Available(format!("{version} ({place})")),
        None => State::Missing { reason: format!("`{place} {argument}` fails"), remedy: None },
    }
}

fn containers(path: &[PathBuf]) -> State {
    let engine = match ["podman", "docker"].into_iter().find_map(|name| find(name, path)) {
        Some(program) => format!("there is a {}", program.display()),
        None => "neither podman nor docker is on PATH".to_owned(),
    };
    State::Missing { reason: format!("this build runs none; {engine}"), remedy: None }
}
