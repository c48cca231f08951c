//! The binary `firedog`: raw arguments, resolved once to a configuration, then one verb, then an exit code.
//!
//! Verbs are files under `verb`; each has its arguments and one function. What people see of a run is under `render`,
//! as folds of its events. Nothing else in the workspace prints or reads the environment and the user's folders.

mod args;
mod config;
mod failure;
mod files;
mod history;
mod output;
mod owner;
mod parallel;
mod payload;
mod reading;
mod render;
mod repository;
mod state;
mod sweep;
mod terminal;
mod verb;

use std::process::ExitCode;

use clap::Parser;

use crate::args::Arguments;
use crate::config::Config;

/// The argument with which this program becomes the agent inside a machine.
pub(crate) const GUEST_AGENT: &str = "guest-agent";

/// Checks and plans make and drop many small values, which this allocator does in less time than that of the C library.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Before anything else: a machine waits for its agent.
    if std::env::args_os().nth(1).is_some_and(|argument| argument == GUEST_AGENT) {
        return guest::serve::main();
    }
    let arguments = Arguments::parse();
    let config = Config::resolve(&arguments.common);
    match verb::run(arguments.verb, &config) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            output::to_stderr(&failure.text(config.stderr));
            failure.exit().into()
        }
    }
}
