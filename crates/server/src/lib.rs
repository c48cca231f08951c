//! What firedog serves over HTTP: the API of machines.
//!
//! * [`machines`]: machines that callers make, use and remove, and the routes to them.
//! * [`jwt`]: the tokens that callers show.
//! * [`http`]: connections, with their limits, over TCP and Unix sockets.
//! * [`attach`]: the two-way stream to a process in a machine, for a terminal on the caller's side.
//!
//! Invariants: over TCP nothing but `/health` is answered without a valid token, and no token is in a message; a Unix socket
//! lies in a folder that only its user can enter. Every header, body, output and waiting is bounded by a named constant. A
//! machine has its lease in the store before anything of it is made, and loses it after everything of it is gone. What a
//! caller has left unfinished (a connection, an execution) ends with the connection.

pub mod attach;
pub mod http;
pub mod jwt;
pub mod machines;
