//! Tests of images as callers see them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::print_stdout, reason = "a test that is skipped must be seen to be")]

mod container;
mod containerfile;
mod ext4;
mod fixture;
mod hostile;
mod oci;
mod registry;
mod reproducible;
mod store;
