//! The agent as the first process of a virtual machine.
//!
//! ```text
//! mounts of the kernel ──> modules ──> disks ──> root ──> channel ──> sessions ──> power off
//! ```
//!
//! The kernel starts `/init` from an initramfs, which holds this program and modules of the kernel. Which modules are
//! loaded and which channel leads to the host is said on the kernel's command line ([`Options`]). The root is an overlay: the
//! image's disk below, read-only, and the machine's own disk above.
//!
//! Invariants: every failure is one line on the console that begins with [`COMPLAINT`], and then the machine powers off, so
//! that the host can tell it from a panic, which resets; nothing waits for a device longer than [`DEVICE_DEADLINE`]; this
//! process never ends before the machine does.

pub(crate) mod channel;
mod devices;
mod modules;
mod options;
mod root;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::system::{RebootCommand, reboot};

use crate::frame::FrameError;
use crate::{interface, serve};
use devices::Devices;
pub use options::{Channel, Options};

/// What each complaint on the console begins with.
pub const COMPLAINT: &str = "firedog: ";

/// How long a device may take to appear.
pub const DEVICE_DEADLINE: Duration = Duration::from_secs(60);

/// Files that a process may have open: at first, and at most. As on GitHub's machines.
const OPEN_FILES: (u64, u64) = (65_536, 1_048_576);

/// Why a virtual machine does not run.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant explains its fields")]
pub enum InitError {
    /// The command line asks for something that there is not.
    #[error("the kernel's command line says `{word}`: {problem}")]
    Options { word: String, problem: &'static str },
    /// Something could not be mounted.
    #[error("cannot mount {what} at `{at}`")]
    Mount { what: String, at: String, source: io::Error },
    /// A module is not there or is none of this kernel's.
    #[error("cannot load the module `{name}`")]
    Module { name: String, source: io::Error },
    /// A device did not appear.
    #[error("there is no {what} within {} seconds", DEVICE_DEADLINE.as_secs())]
    NoDevice { what: String },
    /// A system call failed that always works.
    #[error("cannot {operation}")]
    System { operation: String, source: io::Error },
    /// The host cannot be understood.
    #[error("the channel to the host")]
    Channel(#[source] FrameError),
}

pub(crate) fn failed<E: Into<io::Error>>(operation: impl Into<String>) -> impl FnOnce(E) -> InitError {
    move |source| InitError::System { operation: operation.into(), source: source.into() }
}

/// Whether this process is the first of a virtual machine: the kernel calls it so.
pub(crate) fn is_asked_for() -> bool {
    rustix::process::getpid().is_init() && std::env::args_os().next().is_some_and(|name| name == "/init")
}

/// Runs the machine to its end.
pub(crate) fn run() -> ! {
    if let Err(error) = start_and_serve() {
        complain(&error);
    }
    loop {
        // It only fails where this is no virtual machine; and the first process must not end.
        let _ = reboot(RebootCommand::PowerOff);
        std::thread::park();
    }
}

#[expect(clippy::print_stderr, reason = "the console is where the host looks for it")]
pub(crate) fn complain(error: &dyn std::error::Error) {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    eprintln!("{COMPLAINT}{text}");
}

fn start_and_serve() -> Result<(), InitError> {
    root::mount_kernel_files()?;
    open_console()?;
    serve::keep_descriptors_from_steps();
    let words = fs::read_to_string("/proc/cmdline").map_err(failed("read the kernel's command line"))?;
    let options = Options::parse(&words)?;
    let devices = Devices::watch().map_err(failed("watch devices"))?;
    modules::load(&PathBuf::from("/modules"), &options.modules)?;
    root::mount_disks(&devices)?;
    root::switch()?;
    root::mount_rest()?;
    interface::start_loopback().map_err(failed("start the loopback interface"))?;
    let (current, maximum) = OPEN_FILES;
    let limit = Rlimit { current: Some(current), maximum: Some(maximum) };
    setrlimit(Resource::Nofile, limit).map_err(failed("set the limit of open files"))?;
    serve::become_init();
    channel::serve(&options.channel, &devices)
}

/// Lets standard error be the console of the device file system; the kernel may have had none for its first process.
fn open_console() -> Result<(), InitError> {
    let null = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")
        .map_err(failed("open `/dev/null`"))?;
    rustix::stdio::dup2_stdin(&null).map_err(failed("replace the standard input"))?;
    let console = fs::OpenOptions::new().write(true).open("/dev/console").unwrap_or(null);
    rustix::stdio::dup2_stdout(&console).map_err(failed("replace the standard output"))?;
    rustix::stdio::dup2_stderr(&console).map_err(failed("replace the standard error"))
}
