//! `firedog run`: workflows run, end to end.

mod args;
mod prepare;
mod signal;
mod values;
mod watch;

#[expect(unused_imports, reason = "the verb comes next")]
pub(crate) use args::RunArgs;
