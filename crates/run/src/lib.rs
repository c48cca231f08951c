//! A run as a state machine: its events, its state as a fold of them, and what must happen next.
//!
//! [`event`] is the public vocabulary, append-only and versioned. [`state`] folds events; [`decide`] says which events
//! must follow. [`job`] is all that a runner needs to execute one job, [`secrets`] which secrets it gets,
//! [`resume`] what a run takes over that goes on from a step of another one. Nothing here
//! does I/O or reads a clock: whoever appends an event stamps it.

pub mod decide;
pub mod event;
pub mod id;
pub mod job;
pub mod lease;
pub mod resume;
pub mod secrets;
pub mod state;
pub mod status;

mod scope;
