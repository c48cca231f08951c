//! `firedog event context`: the `github` context of a run that a payload starts.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;
use workflow::event::{Event, Facts, github_context};
use workflow::expr::Value;

use crate::args::AnswerFormat;
use crate::failure::{Exit, Failure};
use crate::{files, output};

/// Arguments of `event`.
#[derive(Args, Debug)]
pub(crate) struct EventArgs {
    #[command(subcommand)]
    verb: EventVerb,
}

#[derive(Debug, Subcommand)]
enum EventVerb {
    /// Print the github context of a run that an event starts
    Context(ContextArgs),
}

#[derive(Args, Debug)]
struct ContextArgs {
    /// The event's name
    #[arg(long, short, value_name = "NAME", default_value = "push")]
    event: String,
    /// A JSON file with the event's webhook payload
    #[arg(long, value_name = "FILE")]
    payload: Option<PathBuf>,
    /// How the context is written: as text it is indented
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: AnswerFormat,
}

pub(crate) fn run(args: &EventArgs) -> Result<Exit, Failure> {
    let EventVerb::Context(args) = &args.verb;
    let payload = match &args.payload {
        Some(path) => Value::from_json(&files::read_json(path)?),
        None => Value::Null,
    };
    let github = github_context(&Event::new(&args.event, &payload, &Facts::default())).to_json();
    match args.format {
        AnswerFormat::Json => output::json_to_stdout(&json!({ "github": github }))?,
        AnswerFormat::Text => output::to_stdout(&format!("{github:#}\n"))?,
    }
    Ok(Exit::Success)
}
