//! The agent's main loop: one request after another from one stream.
//!
//! Small requests are carried out here at once; processes, archives and hashes get threads, so that the loop is always
//! ready for a signal. It never waits for room in a window: room is handed out here.
//!
//! ```text
//! greeting ──> session: requests ──> shutdown, or the end of the stream
//!    ↑               │
//!    └── a greeting in the place of a request (virtual machines only): processes run on, unheard
//! ```

use std::fs::File;
use std::io::{self, BufReader};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use rustix::process::{DumpableBehavior, Signal};

use crate::archive::Archives;
use crate::exec;
use crate::files;
use crate::frame::{self, FrameError, Incoming, Preamble};
use crate::hash::hash_files;
use crate::init;
use crate::output::{Failure, Replies};
use crate::protocol::{Configuration, Reply, Request, Scope, Usage, User};
use crate::reaper::Processes;
use crate::template::{self, Became, TemplateError};
use crate::terminal;
use crate::which::which;

/// Why an agent ended before its time.
#[derive(Debug, thiserror::Error)]
enum AgentError {
    #[error(transparent)]
    Stream(#[from] FrameError),
    #[error(transparent)]
    Template(#[from] TemplateError),
}

/// Serves the stream at descriptor 0 until it ends; for a program that is nothing but the agent. With
/// [`template::ARGUMENT`] as its last argument it takes a template's orders from there instead, and what is forked serves
/// the stream that came with the order. As the first process of a virtual machine it sets that up, and serves its channel.
pub fn main() -> ExitCode {
    if init::is_asked_for() {
        init::run();
    }
    let is_template = std::env::args_os().next_back().is_some_and(|last| last == template::ARGUMENT);
    match run(is_template) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

/// Serves the connections to the listening socket at descriptor 0 as the first process of a virtual machine does: it can be greeted
/// anew, and be configured. For whatever stands in for a virtual machine, with the namespaces and rights that the
/// configuration takes.
pub fn main_of_machine() -> ExitCode {
    match serve_machine() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            init::complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn serve_machine() -> Result<(), init::InitError> {
    let listener = take_stdin().map_err(init::failed("take the listening socket"))?;
    become_init();
    let mut server = Server::start(Kind::Machine).map_err(init::failed("start to wait for processes"))?;
    init::channel::serve_connections(&mut server, &listener.into())
}

fn run(is_template: bool) -> Result<(), AgentError> {
    let stream = take_stdin().map_err(FrameError::Stream)?;
    let stream = match is_template {
        true => match template::run(stream.into())? {
            Became::Machine(stream) => stream,
            Became::Nothing => return Ok(()),
        },
        false => stream,
    };
    Ok(serve(stream)?)
}

#[expect(clippy::print_stderr, reason = "the agent's standard error is its log on the host")]
fn report(error: &AgentError) {
    match std::error::Error::source(error) {
        Some(source) => eprintln!("guest agent: {error}: {source}"),
        None => eprintln!("guest agent: {error}"),
    }
}

/// What the caller's caller left open for its children, a file or a terminal, is not for the steps. A kernel before 5.11 does
/// not know the call; nothing else depends on it.
#[expect(unsafe_code, reason = "no safe binding offers close_range")]
pub(crate) fn keep_descriptors_from_steps() {
    let first_after_standard = 3;
    // SAFETY: the call takes no pointers, and marks descriptors to be closed in programs started later; none is closed here.
    unsafe {
        libc::syscall(
            libc::SYS_close_range,
            first_after_standard,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        );
    }
}

/// Moves the stream away from descriptor 0, where processes would inherit it.
fn take_stdin() -> io::Result<File> {
    keep_descriptors_from_steps();
    let stream = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(File::from(stream))
}

/// Serves one stream. Takes over the whole process: it becomes the parent of all orphans and reaps every child.
fn serve(stream: File) -> Result<(), FrameError> {
    become_init();
    let mut server = Server::start(Kind::Guest).map_err(FrameError::Stream)?;
    let result = server.serve(stream);
    server.processes.kill_everything();
    result.map(|_| ())
}

/// What the agent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A process among others: one host greets it once.
    Guest,
    /// The first process of a virtual machine, which may be copied: it can be greeted anew, by another host, and be configured.
    Machine,
}

/// How the serving of a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The host asked for the end, and all is killed.
    Shutdown,
    /// The stream ended.
    Stream,
}

/// What outlives a session: the processes, and who the machine is.
pub(crate) struct Server {
    kind: Kind,
    processes: Arc<Processes>,
    user: Option<User>,
}

impl Server {
    /// Starts to reap children.
    pub(crate) fn start(kind: Kind) -> io::Result<Self> {
        let processes = Arc::new(Processes::default());
        let reaped = Arc::clone(&processes);
        std::thread::Builder::new().name("reaper".to_owned()).spawn(move || reaped.reap())?;
        Ok(Self { kind, processes, user: None })
    }

    /// Serves a stream to its end: one session after another.
    pub(crate) fn serve(&mut self, stream: File) -> Result<Ended, FrameError> {
        let writer = stream.try_clone().map_err(FrameError::Stream)?;
        let mut stream = BufReader::with_capacity(frame::READ_BUFFER, stream);
        let mut greeting = frame::read_preamble(&mut stream);
        loop {
            let replies = Arc::new(Replies::new(writer.try_clone().map_err(FrameError::Stream)?));
            let nonce = match &greeting {
                Ok(preamble) => preamble.nonce,
                // Answered all the same, so that the host can say which version it met.
                Err(FrameError::Version { .. }) => [0; 16],
                Err(_) => return greeting.map(|_| Ended::Stream),
            };
            replies.send_raw(&Preamble::new(nonce).encode()).map_err(FrameError::Stream)?;
            greeting?;
            let mut session = Agent { replies, server: self, archives: Archives::default() };
            let next = session.requests(&mut stream);
            session.close();
            greeting = match next {
                Ok(Next::Stop(ended)) => return Ok(ended),
                Ok(Next::Greeted(preamble)) => Ok(preamble),
                Err(error @ FrameError::Version { .. }) => Err(error),
                Err(error) => return Err(error),
            };
        }
    }
}

/// Each part fails only where there is nothing to be had by it: already a session's leader, or an old kernel.
pub(crate) fn become_init() {
    let _ = rustix::process::setsid();
    let own = rustix::process::getpid();
    if own.is_init() {
        // What made this machine is gone, and with the first process goes everything. An agent that is not the first
        // must not die like this, but kill what it started.
        let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    }
    let _ = rustix::process::set_child_subreaper(Some(own));
    // Steps run as the same user: this keeps their debuggers out of the agent.
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// One session: what a host asks for after its greeting.
struct Agent<'a> {
    replies: Arc<Replies>,
    server: &'a mut Server,
    archives: Archives,
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

enum Next {
    Greeted(Preamble),
    Stop(Ended),
}

impl Agent<'_> {
    fn requests(&mut self, stream: &mut BufReader<File>) -> Result<Next, FrameError> {
        let mut body = Vec::new();
        loop {
            let incoming = match self.server.kind {
                Kind::Guest if frame::read_frame(stream, &mut body)? => Incoming::Frame,
                Kind::Guest => Incoming::End,
                Kind::Machine => frame::read_frame_or_preamble(stream, &mut body)?,
            };
            match incoming {
                Incoming::Frame => {}
                Incoming::Greeting(preamble) => return Ok(Next::Greeted(preamble)),
                Incoming::End => return Ok(Next::Stop(Ended::Stream)),
            }
            let request = frame::decode_request(&body)?;
            match self.carry_out(request) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => return Ok(Next::Stop(Ended::Shutdown)),
                // A host that went away while it was answered is no different from one that did so in between.
                Err(FrameError::Stream(error)) if is_gone(&error) => return Ok(Next::Stop(Ended::Stream)),
                Err(error) => return Err(error),
            }
        }
    }

    /// Leaves nothing of the session that could speak in the next; processes run on.
    fn close(&mut self) {
        self.replies.close();
        self.archives.abandon_all();
        self.server.processes.disown();
    }

    /// An error is a stream that cannot be written to any more, or a host that does not keep to the protocol.
    fn carry_out(&mut self, request: Request) -> Result<ControlFlow<()>, FrameError> {
        let processes = &self.server.processes;
        match request {
            Request::Exec { id, exec } => {
                exec::start(id, exec, self.server.user.as_ref(), processes, &self.replies)?;
            }
            Request::Signal { id, process, signal, scope } => self.signal(id, process, signal, scope)?,
            Request::KillRest { id, process } => {
                processes.kill_rest(process);
                self.replies.send(&Reply::Done { id })?;
            }
            Request::Input { process, data } => {
                let inbox = processes.get(process).and_then(|running| running.inbox.clone());
                if inbox.is_some_and(|inbox| inbox.push(data.into_vec()).is_err()) {
                    return Err(FrameError::Overrun { process });
                }
            }
            Request::EndInput { process } => {
                if let Some(inbox) = processes.get(process).and_then(|running| running.inbox.clone()) {
                    inbox.end();
                }
            }
            Request::Resize { id, process, size } => {
                let terminal = processes.get(process).and_then(|running| running.terminal.clone());
                let resized = terminal.map_or(Ok(()), |terminal| terminal::resize(&terminal, size));
                self.replies
                    .finish(id, resized.map_err(|error| Failure::new("resize the terminal", &error)))?;
            }
            Request::Grant { id, bytes } => match processes.get(id) {
                Some(running) => running.window.grant(bytes),
                None => self.archives.grant(id, bytes),
            },
            Request::Abandon { id } => {
                self.archives.abandon(id);
                if let Some(running) = processes.get(id) {
                    running.window.abandon();
                    processes.signal(id, Signal::KILL, Scope::Tree);
                }
            }
            Request::WriteFiles { id, files } => self.replies.finish(id, files::write(&files))?,
            Request::ReadFiles { id, paths, max_bytes } => {
                let result = files::read(id, &paths, max_bytes, &self.replies);
                self.replies.finish(id, result)?;
            }
            Request::Which { id, names, path } => {
                let find = |name: &String| {
                    which(name, &path, Path::new("/")).map(|file| file.to_string_lossy().into_owned())
                };
                let paths = names.iter().map(find).collect();
                self.replies.send(&Reply::Paths { id, paths })?;
            }
            Request::Hash { id, root, patterns } => self.hash(id, root, patterns)?,
            Request::PutTar { id, destination } => self.archives.put(id, destination, &self.replies)?,
            Request::TarChunk { id, data } => self.archives.chunk(id, data.into_vec()),
            Request::GetTar { id, root, entries } => self.archives.get(id, root, entries, &self.replies)?,
            Request::Shutdown { id } => {
                processes.kill_everything();
                self.replies.send(&Reply::Usage { id, usage: usage_of_children() })?;
                return Ok(ControlFlow::Break(()));
            }
            Request::Configure { id, configuration } => {
                let configured = self.configure(*configuration);
                self.replies.finish(id, configured)?;
            }
            Request::Reach { id } => self.replies.send(&Reply::Done { id })?,
        }
        Ok(ControlFlow::Continue(()))
    }

    fn configure(&mut self, configuration: Configuration) -> Result<(), Failure> {
        if self.server.kind != Kind::Machine {
            return Err(Failure::new("configure the machine", &"it is no virtual machine"));
        }
        crate::configure::configure(&configuration)?;
        self.server.user = Some(configuration.user);
        Ok(())
    }

    /// On a thread of its own: a workspace may be large.
    fn hash(&self, id: u32, root: String, patterns: Vec<String>) -> io::Result<()> {
        let replies = Arc::clone(&self.replies);
        let hash = move || {
            let sent = match hash_files(Path::new(&root), &patterns) {
                Ok(hash) => replies.send(&Reply::Hashed { id, hash }),
                Err(error) => replies.fail(id, format!("hash files below `{root}`"), &error),
            };
            // A host that is gone ends the agent from its reading side.
            drop(sent);
        };
        std::thread::Builder::new().name(format!("hash-{id}")).spawn(hash)?;
        Ok(())
    }

    fn signal(&self, id: u32, process: u32, signal: i32, scope: Scope) -> io::Result<()> {
        let Some(signal) = Signal::from_named_raw(signal) else {
            return self.replies.fail(id, format!("send signal {signal}"), &"there is no such signal");
        };
        self.server.processes.signal(process, signal, scope);
        self.replies.send(&Reply::Done { id })
    }
}

/// What all processes that were waited for used.
fn usage_of_children() -> Usage {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is to memory of the right size and alignment, which the call only writes to.
    #[expect(unsafe_code, reason = "no safe binding offers getrusage")]
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr());
        // SAFETY: every bit pattern is a valid `rusage`, and the memory was zeroed.
        usage.assume_init()
    };
    let microseconds = |time: libc::timeval| {
        u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000 + u64::try_from(time.tv_usec).unwrap_or(0)
    };
    Usage {
        user_microseconds: microseconds(usage.ru_utime),
        system_microseconds: microseconds(usage.ru_stime),
        peak_kib: u64::try_from(usage.ru_maxrss).unwrap_or(0),
    }
}
