//! `firedog event`: the events of GitHub, and the `github` context of a run that a payload starts.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;
use workflow::event::catalog::{self, Known, Place};
use workflow::event::{Event, Facts, github_context};

use crate::args::AnswerFormat;
use crate::failure::{Exit, Failure};
use crate::{output, payload};

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
    /// List all of GitHub's events with their activity types
    List(ListArgs),
}

#[derive(Args, Debug)]
struct ListArgs {
    /// How the list is written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: AnswerFormat,
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
    match &args.verb {
        EventVerb::Context(args) => context(args),
        EventVerb::List(args) => list(args),
    }
}

fn context(args: &ContextArgs) -> Result<Exit, Failure> {
    let payload = payload::read(&args.event, args.payload.as_deref())?;
    let github = github_context(&Event::new(&args.event, &payload, &Facts::default())).to_json();
    match args.format {
        AnswerFormat::Json => output::json_to_stdout(&json!({ "github": github }))?,
        AnswerFormat::Text => output::to_stdout(&format!("{github:#}\n"))?,
    }
    Ok(Exit::Success)
}

fn list(args: &ListArgs) -> Result<Exit, Failure> {
    match args.format {
        AnswerFormat::Json => {
            let events: Vec<_> = catalog::all()
                .map(|event| {
                    json!({
                        "name": event.name,
                        "types": event.types,
                        "default_types": event.default_types,
                        "ref": place(event.place),
                    })
                })
                .collect();
            output::json_to_stdout(&json!({ "events": events }))?;
        }
        AnswerFormat::Text => output::to_stdout(&catalog::all().map(to_text).collect::<String>())?,
    }
    Ok(Exit::Success)
}

fn to_text(event: Known) -> String {
    let mut text = format!("{:<28} runs on {}\n", event.name, place(event.place));
    if !event.types.is_empty() {
        text.push_str(&format!("    types: {}\n", event.types.join(", ")));
    }
    if event.types != event.default_types {
        text.push_str(&format!("    without `types`: {}\n", event.default_types.join(", ")));
    }
    text
}

/// Where the runs of an event are, for people.
fn place(place: Place) -> &'static str {
    match place {
        Place::DefaultBranch => "the default branch",
        Place::Pushed => "the pushed branch or tag",
        Place::Merge => "the merge of the pull request",
        Place::Created => "the created branch or tag",
        Place::Released => "the tag of the release",
        Place::MergeGroup => "the branch of the merge group",
        Place::Dispatched => "the branch or tag that is asked for",
        Place::Deployed => "the deployed commit",
        Place::Packaged => "the branch or tag of the package",
        Place::Caller => "what its caller runs on",
    }
}
