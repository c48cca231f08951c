//! The agent inside every machine, and the protocol that it speaks.
//!
//! A machine is whatever its backend makes of it; what runs inside is always this agent. It reads [`protocol::Request`]s
//! from one byte stream, writes [`protocol::Reply`]s to the same stream, and runs many processes at a time for its host.
//!
//! * [`protocol`] names the messages and their limits; [`frame`] puts them on the stream.
//! * [`serve`] is the agent's main loop. It uses blocking threads: a guest has few processes and no need of a runtime.
//! * [`template`] is an agent that is forked for each machine.
//! * [`init`] is what it does as the first process of a virtual machine.
//! * The host side (async) lives in the crate `machine` and shares only `protocol` and `frame` with the agent.
//!
//! Invariants: no frame is longer than [`protocol::MAX_FRAME`], checked before memory is taken for it; the agent starts
//! only what it is asked to start; when its stream closes it kills all that it started, then ends. In a virtual machine, whose
//! host may be another after a restore, a stream that is greeted anew goes on.

mod archive;
mod configure;
mod exec;
mod files;
pub mod frame;
pub mod hash;
mod hash_pattern;
pub mod init;
mod input;
mod interface;
mod output;
pub mod protocol;
mod reaper;
pub mod run_as;
pub mod serve;
pub mod template;
mod terminal;
mod tree;
mod which;
