//! `firedog check`: what is wrong with workflow and action files.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::json;
use workflow::diagnostic::{Diagnostic, Severity};
use workflow::lint::{Settings, check_action, check_workflow};
use workflow::read::{ReadOptions, Strictness};
use workflow::source::SourceFile;

use crate::args::AnswerFormat;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::files::LocalActions;
use crate::reading::ReadingArgs;
use crate::render::diagnostic;
use crate::{files, output, parallel};

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// Workflows, or actions when they are named action.yml or action.yaml [default: all workflows of
    /// ROOT/.github/workflows]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How the findings are written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: AnswerFormat,
    #[command(flatten)]
    reading: ReadingArgs,
}

pub(crate) fn run(args: &CheckArgs, config: &Config) -> Result<Exit, Failure> {
    let resolver = args.reading.called_workflows();
    let options = args.reading.options(&resolver, Strictness::Author);
    let (levels, actions) = (HashMap::new(), LocalActions { root: args.reading.root() });
    let settings = Settings { levels: &levels, runner_labels: &[], variables: None, actions: &actions };
    let files = match args.files.as_slice() {
        [] => files::workflows_of(args.reading.root())?,
        named => named.iter().map(|path| files::read_source(path)).collect::<Result<Vec<_>, _>>()?,
    };
    let mut all = Vec::new();
    let work = |file: &SourceFile| {
        let found = check(file, &options, &settings);
        let text = |finding| format!("{}\n", diagnostic::to_text(finding, file, config.stderr));
        let texts: Vec<String> = match args.format {
            AnswerFormat::Text => found.iter().map(text).collect(),
            AnswerFormat::Json => Vec::new(),
        };
        (found, texts)
    };
    parallel::in_order(&files, work, |(found, texts)| {
        texts.iter().for_each(|text| output::to_stderr(text));
        all.extend(found);
    });
    if args.format == AnswerFormat::Json {
        let diagnostics: Vec<_> = all.iter().map(diagnostic::to_json).collect();
        output::json_to_stdout(&json!({ "diagnostics": diagnostics }))?;
    } else if !config.quiet {
        output::to_stderr(&summary(&all, files.len()));
    }
    let refused = all.iter().any(|finding| finding.severity == Severity::Error);
    Ok(if refused { Exit::Negative } else { Exit::Success })
}

fn check(file: &SourceFile, options: &ReadOptions<'_>, settings: &Settings<'_>) -> Vec<Diagnostic> {
    if is_action(Path::new(&**file.name())) {
        check_action(file, options, settings).diagnostics
    } else {
        check_workflow(file, options, settings).diagnostics
    }
}

/// Whether the file is an action's metadata, by its name.
pub(crate) fn is_action(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "action.yml" || name == "action.yaml")
}

fn summary(findings: &[Diagnostic], files: usize) -> String {
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    format!("{}, {} in {}", plural(errors, "error"), plural(warnings, "warning"), plural(files, "file"))
}

fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
