//! A process tree that ends with this process, whatever it becomes.
//!
//! The signal that the kernel sends when a parent dies is taken away from a process that changes its user, as the jailer
//! does. The jailer therefore runs below two processes that stay what they are:
//!
//! ```text
//! firedog ── keeper ── first process of a process namespace ── jailer ── Firecracker
//! ```
//!
//! When firedog dies, the kernel kills the keeper; when the keeper dies, it kills the first process; and with that all in its
//! namespace. The two are forks of this process that only wait. Nothing is left but what is on disks: the mounts that are
//! made here are in a namespace of their own, which ends with the tree as well.

use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::mount::{MountFlags, MountPropagationFlags, mount_bind, mount_change, mount_remount};
use rustix::process::{
    Pid, PidfdFlags, Signal, getpid, getppid, pidfd_open, pidfd_send_signal, set_parent_process_death_signal,
};
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// A file of the host that the tree sees in another place as well, where it cannot change it.
#[derive(Debug, Clone)]
pub(crate) struct Bind {
    /// The file on the host.
    pub(crate) from: CString,
    /// A file that is there, to be hidden by it.
    pub(crate) to: CString,
}

fn die_with(parent: Pid) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have died before the kernel was told.
    if getppid() == Some(parent) { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
}

/// Runs `command` in process and mount namespaces of its own, with `binds` mounted, all of which ends with this process. Only for
/// root. The child that is waited for ends with the status of the last process of the tree.
pub(crate) fn in_namespaces(command: &mut Command, binds: Vec<Bind>) {
    let parent = getpid();
    // SAFETY: between fork and exec the closure, and the forks that it makes, only make system calls; they use no memory that
    // another thread could have left locked, and return only in the process that goes on to exec.
    #[expect(unsafe_code, reason = "namespaces are entered between fork and exec")]
    unsafe {
        command.pre_exec(move || enter(parent, &binds));
    }
}

fn enter(parent: Pid, binds: &[Bind]) -> io::Result<()> {
    die_with(parent)?;
    // SAFETY: the flags touch neither the memory nor the descriptors of this process, which has one thread.
    #[expect(unsafe_code, reason = "the safe function refuses flags that may be unsound elsewhere")]
    unsafe {
        unshare_unsafe(UnshareFlags::NEWPID | UnshareFlags::NEWNS)?;
    }
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?;
    for Bind { from, to } in binds {
        mount_bind(from.as_c_str(), to.as_c_str())?;
        let flags = MountFlags::BIND
            | MountFlags::RDONLY
            | MountFlags::NOSUID
            | MountFlags::NODEV
            | MountFlags::NOEXEC;
        mount_remount(to.as_c_str(), flags, c"")?;
    }
    let keeper = pidfd_open(getpid(), PidfdFlags::empty())?;
    if let Fork::Parent(first) = fork()? {
        wait_and_exit(first);
    }
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent is in another process namespace, so that its number says nothing.
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    if poll(&mut [PollFd::new(&keeper, PollFlags::IN)], Some(&now))? > 0 {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    match fork()? {
        Fork::Parent(_) => reap_and_exit(),
        Fork::Child => Ok(()),
    }
}

/// Kills the first process of the tree below a keeper, with which the whole namespace ends, before the keeper does; `false` where it
/// cannot be found.
pub(crate) fn kill_first(keeper: Pid, descriptor: &OwnedFd) -> bool {
    let number = keeper.as_raw_nonzero();
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let find = || {
        let children = std::fs::read_to_string(format!("/proc/{number}/task/{number}/children")).ok()?;
        let first = Pid::from_raw(children.split_whitespace().next()?.parse().ok()?)?;
        let first = pidfd_open(first, PidfdFlags::empty()).ok()?;
        // As long as it lives the number is its own, and as long as it has not waited, the child's number is the child's.
        let has_ended = poll(&mut [PollFd::new(descriptor, PollFlags::IN)], Some(&now)).ok()?;
        (has_ended == 0).then_some(first)
    };
    find().is_some_and(|first| pidfd_send_signal(&first, Signal::KILL).is_ok())
}

enum Fork {
    Parent(libc::pid_t),
    Child,
}

fn fork() -> io::Result<Fork> {
    // SAFETY: this process has one thread, and what follows in the child only makes system calls.
    #[expect(unsafe_code, reason = "no safe binding offers fork")]
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        child => Ok(Fork::Parent(child)),
    }
}

/// Waits for one child and ends as it did.
fn wait_and_exit(child: libc::pid_t) -> ! {
    close_all();
    let mut status = 0;
    // SAFETY: the pointer is to a number that the call writes to.
    #[expect(unsafe_code, reason = "nothing but system calls may be used here")]
    while unsafe { libc::waitpid(child, &raw mut status, 0) } < 0 && is_interrupted() {}
    exit_as(status)
}

/// Waits for all children and ends as the last did.
fn reap_and_exit() -> ! {
    close_all();
    let mut last = 0;
    loop {
        let mut status = 0;
        // SAFETY: as above.
        #[expect(unsafe_code, reason = "nothing but system calls may be used here")]
        let reaped = unsafe { libc::waitpid(-1, &raw mut status, 0) };
        if reaped > 0 {
            last = status;
        } else if !is_interrupted() {
            exit_as(last);
        }
    }
}

fn is_interrupted() -> bool {
    io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
}

fn exit_as(status: libc::c_int) -> ! {
    let code = if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 128 + libc::WTERMSIG(status) };
    // SAFETY: the call ends the process without running what this process's memory still has to do.
    #[expect(unsafe_code, reason = "what a normal exit runs belongs to the process that this is a fork of")]
    unsafe {
        libc::_exit(code)
    }
}

/// Closes all but the standard descriptors: whoever reads at the other ends must not wait for a process that only waits.
fn close_all() {
    // SAFETY: no descriptor is used by this process any more.
    #[expect(unsafe_code, reason = "no safe binding offers close_range")]
    unsafe {
        libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0);
    }
}
