//! The processes that the agent started, and the waiting for them and for the orphans that fall to the agent.
//!
//! One thread reaps everything. A child's number stays its own while the table's lock is held: starting, signalling one
//! process or its group and reaping all hold it. Of a tree each process is told from a stranger that inherited its number
//! by when it started, and only what descends from the agent is of a tree at all. So no signal ever reaches a stranger.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitOptions, WaitStatus};

use crate::input::Inbox;
use crate::output::{Window, lock};
use crate::protocol::{ExitStatus, Scope, TRACKING_VARIABLE};
use crate::tree::{self, Entry};

/// How long killed processes may take to be gone.
const KILL_DEADLINE: Duration = Duration::from_secs(5);

/// The pause between two looks at processes that were killed.
const KILL_PAUSE: Duration = Duration::from_millis(1);

/// A process that the host asked for, until its output has been sent.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) id: u32,
    pub(crate) pid: Pid,
    /// Clock ticks (1/100 s) after boot, not later than its start.
    pub(crate) start: u64,
    /// Its value of [`TRACKING_VARIABLE`].
    pub(crate) tracking: Option<String>,
    pub(crate) window: Window,
    /// Where its input waits, if it is streamed.
    pub(crate) inbox: Option<Arc<Inbox>>,
    /// The other side of its terminal, if it has one.
    pub(crate) terminal: Option<Arc<OwnedFd>>,
    exit: Mutex<Option<ExitStatus>>,
    exited: Condvar,
    /// Whether nothing of its tree may outlive it.
    is_last: AtomicBool,
}

impl Running {
    pub(crate) fn new(id: u32, pid: Pid, start: u64, tracking: Option<String>) -> Self {
        Self {
            id,
            pid,
            start,
            tracking,
            window: Window::new(),
            inbox: None,
            terminal: None,
            exit: Mutex::new(None),
            exited: Condvar::new(),
            is_last: AtomicBool::new(false),
        }
    }

