//! The control plane: takes plans in, queues their jobs, leases them, and applies what runners report.
//!
//! [`Control`] is the only writer of the runs that it owns. Each run that has not ended is a task ([`task`]) that owns
//! the run's state ([`live`]) and takes one request after the other. What it decides is written by one task for all
//! runs ([`committer`]), as many runs' writes in a transaction as have queued up while the last one ran. Invariants:
//!
//! * Nothing is acknowledged, shown to a watcher or given to a runner before it is kept.
//! * When a write fails, the run's state is read anew from its events before the next request.
//! * Secrets are only in memory, beside their run, and leave it only inside of a lease.
//! * A watcher gets every event once and in order. One that is slow holds up the reports of its run, nothing else.
//! * Everything is bounded: runs, requests that wait, bytes of reports on their way.
//!
//! Nothing here knows HTTP or machines. The clock is given.

mod clock;
mod committer;
mod control;
mod error;
mod labels;
mod live;
mod queue;
mod submit;
mod sweep;
mod task;
mod watch;

pub use clock::{Clock, SystemClock};
pub use control::{Control, LeaseRequest, Settings};
pub use error::{CancelError, LeaseError, ReportError, SubmitError, WatchError};
pub use labels::Labels;
pub use queue::Unserved;
pub use submit::Submission;
pub use sweep::{ABANDONED, close_departed, close_one};
pub use watch::Watch;
