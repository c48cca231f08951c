//! `firedog check`: what is wrong with workflow and action files.
//!
//! Files are found ([`discover`]), read and checked on all cores after the repository's [`configuration`], changed where
//! that is asked for ([`fix`]); other programs look at their scripts ([`tools`]), and what is found is written in the
//! chosen form ([`report`]).

mod checker;
mod configuration;
mod discover;
mod explain;
mod fix;
mod glob;
mod lock;
mod report;
mod tools;
mod watch;

use std::path::PathBuf;

use clap::ValueEnum;

use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::parallel;
use crate::reading::ReadingArgs;
use checker::{Checker, with_checker};
use discover::Target;
use report::Report;
use tools::{Tool, Tools};

pub(crate) use configuration::Configuration;
pub(crate) use discover::is_action;
pub(crate) use lock::Lock;

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// Workflows, actions when they are named action.yml or action.yaml, or folders of them [default: all workflows and
    /// actions of ROOT]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How the findings are written: for people, as one JSON object, one object a line, SARIF 2.1.0, or workflow commands
    /// that GitHub shows at the lines
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: CheckFormat,
    /// The least severity that is shown and counts [default: warning for text and github, info for the others]
    #[arg(long, value_name = "SEVERITY")]
    severity: Option<LeastSeverity>,
    /// End with exit code 1 also for warnings that are shown
    #[arg(long)]
    deny_warnings: bool,
    /// Explain a rule, with an example; list all rules without CODE
    #[arg(long, value_name = "CODE", num_args = 0..=1)]
    explain: Option<Option<String>>,
    /// Make the changes that findings come with, and show them as a diff
    #[arg(long)]
    fix: bool,
    /// Show the changes that `--fix` would make; end with exit code 1 if there are any
    #[arg(long, conflicts_with = "fix")]
    diff: bool,
    /// Keep checking: tell what is found whenever a file is saved. Other programs do not look at scripts then
    #[arg(long, conflicts_with_all = ["fix", "diff", "tools"])]
    watch: bool,
    /// The configuration: firedog.toml, or one of actionlint [default: firedog.toml or actionlint.yaml of ROOT or
    /// ROOT/.github]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Which programs look at scripts: shellcheck, ruff, pyflakes [default: those that are installed]
    #[arg(long, value_name = "TOOL", value_delimiter = ',', conflicts_with = "no_tools")]
    tools: Vec<Tool>,
    /// No other program looks at scripts
    #[arg(long)]
    no_tools: bool,
    #[command(flatten)]
    reading: ReadingArgs,
}

/// How findings are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckFormat {
    Text,
    Json,
    Ndjson,
    Sarif,
    Github,
    /// Only for `--explain`: the source of `docs/rules.md`.
    #[value(hide = true)]
    Markdown,
}

/// The least severity that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LeastSeverity {
    Error,
    Warning,
    Info,
}

pub(crate) fn run(args: &CheckArgs, config: &Config) -> Result<Exit, Failure> {
    if let Some(code) = &args.explain {
        return explain::run(code.as_deref(), args.format, config);
    }
    if args.format == CheckFormat::Markdown {
        return Err(Failure::usage("only `--explain` is written as markdown"));
    }
    if args.watch {
        return watch::run(args, config);
    }
    with_checker(args, config, |checker| check(args, checker, config))
}

fn check(args: &CheckArgs, checker: &Checker<'_>, config: &Config) -> Result<Exit, Failure> {
    let targets = discover::targets(&args.files, args.reading.root())?;
    let mut report = Report::new(checker.form, config);
    if args.fix || args.diff {
        let mut changes = fix::Changes::new(args.diff, checker.form);
        let work = |target: &Target| checker.fix(target);
        parallel::in_order(&targets, work, |(piece, change)| {
            change.into_iter().for_each(|change| changes.take(&change, &mut report, config));
            // The findings of files that are only shown are not asked for.
            if args.fix || piece.is_failure() {
                report.take(piece);
            }
        });
        return changes.finish(report, args.deny_warnings, config);
    }
    let tools = match args.no_tools {
        true => None,
        false => Tools::find(&args.tools, checker.root.as_deref(), config)?,
    };
    match tools {
        Some(tools) => checker.report_with(tools, &targets, &mut report),
        None => parallel::in_order(&targets, |target| checker.report(target), |piece| report.take(piece)),
    }
    report.finish(args.deny_warnings, config.quiet)
}
