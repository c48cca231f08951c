//! What the control plane promises to runners, to watchers and to whoever starts runs.

#![expect(clippy::unwrap_used, reason = "in a test a failure is to be seen at once")]

mod any_order;
mod crash;
mod failing;
mod lease;
mod report;
mod runs;
mod sweep;
mod watch;
mod world;
