//! The API of machines over real connections, with real machines.

#![expect(clippy::unwrap_used, reason = "in a test a failure is to be seen at once")]

mod attached;
mod bounds;
mod execute;
mod fixture;
mod leases;
mod machines;
mod openapi;
mod stream;
mod tokens;
