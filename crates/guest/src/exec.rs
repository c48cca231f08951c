//! Starting processes and carrying their output to the host.
//!
//! A thread relays for each process:
//!
//! ```text
//! Running --process exits--> Draining --end of file, 250 ms of silence, or 10 s--> reported
//!                                                        '-- children hold the pipe --> Discarding
//! ```
//!
//! While discarding, the thread goes on reading, so that a server which a step left behind is not ended by a closed pipe.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, PidfdFlags};
use rustix::time::ClockId;

use crate::input::{Feed, Inbox, Sink};
use crate::output::{Failure, Replies};
use crate::protocol::{
    Exec, ExitStatus, MAX_CHUNK, OutputMode, Reply, RunAs, Stdin, Stream, TRACKING_VARIABLE, TerminalSize,
    User,
};
use crate::reaper::{Processes, Running};
use crate::terminal;
use crate::which::which;

/// How long the pipe must be silent after the process's end for its output to count as complete.
const QUIET: Duration = Duration::from_millis(250);

/// How long children of an ended process may go on writing before the process is reported as ended.
const MAX_DRAIN: Duration = Duration::from_secs(10);

/// Wished size of an output pipe in bytes; a refusal only costs speed.
const PIPE_SIZE: usize = 256 * 1024;

/// Stack of a relaying thread, which keeps its buffer elsewhere.
const RELAY_STACK: usize = 128 * 1024;

/// Starts a process and a thread that relays its output. Answers `Started` or `Failed`. `user` is the machine's, where it has
/// been configured.
pub(crate) fn start(
    id: u32,
    mut exec: Exec,
    user: Option<&User>,
    processes: &Arc<Processes>,
    replies: &Arc<Replies>,
) -> io::Result<()> {
    let (command, pipes) = match prepare(&mut exec, user) {
        Ok(prepared) => prepared,
        Err(failure) => return replies.fail(id, failure.operation, &failure.message),
    };
    let tracking = exec.env.into_iter().find(|(name, _)| name == TRACKING_VARIABLE).map(|(_, value)| value);
    let mut pidfd = None;
    let running = processes.start(|| {
        // Before it runs: its children must not seem older than it is.
        let start = ticks_since_boot();
        let (pid, fd) = spawn(command, &exec.argv[0])?;
        pidfd = Some(fd);
        let mut running = Running::new(id, pid, start, tracking);
        running.inbox = pipes.inbox;
        running.terminal = pipes.terminal;
        Ok::<_, Failure>(running)
    });
    let running = match running {
        Ok(running) => running,
        Err(failure) => return replies.fail(id, failure.operation, &failure.message),
    };
    replies.send(&Reply::Started { id, pid: running.pid.as_raw_nonzero().get() })?;
    let relay = Relay {
        processes: Arc::clone(processes),
        replies: Arc::clone(replies),
        pidfd: pidfd.expect("a process that was started has a descriptor"),
        sources: pipes.sources,
        feed: pipes.feed,
        buffer: vec![0; MAX_CHUNK],
        running,
    };
    std::thread::Builder::new()
        .name(format!("process-{id}"))
        .stack_size(RELAY_STACK)
        .spawn(|| relay.run())?;
    Ok(())
}

fn ticks_since_boot() -> u64 {
    let now = rustix::time::clock_gettime(ClockId::Boottime);
    let ticks = now.tv_sec * 100 + i64::from(now.tv_nsec as i32 / 10_000_000);
    u64::try_from(ticks).unwrap_or(0)
}

/// The agent's ends of what a process reads and writes.
#[derive(Default)]
struct Pipes {
    sources: Vec<Source>,
    feed: Option<Feed>,
    inbox: Option<Arc<Inbox>>,
    terminal: Option<Arc<OwnedFd>>,
}

