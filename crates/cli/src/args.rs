//! The command line, as it is typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::verb;

/// Runs GitHub Actions workflows in machines that it makes for each job.
#[derive(Debug, Parser)]
#[command(name = "firedog", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
#[command(after_help = "`firedog VERB --help` tells more.\n\n\
    Exit codes: 0 success, 1 a negative result (a failed run, an error in a workflow), 2 a usage or input error or \
    a refused workflow, 3 this host lacks something, 4 the run was cancelled.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What every verb takes.
#[derive(Args, Debug)]
pub(crate) struct CommonArgs {
    /// When to colour text; NO_COLOR and CLICOLOR_FORCE are obeyed
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", help_heading = "Common options")]
    pub(crate) color: ColorChoice,
    /// Where runs are kept [default: $XDG_STATE_HOME/firedog or ~/.local/state/firedog]
    #[arg(long, global = true, value_name = "FOLDER", help_heading = "Common options")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Say only failures and the result
    #[arg(long, short, global = true, help_heading = "Common options")]
    pub(crate) quiet: bool,
}

/// When to colour text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    Auto,
    Always,
    Never,
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AnswerFormat {
    Text,
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run workflows
    Run(Box<verb::run::RunArgs>),
    /// List the workflows of a repository
    List(verb::list::ListArgs),
    /// Print which jobs an event starts
    Plan(verb::plan::PlanArgs),
    /// Find mistakes in workflows and actions
    Check(verb::check::CheckArgs),
    /// Answer an editor over the Language Server Protocol
    Lsp(verb::lsp::LspArgs),
    /// List the runs of this machine, the newest first
    Runs(verb::runs::RunsArgs),
    /// Show a run's jobs, steps and annotations
    Show(verb::show::ShowArgs),
    /// Print what the steps of a run printed
    Logs(verb::logs::LogsArgs),
    /// Show a run's steps with the snapshots that were kept before them
    Timeline(verb::timeline::TimelineArgs),
    /// Go on from a step of a run as it was when the step began
    Rewind(Box<verb::run::RewindArgs>),
    /// Try one step many times from the same state and compare
    Fork(Box<verb::run::ForkArgs>),
    /// Build and look after the images that virtual machines boot from
    Image(verb::image::ImageArgs),
    /// Make machines, use them and serve them
    Machine(Box<verb::machine::MachineArgs>),
    /// Tell what this host can do and what to install for more
    Doctor(verb::doctor::DoctorArgs),
    /// Print a workflow or an action as it is understood
    Parse(verb::parse::ParseArgs),
    /// Evaluate an expression, as it stands between `${{` and `}}`
    Expr(verb::expr::ExprArgs),
    /// Look at events
    Event(verb::event::EventArgs),
    /// Print a shell's completion script
    Completions(verb::completions::CompletionsArgs),
}
