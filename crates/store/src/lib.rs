//! What is kept of runs: the runs themselves, their events and logs, the queue of their jobs and
//! the leases on them; and the leases on machines that are no job's.
//!
//! [`Store`] is one SQLite database, shared by any number of processes. Invariants:
//!
//! * Events of a run are numbered from 1 without gaps. A run's events, its queue entries, its leases and its row
//!   change together, in one transaction, or not at all: [`Store::commit`] is the only way to change them.
//! * What `commit` acknowledged outlives the process, however it ends. What it refused left no trace.
//! * Only a run's owner appends to it, and only after the last event that it knows: [`Outcome::Superseded`] tells
//!   that somebody else did so first.
//! * The text of logs is kept as it is, without an encoding; every other event is JSON.
//! * A machine has its row as long as anything of it may be on the host, see [`MachineRow`].
//! * Readers see bounded pages, never a whole log at once.
//!
//! The SQL keeps to integers, text and bytes and to `$1` placeholders, so that it means the same to PostgreSQL.

mod checkpoints;
mod commit;
mod connection;
mod error;
mod events;
mod logs;
mod machines;
mod migration;
mod prune;
mod queue;
mod runs;

pub use checkpoints::CheckpointRow;
pub use commit::{Change, Outcome, RunWrite};
pub use connection::Store;
pub use error::StoreError;
pub use logs::{LogChunk, LogQuery, Logs};
pub use machines::{Admission, MachineRow, SnapshotRow};
pub use queue::{HeldLease, WaitingJob};
pub use runs::{NewRun, RunQuery, RunRow, RunStatus};
