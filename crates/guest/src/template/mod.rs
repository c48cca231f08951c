//! An agent that is forked for each machine, instead of being started for each.
//!
//! A sandbox that holds what all machines have in common runs the agent as a *template*: it serves no machine itself, but
//! takes orders, one packet each, from a socket that only its host has the other end of. For each order it forks. The child
//! enters namespaces of its own, mounts what is this machine's, gives up every right to change any of that again, and
//! then is an agent like any other.
//!
//! ```text
//! Prepare ──> (mounts of all machines) ──> Fork ──> child: namespaces ──> mounts ──> rights given up ──> serve
//!                                           ↑ └───> parent: answers with the child's descriptor
//!                                           └────────────┘
//! ```
//!
//! Invariants: the template has one thread, so that a fork is a whole copy; it runs no program and reads nothing but its
//! orders; nothing of it, its socket included, is in reach of a machine; the machines' processes are in process namespaces
//! inside its own, so that its end is theirs.

mod enter;
mod packet;
mod serve;

use std::ffi::OsString;
use std::io;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::protocol::NetworkConfiguration;

pub use packet::{receive, send};
pub(crate) use serve::{Became, run};

/// The last argument of an agent that is to be a template.
pub const ARGUMENT: &str = "template";

/// Longest order or answer, in bytes.
pub const MAX_PACKET: usize = 128 * 1024;

/// What the host asks of a template. A program of another version never takes orders: the host brings its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// The first order, and only the first. Not answered; what fails ends the template.
    Prepare(Preparation),
    /// Fork a machine. Comes with two descriptors: the byte stream of its agent, and the file that is its log; where the machine
    /// gets a network device, with a third: the socket to which it sends the device's other end.
    Fork(Fork),
}

/// What all machines of a template have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preparation {
    /// Mounts that are made once, in the template.
    pub mounts: Vec<Mount>,
    /// The user that the machines' processes see themselves as.
    pub user: u32,
    /// Their group.
    pub group: u32,
    /// The system call filter of the machines: instructions of 8 bytes, as the kernel takes them.
    pub filter: ByteBuf,
}

/// A machine to fork.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fork {
    /// Mounts of this machine alone, made in their order.
    pub mounts: Vec<Mount>,
    /// What network it has.
    pub network: ForkNetwork,
}

/// The network of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each variant explains its fields")]
pub enum ForkNetwork {
    /// The template's.
    Shared,
    /// Its own, which is nothing but a loopback interface.
    Loopback,
    /// Its own, with a device that the clone device at `by` makes. Its other end, which gives packets without any head before
    /// them, is sent as [`Answer::Device`].
    Device { by: OsString, configuration: NetworkConfiguration },
}

/// A mount; every path is absolute, inside the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each variant explains its fields")]
pub enum Mount {
    /// What is at `from`, with all that is mounted there and just as writable, is also at `to`. A mount point that is missing
    /// is made.
    Bind { from: OsString, to: OsString },
    /// Nothing can be written at this place any more. It must be a mount already.
    ReadOnly { at: OsString },
    /// An empty folder in memory with these permission bits. A mount point that is missing is made.
    Empty { at: OsString, mode: u32, room: Room },
    /// The processes of the namespace that this is done in.
    Processes { at: OsString },
    /// A file with this text, in a folder that can be written.
    File { at: OsString, text: ByteBuf },
    /// Terminals of its own.
    Terminals { at: OsString },
    /// What is mounted at this place, and in it, is gone from here.
    Remove { at: OsString },
}

/// What fits into a folder in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Room {
    /// Nothing: it is read-only.
    Nothing,
    /// So many bytes.
    Bytes(u64),
    /// As much as half of the host's memory.
    Half,
}

/// What a template answers to [`Order::Fork`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each variant explains its fields")]
pub enum Answer {
    /// The machine's first process exists; its descriptor comes along. What fails in it later is in its log.
    Forked,
    /// There is no process.
    Failed { message: String },
    /// The other end of the machine's network device comes along. Sent by the machine itself, to its own socket.
    Device,
}

/// Why a template, or a machine that was forked from it, could not go on.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation}")]
pub struct TemplateError {
    operation: String,
    #[source]
    source: io::Error,
}

/// Makes the error of a failed system call.
fn failed<E: Into<io::Error>>(operation: impl Into<String>) -> impl FnOnce(E) -> TemplateError {
    move |source| TemplateError { operation: operation.into(), source: source.into() }
}
