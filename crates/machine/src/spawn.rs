//! Starting a machine's process on the host, and its end.
//!
//! All are started by one thread that lives as long as this process: the kernel delivers a "parent died" signal when the
//! *thread* that forked ends, and the threads of a pool end whenever they are idle.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Child, Command};
use std::sync::{OnceLock, mpsc};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal};
use tokio::sync::oneshot;

/// How long a machine may take to end by itself once its agent is told to.
const END_DEADLINE: Duration = Duration::from_secs(5);

struct Job {
    command: Command,
    answer: oneshot::Sender<io::Result<Child>>,
    give_up: GiveUp,
}

/// What becomes of a process that nobody wants any more when it has been started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GiveUp {
    /// Its stream is closed, with which it ends.
    End,
    /// It is killed.
    Kill,
}

/// Starts a process of a machine.
pub(crate) async fn spawn(command: Command, give_up: GiveUp) -> io::Result<Child> {
    let (answer, spawned) = oneshot::channel();
    let gone = || io::Error::other("the thread that starts machines is gone");
    spawner()?.send(Job { command, answer, give_up }).map_err(|_| gone())?;
    spawned.await.map_err(|_| gone())?
}

fn spawner() -> io::Result<&'static mpsc::Sender<Job>> {
    static SPAWNER: OnceLock<Result<mpsc::Sender<Job>, io::ErrorKind>> = OnceLock::new();
    let started = SPAWNER.get_or_init(|| {
        let (sender, jobs) = mpsc::channel::<Job>();
        let run = move || {
            for mut job in jobs {
                let spawned = job.command.spawn();
                // Nobody waits when the machine was given up meanwhile.
                if let Err(Ok(mut child)) = job.answer.send(spawned) {
                    if job.give_up == GiveUp::Kill {
                        // It only fails where it has ended.
                        let _ = child.kill();
                    }
                    drop(MachineProcess::child(child));
                }
            }
        };
        let thread = std::thread::Builder::new().name("machine-spawner".to_owned());
        thread.spawn(run).map(|_| sender).map_err(|error| error.kind())
    });
    started.as_ref().map_err(|kind| io::Error::from(*kind))
}

/// The first process of a machine, or the outermost. When it is dropped, it gets the time to end by itself.
#[derive(Debug)]
pub(crate) struct MachineProcess {
    running: Option<Running>,
}

#[derive(Debug)]
enum Running {
    Child(Child),
    /// Another process's child, which waits for it.
    Forked(OwnedFd),
}

impl MachineProcess {
    pub(crate) async fn spawn(command: Command) -> io::Result<Self> {
        spawn(command, GiveUp::End).await.map(Self::child)
    }

    pub(crate) fn child(child: Child) -> Self {
        Self { running: Some(Running::Child(child)) }
    }

    /// The process with this descriptor. It counts as ended when none of its process namespace is left.
    pub(crate) fn forked(pidfd: OwnedFd) -> Self {
        Self { running: Some(Running::Forked(pidfd)) }
    }

    /// Its number, unless it has ended.
    pub(crate) fn pid(&self) -> Option<Pid> {
        match self.running.as_ref()? {
            Running::Child(child) => Some(Pid::from_child(child)),
            Running::Forked(pidfd) => {
                let file = format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd());
                let info = std::fs::read_to_string(file).ok()?;
                let line = info.lines().find_map(|line| line.strip_prefix("Pid:"))?;
                Pid::from_raw(line.trim().parse().ok().filter(|pid| *pid > 0)?)
            }
        }
    }

    /// Waits for the process to end by itself, which is `true`; kills it when it takes too long. Blocks.
    pub(crate) fn end(mut self) -> bool {
        self.running.take().is_some_and(end)
    }
}

impl Drop for MachineProcess {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            let thread = std::thread::Builder::new().name("machine-end".to_owned());
            // Without a thread the process still ends with its stream; only nobody waits for it.
            let _ = thread.spawn(|| end(running));
        }
    }
}

fn end(running: Running) -> bool {
    match running {
        Running::Child(mut child) => {
            let pidfd = rustix::process::pidfd_open(Pid::from_child(&child), PidfdFlags::empty());
            // It fails only for a process that has ended.
            let by_itself = end_in_time(pidfd.as_ref().ok(), || drop(child.kill()));
            let is_reaped = matches!(child.try_wait(), Ok(Some(_)));
            by_itself && is_reaped
        }
        Running::Forked(pidfd) => end_in_time(Some(&pidfd), || {
            // As above.
            let _ = rustix::process::pidfd_send_signal(&pidfd, Signal::KILL);
        }),
    }
}

/// Whether a process ended by itself; it is killed otherwise.
fn end_in_time(pidfd: Option<&OwnedFd>, kill: impl FnOnce()) -> bool {
    let ends_in_time = || {
        let Some(pidfd) = pidfd else { return false };
        let deadline = Timespec { tv_sec: END_DEADLINE.as_secs().cast_signed(), tv_nsec: 0 };
        let ended = rustix::event::poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&deadline));
        matches!(ended, Ok(1))
    };
    let by_itself = ends_in_time();
    if !by_itself {
        kill();
        // The kernel may keep one for a while that waits for a device.
        ends_in_time();
    }
    by_itself
}