fn prepare(exec: &mut Exec, user: Option<&User>) -> Result<(Command, Pipes), Failure> {
    let Some(name) = exec.argv.first() else {
        return Err(Failure::new("start a process", &"the command is empty"));
    };
    let operation = format!("start `{name}`");
    let folder = Path::new(&exec.cwd);
    if !folder.is_dir() {
        return Err(Failure::new(operation, &format!("there is no folder `{}` to start it in", exec.cwd)));
    }
    let path = exec.env.iter().rev().find(|(variable, _)| variable == "PATH").map_or("", |(_, value)| value);
    let Some(program) = which(name, path, folder) else {
        let place = if name.contains('/') { "there".to_owned() } else { format!("on PATH ({path})") };
        return Err(Failure::new(operation, &format!("no such program {place}")));
    };
    let mut command = Command::new(program);
    command.arg0(name).args(&exec.argv[1..]).env_clear().current_dir(folder);
    command.envs(exec.env.iter().map(|(variable, value)| (variable, value)));
    match (exec.user, user) {
        (_, None) => {}
        (RunAs::User, Some(user)) => drop(command.uid(user.uid).gid(user.gid)),
        // Said because the agent sees files as the machine's user does.
        (RunAs::Agent, Some(_)) => drop(command.uid(0).gid(0)),
    }
    let stdin = std::mem::take(&mut exec.stdin);
    let pipes = match exec.output {
        OutputMode::Terminal(size) => connect_terminal(&mut command, stdin, size),
        OutputMode::Merged => connect(&mut command, stdin, None),
        OutputMode::Separate => pipe().and_then(|stderr| connect(&mut command, stdin, Some(stderr))),
    };
    Ok((command, pipes.map_err(|error| Failure::new(operation, &error))?))
}

/// Connects pipes; standard error shares that of standard output where it has none of its own.
fn connect(command: &mut Command, stdin: Stdin, stderr: Option<(OwnedFd, OwnedFd)>) -> io::Result<Pipes> {
    // A group of its own, so that a signal can reach the step's processes together. A new session would cost a slower
    // way of starting; the agent's own session has no terminal already.
    command.process_group(0);
    let mut pipes = Pipes::default();
    if stdin == Stdin::Null {
        command.stdin(Stdio::null());
    } else {
        let (read, write) = pipe()?;
        rustix::io::ioctl_fionbio(&write, true)?;
        command.stdin(read);
        pipes.feed(stdin, Sink::Pipe(write))?;
    }
    let (stdout, write) = pipe()?;
    pipes.sources.push(Source { pipe: stdout, stream: Stream::Stdout });
    match stderr {
        None => command.stderr(write.try_clone()?),
        Some((stderr, write)) => {
            pipes.sources.push(Source { pipe: stderr, stream: Stream::Stderr });
            command.stderr(write)
        }
    };
    command.stdout(write);
    Ok(pipes)
}

fn connect_terminal(command: &mut Command, stdin: Stdin, size: TerminalSize) -> io::Result<Pipes> {
    let (ours, theirs) = terminal::open(size)?;
    terminal::attach(command, theirs)?;
    let mut pipes = Pipes::default();
    pipes.sources.push(Source { pipe: ours.try_clone()?, stream: Stream::Stdout });
    let ours = Arc::new(ours);
    pipes.feed(stdin, Sink::Terminal(Arc::clone(&ours)))?;
    pipes.terminal = Some(ours);
    Ok(pipes)
}

impl Pipes {
    fn feed(&mut self, stdin: Stdin, sink: Sink) -> io::Result<()> {
        self.feed = Some(match stdin {
            Stdin::Null => Feed::whole(sink, Vec::new()),
            Stdin::Bytes(bytes) => Feed::whole(sink, bytes.into_vec()),
            Stdin::Stream => {
                let inbox = Arc::new(Inbox::new()?);
                self.inbox = Some(Arc::clone(&inbox));
                Feed::streamed(sink, inbox)
            }
        });
        Ok(())
    }
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    // The limit for one user's pipes may be reached; the default size works too.
    let _ = rustix::pipe::fcntl_setpipe_size(&read, PIPE_SIZE);
    Ok((read, write))
}

fn spawn(mut command: Command, name: &str) -> Result<(Pid, OwnedFd), Failure> {
    let operation = || format!("start `{name}`");
    let child = command.spawn().map_err(|error| Failure::new(operation(), &error))?;
    let pid = Pid::from_child(&child);
    // The command holds the other ends of the pipes.
    drop(command);
    match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => Ok((pid, pidfd)),
        Err(error) => {
            crate::tree::send(pid, rustix::process::Signal::KILL);
            Err(Failure::new(operation(), &io::Error::from(error)))
        }
    }
}

#[derive(Debug)]
struct Source {
    pipe: OwnedFd,
    stream: Stream,
}

