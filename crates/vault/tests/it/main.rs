//! The vault on real folders.

mod folders;
mod limits;