    /// Waits until the process has been reaped.
    pub(crate) fn wait(&self) -> ExitStatus {
        let mut exit = lock(&self.exit);
        loop {
            if let Some(status) = *exit {
                return status;
            }
            exit = self.exited.wait(exit).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn is_reaped(&self) -> bool {
        lock(&self.exit).is_some()
    }
}

#[derive(Debug, Default)]
struct Table {
    by_id: HashMap<u32, Arc<Running>>,
    by_pid: HashMap<Pid, Arc<Running>>,
    /// Whether there may be children that nobody has waited for.
    children: bool,
}

/// All processes of the agent.
#[derive(Debug, Default)]
pub(crate) struct Processes {
    table: Mutex<Table>,
    changed: Condvar,
}

impl Processes {
    /// Starts a process by `spawn` and remembers it, before anybody can reap it.
    pub(crate) fn start<E>(&self, spawn: impl FnOnce() -> Result<Running, E>) -> Result<Arc<Running>, E> {
        let mut table = lock(&self.table);
        // Also after a failure: a child that could not execute its program may still be there.
        table.children = true;
        self.changed.notify_all();
        let running = Arc::new(spawn()?);
        table.by_id.insert(running.id, Arc::clone(&running));
        table.by_pid.insert(running.pid, Arc::clone(&running));
        Ok(running)
    }

    pub(crate) fn get(&self, id: u32) -> Option<Arc<Running>> {
        lock(&self.table).by_id.get(&id).map(Arc::clone)
    }

    /// Forgets a process whose exit is about to be reported; not one of a later session with the same id.
    pub(crate) fn forget(&self, ended: &Running) {
        let mut table = lock(&self.table);
        if table.by_id.get(&ended.id).is_some_and(|known| std::ptr::eq(&raw const **known, ended)) {
            table.by_id.remove(&ended.id);
        }
    }

    /// Forgets who asked for the processes: they run on, and what they write is discarded.
    pub(crate) fn disown(&self) {
        for (_, running) in lock(&self.table).by_id.drain() {
            running.window.abandon();
        }
    }

    /// Reaps children for ever; for a thread of its own.
    pub(crate) fn reap(&self) {
        loop {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            let waited = rustix::process::waitid(WaitId::All, options);
            let mut table = lock(&self.table);
            match waited {
                Ok(_) => Self::reap_all(&mut table),
                Err(Errno::INTR) => {}
                Err(_) => {
                    // No children at all: unless one was started since, sleep until one is.
                    if table.by_pid.is_empty() {
                        table.children = false;
                        self.changed.notify_all();
                        while !table.children {
                            table = self.changed.wait(table).unwrap_or_else(PoisonError::into_inner);
                        }
                    }
                }
            }
        }
    }

    fn reap_all(table: &mut Table) {
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if let (Some(status), Some(running)) = (exit_status(status), table.by_pid.remove(&pid)) {
                *lock(&running.exit) = Some(status);
                running.exited.notify_all();
            }
        }
    }

    /// Sends a signal to a process that the host knows by `id`, or to more of its tree.
    pub(crate) fn signal(&self, id: u32, signal: Signal, scope: Scope) {
        let table = lock(&self.table);
        let Some(running) = table.by_id.get(&id).map(Arc::clone) else { return };
        match scope {
            Scope::Process if !running.is_reaped() => tree::send(running.pid, signal),
            Scope::Process => {}
            Scope::Group if !running.is_reaped() => {
                // It can only fail when the whole group has ended.
                let _ = rustix::process::kill_process_group(running.pid, signal);
            }
            Scope::Group | Scope::Tree => {
                drop(table);
                self.signal_until_gone(signal, |all| self.tree_of(&running, all));
            }
        }
    }

    /// Lets nothing of a process's tree outlive it.
    pub(crate) fn kill_rest(&self, id: u32) {
        let Some(running) = self.get(id) else { return };
        running.is_last.store(true, Ordering::SeqCst);
        if running.is_reaped() {
            self.bury(&running);
        }
    }

    /// Kills what is left of the tree of a process that has been reaped, where nothing may be.
    pub(crate) fn bury(&self, running: &Running) {
        if running.is_last.load(Ordering::SeqCst) {
            self.signal_until_gone(Signal::KILL, |all| self.tree_of(running, all));
        }
    }

    /// Kills every process that descends from the agent and waits until all are reaped.
    pub(crate) fn kill_everything(&self) {
        if !lock(&self.table).children {
            return;
        }
        let own = rustix::process::getpid().as_raw_nonzero().get();
        self.signal_until_gone(Signal::KILL, |all| tree::members(all, |entry| entry.parent == own, &[own]));
        let deadline = Instant::now() + KILL_DEADLINE;
        let mut table = lock(&self.table);
        while table.children && Instant::now() < deadline {
            let (guard, _) =
                self.changed.wait_timeout(table, KILL_DEADLINE).unwrap_or_else(PoisonError::into_inner);
            table = guard;
        }
    }

    fn signal_until_gone(&self, signal: Signal, select: impl Fn(&[Entry]) -> Vec<Entry>) {
        let deadline = Instant::now() + KILL_DEADLINE;
        loop {
            let members = select(&tree::snapshot());
            members.iter().for_each(|entry| tree::send_to(entry, signal));
            if members.is_empty() || signal != Signal::KILL || Instant::now() > deadline {
                return;
            }
            std::thread::sleep(KILL_PAUSE);
        }
    }

    /// The live processes that belong to a step: its process, its group, their descendants, and orphans that carry its
    /// tracking value or, when nothing else runs, were born after it.
    fn tree_of(&self, running: &Running, all: &[Entry]) -> Vec<Entry> {
        let own = rustix::process::getpid().as_raw_nonzero().get();
        // Orphans fall to the agent, so that nothing of it is elsewhere.
        let all = tree::members(all, |entry| entry.parent == own, &[own]);
        let pid = running.pid.as_raw_nonzero().get();
        let (others, alone) = {
            let table = lock(&self.table);
            let others = table.by_pid.values().filter(|other| other.pid != running.pid);
            let others: Vec<i32> = others.map(|other| other.pid.as_raw_nonzero().get()).collect();
            (others, table.by_id.keys().all(|id| *id == running.id))
        };
        let is_orphan_of_step = |entry: &Entry| {
            if entry.parent != own || entry.start < running.start {
                return false;
            }
            let tracking = tree::environment_value(entry.pid, TRACKING_VARIABLE);
            match (&running.tracking, tracking) {
                (Some(ours), Some(theirs)) => ours.as_bytes() == theirs,
                _ => alone,
            }
        };
        let is_root = |entry: &Entry| {
            let in_group = entry.group == pid || entry.session == pid;
            (entry.pid == pid && !running.is_reaped())
                || (in_group && entry.start >= running.start)
                || is_orphan_of_step(entry)
        };
        let mut never = others;
        never.push(own);
        tree::members(&all, is_root, &never)
    }
}

fn exit_status(status: WaitStatus) -> Option<ExitStatus> {
    status.exit_status().map(ExitStatus::Code).or_else(|| status.terminating_signal().map(ExitStatus::Signal))
}

#[cfg(test)]
mod tests {
    use rustix::process::{Pid, getpid};

    use super::{Processes, Running};
    use crate::tree::Entry;

    #[test]
    fn a_strangers_group_with_the_number_of_a_step_that_ended_is_not_of_its_tree() {
        let own = getpid().as_raw_nonzero().get();
        let step = Pid::from_raw(own + 1).unwrap();
        let entry =
            |pid, parent, group, start| Entry { pid, parent, group, session: group, start, zombie: false };
        let processes = Processes::default();
        let running =
            processes.start(|| Ok::<_, ()>(Running::new(0, step, 100, Some("tracked".to_owned())))).unwrap();
        let all = [
            entry(own, 1, own, 1),
            entry(own + 1, own, own + 1, 100),
            entry(own + 2, own + 1, own + 2, 101),
            entry(own + 3, own, own + 1, 102),
            entry(own + 4, 1, own + 1, 200),
        ];
        let numbers: Vec<i32> = processes.tree_of(&running, &all).iter().map(|entry| entry.pid).collect();
        assert_eq!(numbers, [own + 1, own + 3, own + 2]);
    }
}
