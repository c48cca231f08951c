//! Starting a machine's process on the host, and its end.
//!
//! All are started by one thread that lives as long as this process: the kernel delivers a "parent died" signal when the
//! *thread* that forked ends, and the threads of a pool end whenever they are idle.

use std::io;
use std::process::{Child, Command};
use std::sync::{OnceLock, mpsc};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags};
use tokio::sync::oneshot;

/// How long a machine may take to end by itself once its agent is told to.
const END_DEADLINE: Duration = Duration::from_secs(5);

struct Job {
    command: Command,
    answer: oneshot::Sender<io::Result<Child>>,
}

fn spawner() -> io::Result<&'static mpsc::Sender<Job>> {
    static SPAWNER: OnceLock<Result<mpsc::Sender<Job>, io::ErrorKind>> = OnceLock::new();
    let started = SPAWNER.get_or_init(|| {
        let (sender, jobs) = mpsc::channel::<Job>();
        let run = move || {
            for mut job in jobs {
                let spawned = job.command.spawn();
                // Nobody waits when the machine was given up meanwhile; its stream is closed then.
                if let Err(Ok(child)) = job.answer.send(spawned) {
                    drop(MachineProcess { child: Some(child) });
                }
            }
        };
        let thread = std::thread::Builder::new().name("machine-spawner".to_owned());
        thread.spawn(run).map(|_| sender).map_err(|error| error.kind())
    });
    started.as_ref().map_err(|kind| io::Error::from(*kind))
}

/// A running process of the host that is a machine, or its outermost process. When it is dropped, it gets the time to end
/// by itself: bubblewrap that is killed while it makes a sandbox leaves a part of it behind.
#[derive(Debug)]
pub(crate) struct MachineProcess {
    child: Option<Child>,
}

impl MachineProcess {
    pub(crate) async fn spawn(command: Command) -> io::Result<Self> {
        let (answer, spawned) = oneshot::channel();
        let gone = || io::Error::other("the thread that starts machines is gone");
        spawner()?.send(Job { command, answer }).map_err(|_| gone())?;
        let child = spawned.await.map_err(|_| gone())??;
        Ok(Self { child: Some(child) })
    }

    /// Waits for the process to end by itself, which is `true`; kills it when it takes too long. Blocks.
    pub(crate) fn end(mut self) -> bool {
        self.child.take().is_some_and(end)
    }
}

impl Drop for MachineProcess {
    fn drop(&mut self) {
        if let Some(child) = self.child.take() {
            let thread = std::thread::Builder::new().name("machine-end".to_owned());
            // Without a thread the process still ends with its stream; only nobody waits for it.
            let _ = thread.spawn(|| end(child));
        }
    }
}

fn end(mut child: Child) -> bool {
    let pidfd = rustix::process::pidfd_open(Pid::from_child(&child), PidfdFlags::empty());
    let ends_in_time = || {
        let Ok(pidfd) = &pidfd else { return false };
        let deadline = Timespec { tv_sec: END_DEADLINE.as_secs().cast_signed(), tv_nsec: 0 };
        let ended = rustix::event::poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&deadline));
        matches!(ended, Ok(1))
    };
    let by_itself = ends_in_time();
    if !by_itself {
        // It fails only for a process that has ended. The kernel may keep one for a while that waits for a device.
        let _ = child.kill();
        ends_in_time();
    }
    let is_reaped = matches!(child.try_wait(), Ok(Some(_)));
    by_itself && is_reaped
}
