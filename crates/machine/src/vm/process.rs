//! The program that runs a virtual machine, from its start to the removal of its files.
//!
//! It gets its files as open descriptors, not as names: so it needs no right to any folder. Where this process is root, the program
//! runs as a user of its own, whose number no other has. It is killed with this process, by the kernel. One thread waits for its end
//! and then removes the machine's folder, whatever becomes of everything else here.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::io::FdFlags;
use rustix::process::{Pid, PidfdFlags, Signal};
use tokio::sync::watch;

use super::cage::{Bind, in_namespaces, kill_first};
use crate::cgroup::Group;
use crate::leftovers::{Leftover, ProcessIdentity};
use crate::scratch::{Removal, Scratch};
use crate::spawn::{GiveUp, spawn};
use crate::spec::Size;

/// The first of the users that machines' programs run as; far above those of people and services.
const FIRST_USER: u32 = 0x4000_0000;

/// How many users there are, as a mask.
const USERS: u32 = 0x0fff_ffff;

/// Memory that the program takes besides that of the machine, in MiB.
const OVERHEAD_MIB: u32 = 768;

/// A user for the program of a machine with this folder, if this process may run it as another: by the number of the folder, which
/// no other has at the same time.
pub(crate) fn own_user(scratch: &Scratch) -> io::Result<Option<u32>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let number = std::fs::metadata(scratch.path())?.ino();
    Ok(Some(FIRST_USER + (number as u32 & USERS)))
}

/// How many processes the host's kernel has killed for want of memory.
pub(crate) fn oom_kills() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/vmstat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

/// Descriptors that a program is to have, at the numbers that they have here.
#[derive(Debug, Default)]
pub(crate) struct Given {
    descriptors: Vec<OwnedFd>,
}

impl Given {
    /// Gives a descriptor; returns its number.
    pub(crate) fn descriptor(&mut self, descriptor: impl Into<OwnedFd>) -> RawFd {
        let descriptor = descriptor.into();
        let number = descriptor.as_raw_fd();
        self.descriptors.push(descriptor);
        number
    }

    /// Gives an open file; returns a name under which the program can open it.
    pub(crate) fn file(&mut self, file: impl Into<OwnedFd>) -> String {
        format!("/proc/self/fd/{}", self.descriptor(file))
    }
}

/// A running program; killed when dropped.
#[derive(Debug)]
pub(crate) struct VmProcess {
    pidfd: Arc<OwnedFd>,
    /// Whom the program runs below, if it does.
    keeper: Option<Pid>,
    leftovers: Vec<Leftover>,
    exited: watch::Receiver<Option<ExitStatus>>,
    removal: Arc<Mutex<Option<Removal>>>,
}

/// What is held until nothing of the machine runs any more.
pub(crate) struct Held {
    pub(crate) scratch: Arc<Scratch>,
    /// Whatever connects it to a network.
    #[expect(dead_code, reason = "only its end counts")]
    pub(crate) network: Option<network::Network>,
}

impl VmProcess {
    /// Starts the program with what it is `given`, as the user `user` and the group `group` where they are given; in `cage`, where it
    /// changes its user by itself.
    #[expect(unsafe_code, reason = "no safe binding runs code in the child")]
    pub(crate) async fn spawn(
        mut command: Command,
        given: Given,
        (user, group): (Option<u32>, Option<u32>),
        size: Size,
        held: Held,
        cage: Option<Vec<Bind>>,
    ) -> io::Result<Self> {
        let name = held.scratch.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(user) = user {
            command.uid(user).gid(group.unwrap_or(user));
        }
        let numbers: Vec<RawFd> = given.descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        let parent = rustix::process::getpid();
        if command.get_current_dir().is_none() {
            command.current_dir("/");
        }
        command.env_clear().process_group(0).stdin(Stdio::null());
        let limit = Size { memory_mib: size.memory_mib.saturating_add(OVERHEAD_MIB), ..size };
        let limits = Group::create(&name, limit);
        limits.join(&mut command);
        // SAFETY: the closure makes system calls and nothing else; it takes no lock and no memory.
        unsafe {
            command.pre_exec(move || prepare_child(&numbers, parent));
        }
        let is_caged = cage.is_some();
        if let Some(binds) = cage {
            // Last, because it forks.
            in_namespaces(&mut command, binds);
        }
        let child = spawn(command, GiveUp::Kill).await?;
        // The program has them now; what is closed here tells it of this process's end.
        drop(given);
        Self::watch(child, held, limits, is_caged)
    }

