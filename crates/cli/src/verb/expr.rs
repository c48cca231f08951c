//! `firedog expr eval`: the value of one expression.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use workflow::expr::{
    Contexts, ExprError, HashFilesError, HostFunctions, JobStatus, MEMORY_OF_EXPRESSION, Names,
    StatusFunctions, Value, eval_within, parse,
};

use crate::args::AnswerFormat;
use crate::failure::{Exit, Failure};
use crate::output;

/// The longest file of contexts, in bytes.
const MAX_CONTEXTS: u64 = 64 * 1024 * 1024;

/// The longest text that is read as an expression, in bytes; far beyond what an expression may have.
const MAX_SOURCE: u64 = 1024 * 1024;

/// Arguments of `expr`.
#[derive(Args, Debug)]
pub(crate) struct ExprArgs {
    #[command(subcommand)]
    verb: ExprVerb,
}

#[derive(Debug, Subcommand)]
enum ExprVerb {
    /// Print the value of an expression
    Eval(EvalArgs),
}

#[derive(Args, Debug)]
struct EvalArgs {
    /// The expression, without `${{ }}`; `-` reads it from standard input
    #[arg(value_name = "EXPRESSION", allow_hyphen_values = true)]
    expression: String,
    /// A JSON file whose top-level keys are the contexts: github, env, …
    #[arg(long, value_name = "FILE")]
    context: Option<PathBuf>,
    /// Admit success(), failure(), always() and cancelled(), for a job with this status
    #[arg(long, value_name = "STATUS")]
    status: Option<Status>,
    /// Admit hashFiles(), for the files in this folder
    #[arg(long, value_name = "FOLDER")]
    workspace: Option<PathBuf>,
    /// How the value is written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: AnswerFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Status {
    Success,
    Failure,
    Cancelled,
}

pub(crate) fn run(args: &ExprArgs) -> Result<Exit, Failure> {
    match &args.verb {
        ExprVerb::Eval(args) => eval(args),
    }
}

fn eval(args: &EvalArgs) -> Result<Exit, Failure> {
    let source = source(&args.expression)?;
    let contexts = match &args.context {
        Some(path) => read_contexts(path)?,
        None => Contexts::new(),
    };
    let result = value(args, &source, &contexts);
    match args.format {
        AnswerFormat::Json => output::json_to_stdout(&document(&result))?,
        AnswerFormat::Text => match &result {
            Ok(value) => output::to_stdout(&for_people(value))?,
            Err(error) => output::to_stderr(&error.message),
        },
    }
    Ok(if result.is_ok() { Exit::Success } else { Exit::Negative })
}

fn source(argument: &str) -> Result<String, Failure> {
    if argument != "-" {
        return Ok(argument.to_owned());
    }
    let mut source = String::new();
    std::io::stdin().lock().take(MAX_SOURCE).read_to_string(&mut source).map_err(|error| {
        Failure::new(Exit::Usage, error).while_doing("cannot read the expression from standard input")
    })?;
    Ok(source)
}

fn read_contexts(path: &Path) -> Result<Contexts, Failure> {
    let doing = || format!("cannot read the contexts in `{}`", path.display());
    let failed = |error| Failure::new(Exit::Usage, error).while_doing(doing());
    let mut text = String::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(MAX_CONTEXTS).read_to_string(&mut text).map_err(failed)?;
    let contexts =
        serde_json::from_str(&text).map_err(|error| Failure::new(Exit::Usage, error).while_doing(doing()))?;
    match contexts {
        Value::Object(object) => Ok(Contexts::from_object(&object)),
        other => {
            let message = format!("the file holds no object but a value of type {}", other.kind());
            Err(Failure::usage(message).while_doing(doing()))
        }
    }
}

fn value(args: &EvalArgs, source: &str, contexts: &Contexts) -> Result<Value, ExprError> {
    let mut names = Names::of_contexts(contexts);
    if args.status.is_some() {
        names = names.with_status(StatusFunctions::Step);
    }
    if args.workspace.is_some() {
        names = names.with_hash_files();
    }
    eval_within(&parse(source, &names)?, contexts, args, MEMORY_OF_EXPRESSION)
}

impl HostFunctions for EvalArgs {
    fn status(&self) -> Option<JobStatus> {
        self.status.map(|status| match status {
            Status::Success => JobStatus::Success,
            Status::Failure => JobStatus::Failure,
            Status::Cancelled => JobStatus::Cancelled,
        })
    }

    fn hash_files(&self, patterns: &[String]) -> Result<String, HashFilesError> {
        let root = self.workspace.as_deref().ok_or(HashFilesError::Unavailable)?;
        let root = std::path::absolute(root).map_err(|error| HashFilesError::Failed(error.to_string()))?;
        guest::hash::hash_files(&root, patterns)
            .map_err(|error| HashFilesError::Failed(Failure::new(Exit::Negative, error).cause()))
    }
}

/// A value as text; a collection as JSON.
fn for_people(value: &Value) -> String {
    if value.is_primitive() { format!("{}\n", value.to_text()) } else { format!("{:#}\n", value.to_json()) }
}

/// What is printed for a program.
fn document(result: &Result<Value, ExprError>) -> serde_json::Value {
    match result {
        Ok(value) => json!({ "ok": true, "kind": value.kind().name(), "value": value.to_json() }),
        Err(error) => json!({
            "ok": false,
            "error": {
                "stage": error.stage.name(),
                "message": error.message,
                "position": error.position,
            },
        }),
    }
}