struct Relay {
    processes: Arc<Processes>,
    replies: Arc<Replies>,
    running: Arc<Running>,
    pidfd: OwnedFd,
    sources: Vec<Source>,
    feed: Option<Feed>,
    buffer: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Running,
    Draining { status: ExitStatus, since: Instant, last_output: Instant },
    Discarding,
}

/// What a poll found ready.
struct Ready {
    exited: bool,
    feed: bool,
    sources: Vec<bool>,
}

impl Relay {
    fn run(mut self) {
        let mut phase = Phase::Running;
        self.feed();
        loop {
            phase = match phase {
                Phase::Draining { status, since, last_output } if self.is_drained(since, last_output) => {
                    self.processes.forget(&self.running);
                    // A host that is gone needs no report.
                    let _ = self.replies.send(&Reply::Exited { id: self.running.id, status });
                    Phase::Discarding
                }
                Phase::Discarding if self.sources.is_empty() => return,
                other => self.step(other),
            };
        }
    }

    fn is_drained(&self, since: Instant, last_output: Instant) -> bool {
        self.sources.is_empty() || last_output.elapsed() >= QUIET || since.elapsed() >= MAX_DRAIN
    }

    fn step(&mut self, phase: Phase) -> Phase {
        let Ok(ready) = self.poll(phase) else { return phase };
        if ready.feed {
            self.feed();
        }
        let mut any_output = false;
        let mut index = 0;
        for is_ready in ready.sources {
            if is_ready && !self.relay(index, phase, &mut any_output) {
                self.sources.remove(index);
            } else {
                index += 1;
            }
        }
        match phase {
            Phase::Running if ready.exited => {
                self.feed = None;
                let status = self.running.wait();
                self.processes.bury(&self.running);
                let now = Instant::now();
                Phase::Draining { status, since: now, last_output: now }
            }
            Phase::Draining { status, since, .. } if any_output => {
                Phase::Draining { status, since, last_output: Instant::now() }
            }
            unchanged => unchanged,
        }
    }

    fn poll(&self, phase: Phase) -> Result<Ready, Errno> {
        let is_running = matches!(phase, Phase::Running);
        let timeout = match phase {
            Phase::Draining { since, last_output, .. } => Some(
                QUIET.saturating_sub(last_output.elapsed()).min(MAX_DRAIN.saturating_sub(since.elapsed())),
            ),
            Phase::Running | Phase::Discarding => None,
        };
        let timeout = timeout.map(|wait| Timespec::try_from(wait).expect("a drain is a few seconds long"));
        let mut fds: Vec<PollFd<'_>> =
            self.sources.iter().map(|source| PollFd::new(&source.pipe, PollFlags::IN)).collect();
        if is_running {
            fds.push(PollFd::new(&self.pidfd, PollFlags::IN));
        }
        if let Some(feed) = &self.feed {
            fds.extend(feed.waits_for_room().map(|sink| PollFd::new(sink, PollFlags::OUT)));
            fds.extend(feed.waits_for_more().map(|inbox| PollFd::new(inbox, PollFlags::IN)));
        }
        rustix::event::poll(&mut fds, timeout.as_ref())?;
        let mut events = fds.iter().map(|fd| !fd.revents().is_empty());
        let sources = events.by_ref().take(self.sources.len()).collect();
        let exited = is_running && events.next().unwrap_or(false);
        Ok(Ready { sources, exited, feed: events.any(|is_ready| is_ready) })
    }

    /// Passes on what the process reads now.
    fn feed(&mut self) {
        if self.feed.as_mut().is_some_and(|feed| !feed.advance(self.running.id, &self.replies)) {
            self.feed = None;
        }
    }

    /// Carries what a pipe holds to the host; `false` when the pipe has ended.
    fn relay(&mut self, index: usize, phase: Phase, any_output: &mut bool) -> bool {
        let Source { pipe, stream } = &self.sources[index];
        let count = match rustix::io::read(pipe.as_fd(), &mut self.buffer[..]) {
            Ok(0) => return false,
            Ok(count) => count,
            Err(Errno::INTR | Errno::AGAIN) => return true,
            Err(_) => return false,
        };
        *any_output = true;
        if !matches!(phase, Phase::Discarding) && self.running.window.take(count) {
            // A host that is gone ends the agent from its reading side.
            let _ = self.replies.send_output(self.running.id, *stream, &self.buffer[..count]);
        }
        true
    }
}