    fn watch(mut child: Child, held: Held, group: Group, is_caged: bool) -> io::Result<Self> {
        let pid = Pid::from_child(&child);
        let watched = (|| {
            let mut leftovers = group.leftovers();
            match ProcessIdentity::of(pid) {
                Ok(identity) => leftovers.push(Leftover::Process(identity)),
                // It has ended already, so that nothing of it is left.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            Ok((rustix::process::pidfd_open(pid, PidfdFlags::empty())?, leftovers))
        })();
        let (pidfd, leftovers) = match watched {
            Ok(watched) => watched,
            Err(error) => {
                // It is a child that nobody has waited for, so that both can only fail where it has ended.
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
        };
        let (sender, exited) = watch::channel(None);
        let removal = Arc::new(Mutex::new(None));
        let counted = Arc::clone(&removal);
        let wait = move || {
            let status = child.wait().ok();
            drop(group);
            drop(held);
            sender.send_replace(status);
            drop(counted.lock().unwrap_or_else(PoisonError::into_inner).take());
        };
        std::thread::Builder::new().name("machine-wait".to_owned()).spawn(wait)?;
        let keeper = is_caged.then_some(pid);
        Ok(Self { pidfd: Arc::new(pidfd), keeper, leftovers, exited, removal })
    }

    pub(crate) fn leftovers(&self) -> Vec<Leftover> {
        self.leftovers.clone()
    }

    /// Who can kill it and learn of its end.
    pub(crate) fn handle(&self) -> ProcessHandle {
        ProcessHandle { pidfd: Arc::clone(&self.pidfd), keeper: self.keeper, exited: self.exited.clone() }
    }

    /// Kills it. Its files are removed meanwhile; returns when they are, if it is to `wait`.
    pub(crate) async fn stop(self, wait: bool) {
        let mut exited = self.exited.clone();
        drop(self);
        if wait {
            // Without a sender the thread has gone, and so has the process.
            let _ = exited.wait_for(Option::is_some).await;
        }
    }
}

impl Drop for VmProcess {
    fn drop(&mut self) {
        let mut removal = self.removal.lock().unwrap_or_else(PoisonError::into_inner);
        if self.exited.borrow().is_none() {
            *removal = Some(Removal::start());
        }
        drop(removal);
        self.handle().kill();
    }
}

/// Kills a program and learns of its end.
#[derive(Debug, Clone)]
pub(crate) struct ProcessHandle {
    pidfd: Arc<OwnedFd>,
    keeper: Option<Pid>,
    exited: watch::Receiver<Option<ExitStatus>>,
}

impl ProcessHandle {
    pub(crate) fn kill(&self) {
        if let Some(keeper) = self.keeper.filter(|_| self.exited.borrow().is_none())
            && kill_first(keeper, &self.pidfd)
        {
            return;
        }
        // It only fails where it has ended.
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    /// How it ended, if it does within `patience`.
    pub(crate) async fn exit(&self, patience: Duration) -> Option<ExitStatus> {
        let mut exited = self.exited.clone();
        let waited = tokio::time::timeout(patience, exited.wait_for(Option::is_some)).await;
        waited.ok()?.ok()?.as_ref().copied()
    }
}

/// In the child, before the program: it dies with its parent, and the descriptors that it is given stay open.
fn prepare_child(numbers: &[RawFd], parent: Pid) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    if rustix::process::getppid() != Some(parent) {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    for number in numbers {
        // SAFETY: the parent holds the descriptor until the child has been started.
        #[expect(unsafe_code, reason = "the closure can own no descriptors")]
        let descriptor = unsafe { std::os::fd::BorrowedFd::borrow_raw(*number) };
        rustix::io::fcntl_setfd(descriptor, FdFlags::empty())?;
    }
    Ok(())
}
