//! `firedog check`: what is wrong with workflow and action files.
//!
//! Files are found ([`discover`]), read and checked on all cores, and written in the chosen form ([`report`]).

mod discover;
mod explain;
mod report;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use workflow::diagnostic::Diagnostic;
use workflow::lint::{Settings, check_action, check_workflow};
use workflow::read::{ReadOptions, Strictness};
use workflow::source::SourceFile;

use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::files::LocalActions;
use crate::reading::ReadingArgs;
use crate::{files, parallel};
use report::{Form, Piece, Report};

pub(crate) use discover::is_action;

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
    let root = args.reading.root();
    let resolver = args.reading.called_workflows();
    let options = args.reading.options(&resolver, Strictness::Author);
    let (levels, actions) = (HashMap::new(), LocalActions::new(root));
    let settings = Settings { levels: &levels, runner_labels: &[], variables: None, actions: &actions };
    let form = Form::new(args.format, args.severity, config);
    let targets = discover::targets(&args.files, root)?;
    let absolute_root = root.canonicalize().ok();
    let work = |target: &discover::Target| -> Piece {
        let name = form.name(&target.name, absolute_root.as_deref());
        match files::read_as(&target.path, name) {
            Ok(file) => form.write(&file, check(&file, &options, &settings)),
            Err(failure) => Form::failed(failure),
        }
    };
    let mut report = Report::new(form, config);
    parallel::in_order(&targets, work, |piece| report.take(piece));
    report.finish(args.deny_warnings, config.quiet)
}

fn check(file: &SourceFile, options: &ReadOptions<'_>, settings: &Settings<'_>) -> Vec<Diagnostic> {
    if is_action(Path::new(&**file.name())) {
        check_action(file, options, settings).diagnostics
    } else {
        check_workflow(file, options, settings).diagnostics
    }
}
