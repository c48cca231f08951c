//! The seam between a way of making machines and what all machines do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use guest::protocol::Configuration;
use network::Refusals;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::connection::GREETING_DEADLINE;
use crate::leftovers::Leftover;
use crate::spec::{MachineSpec, Place};
use crate::vm::disk::DiskError;
use crate::vm::snapshot::Unusable;

/// A way of making machines.
pub trait Backend: Send + Sync + fmt::Debug {
    /// Which one.
    fn name(&self) -> BackendName;

    /// Makes a machine with the guest agent running inside, not yet greeted.
    fn boot<'a>(&'a self, spec: &'a MachineSpec) -> BoxFuture<'a, Result<Box<dyn Booted>, BootError>>;

    /// What to change on this host when a machine could not be made, if that is known.
    fn remedy(&self) -> Option<String> {
        None
    }

    /// Whether its machines can be kept as snapshots of their memory and disk.
    fn has_snapshots(&self) -> bool {
        false
    }

    /// Makes a machine that goes on from a snapshot, with its agent not yet greeted. The snapshot stays as it is: any number of machines
    /// may be made from it, also at the same time. What `spec` says of folders is not looked at, they are in the snapshot.
    fn restore<'a>(
        &'a self,
        _spec: &'a MachineSpec,
        snapshot: &'a Path,
    ) -> BoxFuture<'a, Result<Box<dyn Booted>, BootError>> {
        let error = BootError::Unavailable {
            backend: self.name(),
            reason: format!("it cannot restore the snapshot `{}`: it has none of memory", snapshot.display()),
        };
        Box::pin(std::future::ready(Err(error)))
    }
}

/// A machine that has been made and whose agent can be greeted.
pub trait Booted: Send {
    /// The byte stream to the agent. Called once.
    fn stream(&mut self) -> ByteStream;

    /// Where a place is, as a path inside the machine.
    fn path_of(&self, place: Place) -> String;

    /// The environment that processes in the machine start from: `PATH`, `HOME`, and where the tools are.
    fn environment(&self) -> Vec<(String, String)>;

    /// Who can tell why the machine was lost.
    fn post_mortem(&self) -> Arc<dyn PostMortem>;

    /// What has to be done inside, through the agent, before the machine is itself. Called once.
    fn arrival(&mut self) -> Option<Arrival> {
        None
    }

    /// Where what its network refuses is collected; none for a machine whose network refuses nothing.
    fn refusals(&self) -> Option<Refusals> {
        None
    }

    /// What of it is left on the host, besides its folder, if this process is killed.
    fn leftovers(&self) -> Vec<Leftover> {
        Vec::new()
    }

    /// The folders of the host that hold all of the machine's own files, by names that are the same for each machine of the
    /// backend. None where they are elsewhere, as on the disk of a virtual machine.
    fn host_folders(&self) -> Vec<(&'static str, PathBuf)> {
        Vec::new()
    }

    /// Pauses the machine, saves its memory, devices and disk into the folder `into`, which is made, and lets it go on. A
    /// snapshot that failed leaves no folder.
    fn snapshot<'a>(&'a mut self, _into: &'a Path) -> BoxFuture<'a, Result<SnapshotSize, SnapshotError>> {
        Box::pin(std::future::ready(Err(SnapshotError::Unavailable)))
    }

    /// Whether a snapshot, also one that failed, breaks the stream to the agent. The stream must be closed before, and
    /// [`Booted::renewed_stream`] is in its place afterwards; processes in the machine run on, and their output is lost.
    fn breaks_stream(&self) -> bool {
        false
    }

    /// The stream to the agent after a snapshot; none where the agent does not answer any more.
    fn renewed_stream(&mut self) -> Option<ByteStream> {
        None
    }

    /// Ends the machine, if need be by force, and removes what it left on the host; the latter may take a while longer.
    fn stop(self: Box<Self>, ending: Ending) -> BoxFuture<'static, ()>;
}

/// Finds out what a machine died of.
pub trait PostMortem: Send + Sync {
    /// How long the agent may take to answer the greeting.
    fn patience(&self) -> Duration {
        GREETING_DEADLINE
    }

