//! What a forked process does to be a machine: namespaces, mounts, and then no way to either.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind_recursive, mount_remount, unmount};
use rustix::thread::{CapabilitySet, CapabilitySets, UnshareFlags};

use crate::interface;

use super::{Answer, Fork, ForkNetwork, Mount, Preparation, Room, TemplateError, failed, packet};

/// The name of a machine's network device.
const NETWORK_DEVICE: &str = "eth0";

/// The length of an instruction of a system call filter, in bytes.
const INSTRUCTION: usize = 8;

/// Enters the machine's namespaces and gives up all rights. The order matters: the mounts are made in namespaces that
/// belong to the template's user namespace, and only then a user namespace is entered, which therefore has no power over
/// any of them, whatever its processes become.
pub(super) fn enter(
    preparation: &Preparation,
    order: &Fork,
    network: Option<OwnedFd>,
) -> Result<(), TemplateError> {
    let mut own = UnshareFlags::NEWNS | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
    own.set(UnshareFlags::NEWNET, order.network != ForkNetwork::Shared);
    unshare(own).map_err(failed("enter the machine's namespaces"))?;
    if order.network != ForkNetwork::Shared {
        interface::start_loopback().map_err(failed("start the loopback interface"))?;
    }
    // Before the mounts, which hide the clone device.
    if let (ForkNetwork::Device { by, configuration }, Some(to)) = (&order.network, network) {
        let device = interface::make(Path::new(by), NETWORK_DEVICE, configuration)
            .map_err(failed(format!("make a network device by `{}`", Path::new(by).display())))?;
        packet::send(&to, &Answer::Device, &[device.as_fd()])
            .map_err(failed("hand the network device over"))?;
    }
    mount_all(&order.mounts)?;
    enter_user_namespace(preparation)?;
    give_up_rights(&preparation.filter)
}

/// Leaves namespaces of this process, which has no other threads.
#[expect(unsafe_code, reason = "the safe function of rustix is to be given up for this one")]
pub(super) fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: no table of descriptors is unshared, so that no descriptor changes its meaning.
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(io::Error::from)
}

pub(super) fn mount_all(mounts: &[Mount]) -> Result<(), TemplateError> {
    mounts.iter().try_for_each(|one| {
        make(one).map_err(|source| {
            let (what, at) = describe(one);
            failed(format!("mount {what} at `{}`", at.display()))(source)
        })
    })
}

fn describe(one: &Mount) -> (String, &Path) {
    let (what, at) = match one {
        Mount::Bind { from, to } => (format!("`{}`", from.display()), to),
        Mount::ReadOnly { at } => ("what is there read-only".to_owned(), at),
        Mount::Empty { at, .. } => ("an empty folder".to_owned(), at),
        Mount::Processes { at } => ("the processes".to_owned(), at),
        Mount::File { at, .. } => ("a file".to_owned(), at),
        Mount::Terminals { at } => ("terminals".to_owned(), at),
        Mount::Remove { at } => ("nothing".to_owned(), at),
    };
    (what, Path::new(at))
}

fn make(one: &Mount) -> io::Result<()> {
    let plain = MountFlags::NOSUID | MountFlags::NODEV;
    match one {
        Mount::Bind { from, to } => bind(from, to),
        Mount::ReadOnly { at } => {
            mount_remount(at, plain | MountFlags::BIND | MountFlags::RDONLY, c"").map_err(io::Error::from)
        }
        Mount::Empty { at, mode, room } => {
            let size = match room {
                Room::Bytes(bytes) => format!(",size={bytes}"),
                Room::Nothing | Room::Half => String::new(),
            };
            let mut flags = plain;
            flags.set(MountFlags::RDONLY, *room == Room::Nothing);
            let options = std::ffi::CString::new(format!("mode={mode:o}{size}"));
            let options = options.expect("numbers have no zero bytes");
            let empty = || mount("tmpfs", at, "tmpfs", flags, options.as_c_str());
            match empty() {
                Err(rustix::io::Errno::NOENT) => {
                    fs::create_dir_all(at)?;
                    Ok(empty()?)
                }
                mounted => Ok(mounted?),
            }
        }
        Mount::Processes { at } => Ok(mount("proc", at, "proc", plain | MountFlags::NOEXEC, None)?),
        Mount::File { at, text } => fs::write(at, text),
        Mount::Terminals { at } => {
            let options = c"newinstance,ptmxmode=0666,mode=620";
            Ok(mount("devpts", at, "devpts", MountFlags::NOSUID | MountFlags::NOEXEC, options)?)
        }
        Mount::Remove { at } => Ok(unmount(at, UnmountFlags::DETACH)?),
    }
}

fn bind(from: &OsStr, to: &OsStr) -> io::Result<()> {
    match mount_bind_recursive(from, to) {
        Err(rustix::io::Errno::NOENT) => {}
        bound => return bound.map_err(io::Error::from),
    }
    if fs::metadata(from)?.is_dir() {
        fs::create_dir_all(to)?;
    } else {
        if let Some(parent) = Path::new(to).parent() {
            fs::create_dir_all(parent)?;
        }
        fs::File::create(to)?;
    }
    Ok(mount_bind_recursive(from, to)?)
}

/// Enters a user namespace with one user and one group: those of this process, under the numbers that the host knows.
fn enter_user_namespace(preparation: &Preparation) -> Result<(), TemplateError> {
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    unshare(UnshareFlags::NEWUSER).map_err(failed("enter the machine's user namespace"))?;
    let maps = [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("{} {user} 1", preparation.user)),
        ("gid_map", format!("{} {group} 1", preparation.group)),
    ];
    maps.into_iter().try_for_each(|(file, text)| {
        fs::write(format!("/proc/self/{file}"), text).map_err(failed(format!("write the machine's `{file}`")))
    })
}

/// No capability is left or can be got, and the filter judges every system call from here on.
fn give_up_rights(filter: &[u8]) -> Result<(), TemplateError> {
    for capability in (0..u64::BITS).map(|bit| CapabilitySet::from_bits_retain(1 << bit)) {
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            // The kernel knows no more of them.
            Err(rustix::io::Errno::INVAL) => break,
            removed => removed.map_err(failed("take capabilities from the machine's bounds"))?,
        }
    }
    let none = CapabilitySet::empty();
    let none = CapabilitySets { effective: none, permitted: none, inheritable: none };
    rustix::thread::set_capabilities(None, none).map_err(failed("give up the machine's capabilities"))?;
    rustix::thread::set_no_new_privs(true).map_err(failed("forbid new privileges"))?;
    install(filter).map_err(failed("install the system call filter"))
}

#[expect(unsafe_code, reason = "no safe binding installs a filter")]
fn install(filter: &[u8]) -> io::Result<()> {
    let (instructions, rest) = filter.as_chunks::<INSTRUCTION>();
    if !rest.is_empty() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut program: Vec<libc::sock_filter> = instructions
        .iter()
        .map(|&[code_0, code_1, jt, jf, k_0, k_1, k_2, k_3]| libc::sock_filter {
            code: u16::from_ne_bytes([code_0, code_1]),
            jt,
            jf,
            k: u32::from_ne_bytes([k_0, k_1, k_2, k_3]),
        })
        .collect();
    let length = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = libc::sock_fprog { len: length, filter: program.as_mut_ptr() };
    // SAFETY: the program lives to the end of the call and has as many instructions as it says; the kernel checks those.
    let installed =
        unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program, 0, 0) };
    if installed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
