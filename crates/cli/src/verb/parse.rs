//! `firedog parse`: one workflow or action as it was understood, as JSON.

use std::path::PathBuf;

use serde_json::{Value, json};
use workflow::diagnostic::Diagnostic;
use workflow::read::{Strictness, parse, parse_action};

use crate::args::AnswerFormat;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::files::read_source;
use crate::output;
use crate::reading::ReadingArgs;
use crate::render::{diagnostic, model};
use crate::verb::check::is_action;

/// Arguments of `parse`.
#[derive(Debug, clap::Args)]
pub(crate) struct ParseArgs {
    /// A workflow, or an action when it is named action.yml or action.yaml
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// How the answer is written: as text it is the model alone, indented, and the findings on standard error
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: AnswerFormat,
    #[command(flatten)]
    reading: ReadingArgs,
}

pub(crate) fn run(args: &ParseArgs, config: &Config) -> Result<Exit, Failure> {
    let resolver = args.reading.called_workflows();
    let options = args.reading.options(&resolver, Strictness::Runner);
    let file = read_source(&args.file)?;
    let (key, model, findings): (_, Option<Value>, Vec<Diagnostic>) = if is_action(&args.file) {
        let parsed = parse_action(&file, &options);
        let ok = !parsed.has_errors();
        ("action", parsed.value.filter(|_| ok).map(|action| model::action(&action)), parsed.diagnostics)
    } else {
        let parsed = parse(&file, &options);
        let ok = !parsed.has_errors();
        (
            "workflow",
            parsed.value.filter(|_| ok).map(|workflow| model::workflow(&workflow)),
            parsed.diagnostics,
        )
    };
    let ok = model.is_some();
    match args.format {
        AnswerFormat::Json => {
            let diagnostics: Vec<_> = findings.iter().map(diagnostic::to_json).collect();
            output::json_to_stdout(&json!({ "ok": ok, key: model, "diagnostics": diagnostics }))?;
        }
        AnswerFormat::Text => {
            for finding in &findings {
                output::to_stderr(&format!("{}\n", diagnostic::to_text(finding, &file, config.stderr)));
            }
            if let Some(model) = model {
                output::to_stdout(&format!("{model:#}\n"))?;
            }
        }
    }
    Ok(if ok { Exit::Success } else { Exit::Negative })
}