    /// What the machine's own kernel last killed for want of memory, as it says; none where that is not known.
    fn out_of_memory(&self) -> Option<String> {
        None
    }

    /// The reason in one line, given what the stream to the agent told, such as that it ended. May wait some seconds for the machine's
    /// own end.
    fn examine(&self, heard: String) -> BoxFuture<'_, String>;
}

/// What is done in a machine through its agent before anything else is.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// Who the machine is.
    pub configuration: Configuration,
    /// What its folders begin with: copied from the host to these paths inside, in their order.
    pub contents: Vec<(Copied, String)>,
}

/// Files of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// The folder that `entries` are relative to.
    pub root: PathBuf,
    /// Files, links and folders, the latter without what is in them; or all that is in `root`.
    pub entries: Option<Arc<Vec<PathBuf>>>,
}

/// What a snapshot takes on the host's disk, in bytes that are allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SnapshotSize {
    /// Memory and the state of the devices.
    pub memory: u64,
    /// The machine's own disk.
    pub disk: u64,
}

/// Why a machine was not kept as a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The machine is of a backend that has no snapshots of memory.
    #[error("this machine cannot be kept as a snapshot: its backend has none of memory")]
    Unavailable,
    /// A file of the snapshot could not be written.
    #[error("cannot write `{}` of the snapshot", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The program that runs the machine refused.
    #[error("cannot {operation} the machine: {reason}")]
    Refused {
        /// `pause`, `save` or `resume`.
        operation: &'static str,
        /// What it said.
        reason: String,
    },
}

/// What is known about a machine that is to be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The agent has said that it killed everything, and is about to end.
    Killed,
    /// Anything may still run.
    Unknown,
}

/// The two directions of the stream to a guest agent.
pub struct ByteStream {
    /// From the agent.
    pub read: Box<dyn AsyncRead + Send + Unpin>,
    /// To the agent.
    pub write: Box<dyn AsyncWrite + Send + Unpin>,
}

impl fmt::Debug for ByteStream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ByteStream")
    }
}

/// The backends by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BackendName {
    /// Processes of the host, without isolation.
    Host,
    /// Linux namespaces by bubblewrap.
    Namespace,
    /// Virtual machines by QEMU.
    Qemu,
    /// MicroVMs by Firecracker.
    Firecracker,
}

impl fmt::Display for BackendName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Host => "host",
            Self::Namespace => "namespace",
            Self::Qemu => "qemu",
            Self::Firecracker => "firecracker",
        })
    }
}

/// Why a machine could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// The machine's private folder could not be made.
    #[error("cannot make the machine's folder `{}`", path.display())]
    Scratch {
        /// The folder or file concerned.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file could not be copied into the machine.
    #[error("cannot copy `{}` into the machine", path.display())]
    Copy {
        /// The file on the host.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The machine's own disk could not be made.
    #[error("the machine has no disk")]
    Disk {
        /// Why.
        #[source]
        source: DiskError,
    },
    /// The snapshot is damaged or of something else.
    #[error("the snapshot `{}` cannot be gone on from", path.display())]
    Snapshot {
        /// Its folder.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Unusable,
    },
    /// The machine could not be connected to a network.
    #[error("cannot connect the machine to a network")]
    Network {
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A program that the backend needs could not be started.
    #[error("cannot start `{}`", program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The program that runs the machine did not do so.
    #[error("{program} does not run the machine: {reason}")]
    Refused {
        /// The program, with its version.
        program: String,
        /// What it said, or what became of it.
        reason: String,
    },
    /// The machine was made, but its agent did not answer as it should.
    #[error("the machine's guest agent did not answer: {reason}")]
    NoAgent {
        /// What happened instead, and what the agent or the backend complained about.
        reason: String,
    },
    /// This host cannot make such machines.
    #[error("the {backend} backend does not work here: {reason}")]
    Unavailable {
        /// The backend.
        backend: BackendName,
        /// What is missing and what to do about it.
        reason: String,
    },
}
