//! MicroVMs by Firecracker.
//!
//! * [`api`]: the client of its API.

pub mod api;
