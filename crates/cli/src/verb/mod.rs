//! What can be asked for: one file for each verb, with its arguments and one function.

pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod event;
pub(crate) mod expr;
pub(crate) mod image;
pub(crate) mod list;
pub(crate) mod logs;
pub(crate) mod lsp;
pub(crate) mod machine;
pub(crate) mod parse;
pub(crate) mod plan;
pub(crate) mod run;
pub(crate) mod runs;
pub(crate) mod show;
pub(crate) mod timeline;

use crate::args::Verb;
use crate::config::Config;
use crate::failure::{Exit, Failure};

/// Does what was asked.
pub(crate) fn run(verb: Verb, config: &Config) -> Result<Exit, Failure> {
    match verb {
        Verb::Run(args) => run::run(&args, config),
        Verb::Runs(args) => runs::run(&args, config),
        Verb::Show(args) => show::run(&args, config),
        Verb::Logs(args) => logs::run(&args, config),
        Verb::Timeline(args) => timeline::run(&args, config),
        Verb::Rewind(args) => run::run_rewind(&args, config),
        Verb::Fork(args) => run::run_fork(&args, config),
        Verb::Check(args) => check::run(&args, config),
        Verb::Machine(args) => machine::run(*args, config),
        Verb::Parse(args) => parse::run(&args, config),
        Verb::Plan(args) => plan::run(&args, config),
        Verb::List(args) => list::run(&args, config),
        Verb::Event(args) => event::run(&args),
        Verb::Doctor(args) => doctor::run(&args, config),
        Verb::Completions(args) => completions::run(&args),
        Verb::Image(args) => image::run(&args, config),
        Verb::Expr(args) => expr::run(&args),
        Verb::Lsp(args) => lsp::run(&args, config),
    }
}
