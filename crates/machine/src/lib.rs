//! Machines for jobs.
//!
//! A [`Backend`] boots a machine with the guest agent inside and hands over the byte stream to it. [`Machine`] is what
//! the backends have in common: processes, files and archives through the agent's protocol.
//!
//! * [`spec`]: what a machine is to be. [`backend`]: the seam between the two halves.
//! * [`host`]: plain processes, no isolation.
//! * [`namespace`]: bubblewrap, namespaces, seccomp.
//! * [`firecracker`], [`qemu`]: virtual machines. [`vm`]: what all virtual machines have in common.
//! * [`kvm`]: whether virtual machines can have the host's own processor.
//! * [`probe`]: what this host can do, and why it cannot do more.
//! * [`scratch`]: the folders that machines leave on the host, and their removal; [`leftovers`]: what else.
//! * [`lifecycle`]: the states of a machine. [`admission`]: how much memory there is for machines.
//!
//! Invariants: nothing here reads the caller's environment or home by itself, both come in the specification; a machine
//! that dies is an error for every process in it, never an exit status; all that waits in memory is bounded by the
//! protocol's windows; when a machine ends, or this process does, everything that ran in it is killed.

pub mod admission;
pub mod backend;
mod cgroup;
mod connection;
mod contents;
pub mod firecracker;
mod folders;
pub mod host;
pub mod kvm;
pub mod leftovers;
pub mod lifecycle;
mod machine;
pub mod namespace;
pub mod network;
pub mod probe;
mod process;
pub mod qemu;
pub mod scratch;
mod spawn;
pub mod spec;
mod started;
pub mod vm;

pub use backend::{
    Arrival, Backend, BackendName, BootError, Booted, ByteStream, Copied, Ending, PostMortem, SnapshotError,
    SnapshotSize,
};
pub use guest::protocol::{
    Exec as ExecSpec, ExitStatus, OutputMode, RunAs, Scope, Stdin, Stream, TerminalSize,
};
pub use machine::{FileToWrite, Machine, MachineError, Usage};
pub use process::{Output, Process, ProcessInput, Signaller};
pub use spec::{AgentCommand, Caller, Content, Folder, MachineSpec, Network, Place, Size};
