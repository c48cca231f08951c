//! The guest: the real agent in namespaces of its own, and the socket that leads to it.
//!
//! The home folder is the guest's memory: a snapshot is an archive of it. Processes do not survive in one, as they would.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use seccompiler::{
    SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// The folder below the machine's own that holds what the guest has written.
const STATE: &str = "guest";

const AGENT_SOCKET: &str = "agent.sock";

/// Folders of the host that the guest sees, where they are there.
const SYSTEM: [&str; 5] = ["usr", "bin", "sbin", "lib", "lib64"];
const SETTINGS: [&str; 5] = ["passwd", "group", "ld.so.cache", "alternatives", "ssl"];

pub(crate) struct Guest {
    connections: Arc<Mutex<Connections>>,
    agent: Option<Child>,
}

#[derive(Default)]
struct Connections {
    is_up: bool,
    open: Vec<UnixStream>,
}

impl Guest {
    /// Makes the socket. What connects waits until the guest runs, as with the real one.
    pub(crate) fn listen(socket: &Path) -> io::Result<Self> {
        let listener = UnixListener::bind(socket)?;
        let connections: Arc<Mutex<Connections>> = Arc::default();
        let accepted = Arc::clone(&connections);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let accepted = Arc::clone(&accepted);
                std::thread::spawn(move || drop(connect(stream, &accepted)));
            }
        });
        fs::create_dir_all(format!("{STATE}/home"))?;
        Ok(Self { connections, agent: None })
    }

    /// Starts the agent.
    pub(crate) fn start(&mut self) -> io::Result<()> {
        // The path of a socket has little room.
        let listener = UnixListener::bind(AGENT_SOCKET)?;
        let mut command = Command::new("bwrap");
        command.args(["--unshare-user", "--uid", "0", "--gid", "0", "--cap-add", "ALL", "--unshare-pid"]);
        command.args(["--unshare-uts", "--hostname", "guest", "--unshare-ipc", "--die-with-parent"]);
        command
            .args(["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--dir", "/etc", "--dir", "/opt"]);
        for name in SYSTEM.map(|name| format!("/{name}")) {
            match fs::read_link(&name) {
                Ok(target) => drop(command.arg("--symlink").arg(target).arg(&name)),
                Err(_) => drop(command.args(["--ro-bind-try", &name, &name])),
            }
        }
        for name in SETTINGS.map(|name| format!("/etc/{name}")) {
            command.args(["--ro-bind-try", &name, &name]);
        }
        command.args(["--bind", &format!("{STATE}/home"), "/home"]);
        let agent = beside_this_program("machine-agent")?;
        command.arg("--ro-bind").arg(&agent).arg("/agent");
        let filter = filter()?;
        command.arg("--seccomp").arg(filter.as_raw_fd().to_string());
        command.args(["/agent", "--machine"]).env_clear().env("PATH", "/usr/bin:/bin");
        command.stdin(OwnedFd::from(listener)).stdout(Stdio::null());
        self.agent = Some(command.spawn()?);
        lock(&self.connections).is_up = true;
        Ok(())
    }

    /// What the guest's driver does when it is told that its device was reset.
    pub(crate) fn drop_connections(&mut self) {
        for stream in lock(&self.connections).open.drain(..) {
            drop(stream.shutdown(Shutdown::Both));
        }
    }

    pub(crate) fn save(&self, memory: &Path) -> io::Result<()> {
        run(Command::new("tar").arg("-cf").arg(memory).args(["-C", STATE, "home"]))
    }

    pub(crate) fn load(&mut self, memory: &Path) -> io::Result<()> {
        run(Command::new("tar").arg("-xf").arg(memory).args(["-C", STATE]))
    }
}

fn run(command: &mut Command) -> io::Result<()> {
    let output = command.output()?;
    let complaint = || io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned());
    if output.status.success() { Ok(()) } else { Err(complaint()) }
}

fn lock(connections: &Mutex<Connections>) -> std::sync::MutexGuard<'_, Connections> {
    connections.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file beside the name by which this program was started.
pub(crate) fn beside_this_program(name: &str) -> io::Result<PathBuf> {
    let program = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    Ok(program.parent().ok_or(io::ErrorKind::NotFound)?.join(name))
}

/// Does for one connection what the vsock device does.
fn connect(mut host: UnixStream, connections: &Mutex<Connections>) -> io::Result<()> {
    let mut line = Vec::new();
    let mut byte = [0];
    while line.last() != Some(&b'\n') && line.len() < 32 {
        host.read_exact(&mut byte)?;
        line.push(byte[0]);
    }
    if !lock(connections).is_up {
        // No answer, ever: the guest's device does not run.
        std::io::copy(&mut host, &mut io::sink())?;
        return Ok(());
    }
    if line != b"CONNECT 1024\n" {
        return Ok(());
    }
    let mut agent = UnixStream::connect(AGENT_SOCKET)?;
    lock(connections).open.extend([host.try_clone()?, agent.try_clone()?]);
    host.write_all(b"OK 1073741824\n")?;
    let (mut from_host, mut to_agent) = (host.try_clone()?, agent.try_clone()?);
    std::thread::spawn(move || {
        drop(io::copy(&mut from_host, &mut to_agent));
        drop(to_agent.shutdown(Shutdown::Both));
    });
    drop(io::copy(&mut agent, &mut host));
    host.shutdown(Shutdown::Both)
}

/// Lets what only a real guest may do succeed without being done: to set the clock and to mix entropy in.
fn filter() -> io::Result<File> {
    let failed = |error: &dyn std::fmt::Display| io::Error::other(error.to_string());
    let request = |number: u64| {
        let condition = SeccompCondition::new(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, number)
            .map_err(|error| failed(&error))?;
        SeccompRule::new(vec![condition]).map_err(|error| failed(&error))
    };
    let rules = [
        (libc::SYS_clock_settime, Vec::new()),
        (libc::SYS_ioctl, vec![request(0x4008_5203)?, request(0x5207)?]),
    ];
    let architecture =
        std::env::consts::ARCH.try_into().map_err(|_| failed(&"no filter for this processor"))?;
    let filter = SeccompFilter::new(
        rules.into_iter().collect(),
        SeccompAction::Allow,
        SeccompAction::Errno(0),
        architecture,
    )
    .map_err(|error| failed(&error))?;
    let program: seccompiler::BpfProgram =
        filter.try_into().map_err(|error: seccompiler::BackendError| failed(&error))?;
    // Kept open for the child: bubblewrap reads it.
    let flags = rustix::fs::MemfdFlags::empty();
    let mut file = File::from(rustix::fs::memfd_create("filter", flags)?);
    for part in program {
        file.write_all(&part.code.to_ne_bytes())?;
        file.write_all(&[part.jt, part.jf])?;
        file.write_all(&part.k.to_ne_bytes())?;
    }
    io::Seek::rewind(&mut file)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}
