//! Takes a leased job, runs its steps in a machine and emits events.
//!
//! [`listener::serve`] is the whole of a runner: it leases jobs through [`dispatch::Dispatch`], the only way to the
//! control plane, in process or over a network. For each job a machine is booted with the working tree in its workspace;
//! its steps run as GitHub's own runner runs them; everything that happens is reported as an event.
//!
//! * What a process prints goes through `output`: lines, workflow commands, problem matchers, masks. What it writes to
//!   its command files is read by `files`.
//! * `job` is one job from boot to end, `setup` its beginning, `steps` its steps in order, `background` those beside.
//! * `step` is one step, of a job or of a composite action; `script` and `action` are what it can do; `process` is one
//!   process with its environment, output and end.
//! * `checkpoint` keeps what is there before a step begins, and makes a job of it again.
//! * `refusals` tells what the machine's network refused.
//! * `sink` takes the events away in order; `watch` and `cancel` end what must end.
//!
//! Invariants: text leaves only masked; memory is bounded whatever a step prints; no secret is in an argument of a
//! process; a job that began reports its end exactly once.

mod action;
mod background;
mod cancel;
pub mod checkpoint;
mod context;
pub mod dispatch;
mod environment;
mod files;
pub mod git;
mod hash;
mod job;
pub mod listener;
pub mod options;
mod output;
mod process;
mod refusals;
mod script;
mod setup;
mod sink;
mod step;
mod steps;
mod watch;
pub mod workspace;
