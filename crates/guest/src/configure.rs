//! What makes a virtual machine one of its own, done after its boot and after each restore.
//!
//! From then on the agent sees files as the machine's user does: whatever it writes is that user's, and what that user may
//! not reach it does not reach either. Its threads and the processes that it starts take this over.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::path::Path;

use rustix::time::{ClockId, Timespec};

use crate::interface;
use crate::output::Failure;
use crate::protocol::{Configuration, NetworkConfiguration, User};

const NANOSECONDS: u64 = 1_000_000_000;

/// Does all that `configuration` says, for the calling thread and those that it starts.
pub(crate) fn configure(configuration: &Configuration) -> Result<(), Failure> {
    see_files_as(0, 0);
    let configured = apply(configuration);
    see_files_as(configuration.user.uid, configuration.user.gid);
    configured
}

fn apply(configuration: &Configuration) -> Result<(), Failure> {
    let failed = |operation: &'static str| move |error: io::Error| Failure::new(operation, &error);
    set_clock(configuration.time).map_err(failed("set the machine's clock"))?;
    add_entropy(&configuration.entropy).map_err(failed("add entropy to the machine"))?;
    rustix::system::sethostname(configuration.hostname.as_bytes())
        .map_err(|error| failed("set the machine's host name")(error.into()))?;
    let hostname = &configuration.hostname;
    let hosts =
        format!("127.0.0.1 localhost\n127.0.1.1 {hostname}\n::1 localhost ip6-localhost ip6-loopback\n");
    replace("/etc/hosts", &hosts)?;
    replace("/etc/hostname", &format!("{hostname}\n"))?;
    replace("/etc/machine-id", &format!("{}\n", configuration.machine_id))?;
    configuration
        .folders
        .iter()
        .try_for_each(|folder| make_folder(Path::new(folder), &configuration.user))?;
    match &configuration.network {
        Some(network) => {
            interface::configure(network).map_err(failed("set up the machine's network"))?;
            replace("/etc/resolv.conf", &resolvers(network))
        }
        None => Ok(()),
    }
}

fn set_clock(nanoseconds: u64) -> io::Result<()> {
    let part = |number: u64| i64::try_from(number).expect("a part of a 64-bit number of nanoseconds fits");
    let time = Timespec { tv_sec: part(nanoseconds / NANOSECONDS), tv_nsec: part(nanoseconds % NANOSECONDS) };
    Ok(rustix::time::clock_settime(ClockId::Realtime, time)?)
}

/// Mixes bytes into the kernel's pool, as entropy, and makes it use them at once.
#[expect(unsafe_code, reason = "no safe binding offers the requests of the random device")]
fn add_entropy(bytes: &[u8]) -> io::Result<()> {
    const ADD: libc::Ioctl = 0x4008_5203;
    const RESEED: libc::Ioctl = 0x5207;
    let device = fs::OpenOptions::new().write(true).open("/dev/urandom")?;
    let length = i32::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let bits = length.checked_mul(8).ok_or(io::ErrorKind::InvalidInput)?;
    let request = [&bits.to_ne_bytes()[..], &length.to_ne_bytes(), bytes].concat();
    // SAFETY: the pointer is to two numbers and as many bytes as the second says, which the call only reads.
    if unsafe { libc::ioctl(device.as_raw_fd(), ADD, request.as_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: this request takes no argument.
    if unsafe { libc::ioctl(device.as_raw_fd(), RESEED) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Writes a whole file of the system. What a name leads to elsewhere stays as it is: the link is replaced.
fn replace(path: &str, content: &str) -> Result<(), Failure> {
    let write = || {
        let is_link = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink());
        if is_link {
            fs::remove_file(path)?;
        }
        fs::create_dir_all("/etc")?;
        fs::write(path, content)
    };
    write().map_err(|error: io::Error| Failure::new(format!("write `{path}`"), &error))
}

fn resolvers(network: &NetworkConfiguration) -> String {
    let line = |server: &IpAddr| format!("nameserver {server}\n");
    network.name_servers.iter().map(line).collect()
}

/// Makes a folder and those above it that are missing, for the machine's user.
fn make_folder(folder: &Path, user: &User) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::new(format!("make the folder `{}`", folder.display()), &error);
    let above: Vec<&Path> = folder.ancestors().collect();
    for part in above.into_iter().rev() {
        match fs::create_dir(part) {
            Ok(()) => {
                std::os::unix::fs::lchown(part, Some(user.uid), Some(user.gid)).map_err(failed)?;
            }
            Err(_) if part.is_dir() => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(())
}

/// Lets the calling thread see, make and change files as a user does.
#[expect(unsafe_code, reason = "no safe binding offers it")]
fn see_files_as(uid: u32, gid: u32) {
    // SAFETY: the calls take no pointers, and never fail for a thread with all rights. As root again first, or else the group
    // could not be changed any more.
    unsafe {
        libc::setfsuid(0);
        libc::setfsgid(gid);
        libc::setfsuid(uid);
    }
}
