//! Checkpoints of jobs on disk.
//!
//! A checkpoint is a folder with what its maker writes into it (a description, perhaps a machine's memory) and, where there are
//! files to keep, the digests of their trees. Contents of files are kept as chunks, each once whatever uses it: a file that a
//! step did not change costs nothing at the next boundary, nor in the next run.
//!
//! ```text
//! FOLDER/lock            shared by whoever uses the folder, exclusive for whoever removes chunks
//! FOLDER/new/            what is being written; garbage once nobody holds the lock
//! FOLDER/kept/ID/        checkpoints, each put here by one rename
//! FOLDER/chunks/AB/…     parts of files, and folders' lists, by their SHA-256
//! FOLDER/used            how many bytes all that took when it was last counted
//! ```
//!
//! * [`Vault`] is the folder; [`Draft`] a checkpoint that is being made, [`Kept`] one that is there.
//! * [`Seen`] remembers what a folder looked like, so that only what has changed since is read again.
//! * [`Vault::prune`] forgets the oldest checkpoints beyond the [`Limits`].
//!
//! Invariants: a checkpoint is there whole or not at all, however a process ends; what it refers to is there as long as it is;
//! nothing outside of the folder that is restored is written, whatever the names and links in it say; only this user can read it.

mod capture;
mod chunks;
mod error;
mod kept;
mod prune;
mod restore;
mod tree;

pub use capture::{Captured, LeaveOut, Seen};
pub use error::VaultError;
pub use kept::{Draft, Kept, Limits, Vault};
pub use prune::Pruned;
pub use tree::Digest;
