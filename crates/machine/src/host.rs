//! Machines without isolation: the agent is a plain process of the host, and steps run beside it as the caller.
//!
//! The caller's home and tools are used as they are. Only the workspace, the temporary folder and the like are the
//! machine's own. The agent leads a session of its own, so that a terminal's signals do not reach it, and ends with its
//! stream: whatever happens to this process, nothing that ran in the machine goes on.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use rustix::fs::{MemfdFlags, memfd_create};
use tokio::net::UnixStream;

use crate::backend::{Backend, BackendName, BootError, Booted, ByteStream, Ending};
use crate::folders;
use crate::scratch::{Layout, Removal, Scratch};
use crate::spawn::MachineProcess;
use crate::spec::{Content, MachineSpec, Place};

/// A machine's folder is never used again, because a process that got away may still write to it.
const LAYOUT: Layout = Layout { name: "host", folders: &[] };

/// The host itself as a machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Host;

impl Backend for Host {
    fn name(&self) -> BackendName {
        BackendName::Host
    }

    fn boot<'a>(&'a self, spec: &'a MachineSpec) -> BoxFuture<'a, Result<Box<dyn Booted>, BootError>> {
        Box::pin(async move {
            let scratch = create_scratch(spec, &LAYOUT)?;
            folders::make(|place| folder_of(scratch.path(), place))?;
            folders::copy(spec, &scratch, |place| folder_of(scratch.path(), place)).await?;
            let mut command = Command::new(&spec.agent.program);
            command.args(&spec.agent.arguments).env_clear().current_dir("/").stdout(Stdio::null());
            let started = Started::start(command, scratch).await?;
            let paths = Place::ALL.into_iter().map(|place| (place, path_of(spec, place, &started))).collect();
            let booted = HostMachine { paths, environment: environment(spec), started };
            Ok(Box::new(booted) as Box<dyn Booted>)
        })
    }
}

pub(crate) fn create_scratch(spec: &MachineSpec, layout: &'static Layout) -> Result<Arc<Scratch>, BootError> {
    Scratch::create(&spec.scratch, &spec.name, layout)
        .map(Arc::new)
        .map_err(|source| BootError::Scratch { path: spec.scratch.clone(), source })
}

/// Where a place's own folder is among the machine's private files.
fn folder_of(scratch: &Path, place: Place) -> PathBuf {
    scratch.join(match place {
        Place::Workspace => "workspace",
        Place::Temp => "temp",
        Place::Home => "home",
        Place::ToolCache => "toolcache",
        Place::Actions => "actions",
    })
}

fn path_of(spec: &MachineSpec, place: Place, started: &Started) -> String {
    let path = match (place, spec.content(place)) {
        (_, Content::ReadOnly(root)) => root.clone(),
        (Place::Home, Content::Empty) if !spec.caller.home.as_os_str().is_empty() => spec.caller.home.clone(),
        _ => folder_of(started.scratch(), place),
    };
    path.to_string_lossy().into_owned()
}

/// The caller's whole environment: a machine without isolation is as the caller's shell would be.
fn environment(spec: &MachineSpec) -> Vec<(String, String)> {
    spec.caller.environment.clone()
}

/// An agent that was started with one end of a socket pair as its descriptor 0. Where it is dropped before it is stopped, it
/// ends all the same, and its files go after it.
#[derive(Debug)]
pub(crate) struct Started {
    stream: Option<UnixStream>,
    log: Arc<File>,
    /// Until it is stopped.
    held: Option<(MachineProcess, Arc<Scratch>)>,
}

impl Started {
    /// Starts `command`, which is the agent or brings it about, and gives it its stream and a log.
    pub(crate) async fn start(mut command: Command, scratch: Arc<Scratch>) -> Result<Self, BootError> {
        let program = PathBuf::from(command.get_program());
        let failed = |source| BootError::Spawn { program: program.clone(), source };
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(failed)?;
        ours.set_nonblocking(true).map_err(failed)?;
        let log = memfd_create("agent-log", MemfdFlags::CLOEXEC).map_err(|error| failed(error.into()))?;
        let log = File::from(log);
        command.stdin(OwnedFd::from(theirs)).stderr(log.try_clone().map_err(failed)?);
        let stream = UnixStream::from_std(ours).map_err(failed)?;
        let process = MachineProcess::spawn(command).await.map_err(failed)?;
        Ok(Self { stream: Some(stream), log: Arc::new(log), held: Some((process, scratch)) })
    }

    fn scratch(&self) -> &Path {
        let (_, scratch) = self.held.as_ref().expect("a machine that is stopped is not asked any more");
        scratch.path()
    }

    pub(crate) fn stream(&mut self) -> ByteStream {
        let (read, write) = self.stream.take().expect("the stream is asked for once").into_split();
        ByteStream { read: Box::new(read), write: Box::new(write) }
    }

    pub(crate) fn log(&self) -> Arc<File> {
        Arc::clone(&self.log)
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

struct HostMachine {
    started: Started,
    paths: Vec<(Place, String)>,
    environment: Vec<(String, String)>,
}

impl Booted for HostMachine {
    fn stream(&mut self) -> ByteStream {
        self.started.stream()
    }

    fn path_of(&self, place: Place) -> String {
        let found = self.paths.iter().find(|(known, _)| *known == place);
        found.expect("every place has a path").1.clone()
    }

    fn environment(&self) -> Vec<(String, String)> {
        self.environment.clone()
    }

    fn log(&self) -> Option<Arc<File>> {
        Some(self.started.log())
    }

    fn stop(self: Box<Self>, ending: Ending) -> BoxFuture<'static, ()> {
        Box::pin(self.started.stop(ending, |scratch, _| drop(scratch)))
    }
}
