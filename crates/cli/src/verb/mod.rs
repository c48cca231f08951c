//! What can be asked for: one file for each verb, with its arguments and one function.

pub(crate) mod completions;
pub(crate) mod run;

use crate::args::Verb;
use crate::config::Config;
use crate::failure::{Exit, Failure};

/// Does what was asked.
pub(crate) fn run(verb: Verb, _config: &Config) -> Result<Exit, Failure> {
    match verb {
        Verb::Completions(args) => completions::run(&args),
    }
}
