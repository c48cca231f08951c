//! Takes a leased job, runs its steps in a machine and emits events.
//!
//! The runner reaches the control plane only through [`dispatch::Dispatch`], in process or over a network.

pub mod dispatch;
#[expect(dead_code, reason = "the steps of jobs use it")]
mod files;
#[expect(dead_code, reason = "the steps of jobs use it")]
mod output;
#[expect(dead_code, reason = "the steps of jobs use it")]
mod sink;
