//! The vault on real folders.

#![expect(clippy::unwrap_used, reason = "in a test a failure is to be seen at once")]

mod folders;
mod limits;
