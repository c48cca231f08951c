//! An agent that has been started, and its end.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::Pid;
use tokio::net::UnixStream;

use crate::backend::{BootError, ByteStream, Ending, PostMortem};
use crate::connection::with_log;
use crate::scratch::{Layout, Removal, Scratch};
use crate::spawn::MachineProcess;
use crate::spec::MachineSpec;

/// Makes a machine's private folder, or takes a spare one.
pub(crate) fn create_scratch(spec: &MachineSpec, layout: &'static Layout) -> Result<Arc<Scratch>, BootError> {
    Scratch::create(&spec.scratch, &spec.name, layout)
        .map(Arc::new)
        .map_err(|source| BootError::Scratch { path: spec.scratch.clone(), source })
}

/// What an agent needs to be started: the two ends of its stream, and its log.
#[derive(Debug)]
pub(crate) struct Line {
    ours: UnixStream,
    theirs: Option<OwnedFd>,
    log: File,
}

impl Line {
    pub(crate) fn new() -> io::Result<Self> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        Ok(Self { ours: UnixStream::from_std(ours)?, theirs: Some(theirs.into()), log: log("agent-log")? })
    }

    /// The agent's end; it is closed here with what it is given to.
    pub(crate) fn theirs(&mut self) -> OwnedFd {
        self.theirs.take().expect("the agent's end is given away once")
    }

    /// The log, for the agent to write to.
    pub(crate) fn log(&self) -> io::Result<File> {
        self.log.try_clone()
    }

    /// The agent at the other end, once there is one.
    pub(crate) fn started(self, process: MachineProcess, scratch: Arc<Scratch>) -> Started {
        Started { stream: Some(self.ours), log: Arc::new(self.log), held: Some((process, scratch)) }
    }
}

/// The log of an agent and what made its machine.
struct Log(Arc<File>);

impl PostMortem for Log {
    fn examine(&self, heard: String) -> BoxFuture<'_, String> {
        Box::pin(std::future::ready(with_log(heard, Some(&self.0))))
    }
}

/// A file without a name, for complaints.
pub(crate) fn log(name: &str) -> io::Result<File> {
    Ok(File::from(memfd_create(name, MemfdFlags::CLOEXEC)?))
}

/// An agent with its stream. Where it is dropped before it is stopped, it ends all the same, and its files go after it.
#[derive(Debug)]
pub(crate) struct Started {
    stream: Option<UnixStream>,
    log: Arc<File>,
    /// Until it is stopped.
    held: Option<(MachineProcess, Arc<Scratch>)>,
}

impl Started {
    pub(crate) fn scratch(&self) -> &Path {
        let (_, scratch) = self.held.as_ref().expect("a machine that is stopped is not asked any more");
        scratch.path()
    }

    /// The number of its process, unless that has ended.
    pub(crate) fn pid(&self) -> Option<Pid> {
        self.held.as_ref()?.0.pid()
    }

    pub(crate) fn stream(&mut self) -> ByteStream {
        let (read, write) = self.stream.take().expect("the stream is asked for once").into_split();
        ByteStream { read: Box::new(read), write: Box::new(write) }
    }

    pub(crate) fn post_mortem(&self) -> Arc<dyn PostMortem> {
        Arc::new(Log(Arc::clone(&self.log)))
    }

    /// Ends the machine. Its files are removed once nothing runs in it any more, which only an [`Ending::Unknown`] waits
    /// for; `release` does it, and is told whether the machine ended by itself.
    pub(crate) async fn stop(mut self, ending: Ending, release: impl FnOnce(Scratch, bool) + Send + 'static) {
        // A stream that is still open would keep the agent waiting.
        self.stream = None;
        let (process, scratch) = self.held.take().expect("a machine is stopped once");
        let removal = Removal::start();
        let ended = tokio::task::spawn_blocking(move || {
            // Held until the files are gone, also where this is never run.
            let _removal = removal;
            let by_itself = process.end();
            release(Arc::into_inner(scratch).expect("what shared the folder ended with the boot"), by_itself);
        });
        match ending {
            // Nothing is left but the agent's own exit, and the tidying of the kernel and here, which takes a while.
            Ending::Killed => drop(ended),
            Ending::Unknown => ended.await.expect("removing a machine does not panic"),
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.stream = None;
        let Some((process, scratch)) = self.held.take() else { return };
        let removal = Removal::start();
        let end = move || {
            let _removal = removal;
            process.end();
            drop(scratch);
        };
        // Without a thread the process still ends with its stream, and a later sweep finds what it leaves.
        drop(std::thread::Builder::new().name("machine-end".to_owned()).spawn(end));
    }
}
