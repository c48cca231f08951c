//! Machines that callers make, use and remove.
//!
//! [`Machines`] owns the machines of this process. Each has its state ([`machine::lifecycle`]), changed under one lock; its
//! lease in the store follows. What takes long (making, keeping, restoring, stopping) runs in tasks of its own, so that a
//! caller that goes away leaves nothing half done; a machine that nobody has heard of is removed again.
//!
//! * [`routes`]: the HTTP interface, the same over TCP and over a Unix socket.
//! * [`collect`](mod@collect): removes what owners that died have left, by the leases.

mod body;
pub mod collect;
mod entry;
mod error;
mod execute;
mod model;
pub mod openapi;
mod processes;
mod record;
mod registry;
pub mod routes;
mod snapshots;
mod stream;
mod text;
mod warm;

pub use body::BODY_DEADLINE;
pub use collect::{Collected, collect};
pub use error::ApiError;
pub use model::{Description, Wanted};
pub use registry::{Machines, Settings};
