//! What of a machine outlives the process that made it, and its removal by another.
//!
//! A process is named with the moment of its start and of its host's: a number that the kernel has given to another process
//! meanwhile names nobody.

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// How long what is killed may take to end.
const END_DEADLINE: Duration = Duration::from_secs(10);

/// The pause between two looks at processes that were killed.
const END_PAUSE: Duration = Duration::from_millis(5);

/// Most bytes of the host's own name that are kept.
const BOOT: usize = 8;

/// A process of this host, told from all others that ever have its number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProcessIdentity {
    pid: i32,
    /// Clock ticks between the host's start and its own.
    started: u64,
    /// The beginning of the name that the host's kernel gave itself at its start.
    boot: String,
}

impl ProcessIdentity {
    /// This process.
    pub fn own() -> io::Result<Self> {
        Self::of(rustix::process::getpid())
    }

    /// The process that has this number now.
    pub fn of(pid: Pid) -> io::Result<Self> {
        let pid = pid.as_raw_nonzero().get();
        Ok(Self { pid, started: started(pid)?, boot: boot()? })
    }

    /// Its number.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Whether it is still there; one that only waits to be reaped is not.
    pub fn is_alive(&self) -> bool {
        started(self.pid).is_ok_and(|started| started == self.started)
            && boot().is_ok_and(|boot| boot == self.boot)
    }

    /// Kills it, if it is still there, and waits for its end. Blocks.
    pub fn kill(&self) -> io::Result<()> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(()) };
        let Ok(descriptor) = pidfd_open(pid, PidfdFlags::empty()) else { return Ok(()) };
        // The descriptor stays that process's, so that nobody else gets the signal after this look.
        if !self.is_alive() {
            return Ok(());
        }
        match pidfd_send_signal(&descriptor, Signal::KILL) {
            Err(rustix::io::Errno::SRCH) => return Ok(()),
            sent => sent?,
        }
        let deadline = Timespec { tv_sec: END_DEADLINE.as_secs().cast_signed(), tv_nsec: 0 };
        match poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], Some(&deadline))? {
            0 => Err(io::Error::new(ErrorKind::TimedOut, "the process does not end")),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for ProcessIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}@{}@{}", self.pid, self.started, self.boot)
    }
}

impl FromStr for ProcessIdentity {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let unreadable = || Unreadable { text: text.to_owned() };
        let mut parts = text.splitn(3, '@');
        let mut next = || parts.next().ok_or_else(unreadable);
        let pid = next()?.parse().ok().filter(|pid| *pid > 0).ok_or_else(unreadable)?;
        let started = next()?.parse().map_err(|_| unreadable())?;
        Ok(Self { pid, started, boot: next()?.to_owned() })
    }
}

/// Something of a machine on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leftover {
    /// The program that runs the machine.
    Process(ProcessIdentity),
    /// A control group that limits it.
    Group(PathBuf),
}

impl Leftover {
    /// Ends or removes it; what is gone already is no error. Blocks until it is gone.
    pub fn remove(&self) -> io::Result<()> {
        match self {
            Self::Process(process) => process.kill(),
            Self::Group(folder) => remove_group(folder),
        }
    }
}

/// Kills what runs in a machine's control group and removes the group.
fn remove_group(folder: &Path) -> io::Result<()> {
    let deadline = Instant::now() + END_DEADLINE;
    loop {
        match fs::remove_dir(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == ErrorKind::ResourceBusy && Instant::now() < deadline => {}
            removed => return removed,
        }
        let members = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
        for member in members.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)) {
            // It fails for one that has ended meanwhile.
            let _ = rustix::process::kill_process(member, Signal::KILL);
        }
        std::thread::sleep(END_PAUSE);
    }
}

impl fmt::Display for Leftover {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(process) => write!(formatter, "process {process}"),
            Self::Group(folder) => write!(formatter, "group {}", folder.display()),
        }
    }
}

impl FromStr for Leftover {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        match text.split_once(' ') {
            Some(("process", process)) => process.parse().map(Self::Process),
            Some(("group", folder)) => Ok(Self::Group(PathBuf::from(folder))),
            _ => Err(Unreadable { text: text.to_owned() }),
        }
    }
}

/// A text that names nothing that could be removed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` names nothing that a machine leaves")]
pub struct Unreadable {
    /// The text.
    pub text: String,
}

fn boot() -> io::Result<String> {
    let name = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(name.trim().chars().take(BOOT).collect())
}

fn started(pid: i32) -> io::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_started(&stat).ok_or_else(|| io::Error::new(ErrorKind::NotFound, "the process has ended"))
}

/// When a process that has not ended started: the 22nd field of its `stat`. Its name, the second, may hold anything.
fn parse_started(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?;
    (!matches!(state, "Z" | "X")).then(|| fields.nth(18)?.parse().ok())?
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use rustix::process::Pid;

    use super::{Leftover, ProcessIdentity, parse_started};

    fn sleeper() -> std::process::Child {
        Command::new("sleep").arg("1000").stdout(Stdio::null()).spawn().unwrap()
    }

    #[test]
    fn a_process_is_alive_until_it_ends() {
        assert!(ProcessIdentity::own().unwrap().is_alive());
        let mut child = sleeper();
        let identity = ProcessIdentity::of(Pid::from_child(&child)).unwrap();
        assert!(identity.is_alive());
        assert_eq!(identity.to_string().parse(), Ok(identity.clone()));
        Leftover::Process(identity.clone()).remove().unwrap();
        child.wait().unwrap();
        assert!(!identity.is_alive());
        Leftover::Process(identity).remove().unwrap();
    }

    #[test]
    fn a_process_with_the_number_of_one_that_ended_is_spared() {
        let mut child = sleeper();
        let identity = ProcessIdentity::of(Pid::from_child(&child)).unwrap();
        for other in [
            ProcessIdentity { started: identity.started + 1, ..identity.clone() },
            ProcessIdentity { boot: "another".to_owned(), ..identity.clone() },
        ] {
            assert!(!other.is_alive());
            other.kill().unwrap();
        }
        assert!(child.try_wait().unwrap().is_none());
        identity.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn the_start_is_found_behind_any_name() {
        let fields = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20";
        assert_eq!(parse_started(&format!("12 (a) b) {fields}")), Some(4711));
        assert_eq!(parse_started(&format!("12 (a) {}", fields.replace('S', "Z"))), None);
        assert_eq!(parse_started("12 (a"), None);
        assert_eq!(parse_started(""), None);
    }

    #[test]
    fn what_is_kept_as_text_is_read_again_or_refused() {
        for text in ["process 12@34@abc", "group /sys/fs/cgroup/pids/firedog-x"] {
            assert_eq!(text.parse::<Leftover>().unwrap().to_string(), text);
        }
        for text in ["", "process", "process 12", "process 0@1@a", "process -3@1@a", "folder /home"] {
            assert!(text.parse::<Leftover>().is_err(), "{text}");
        }
    }
}
