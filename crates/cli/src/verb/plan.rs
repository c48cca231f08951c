//! `firedog plan`: which jobs an event starts.

use std::path::PathBuf;

use serde_json::json;
use workflow::diagnostic::Diagnostic;
use workflow::event::{Event, Facts};
use workflow::expr::{Object, Value};
use workflow::plan::{Outline, Request, RunFacts, Selection, outline, plan};
use workflow::read::{ReadOptions, Strictness, parse};
use workflow::source::SourceFile;
use workflow::trigger::triggers;

use crate::args::AnswerFormat;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::reading::ReadingArgs;
use crate::render::diagnostic;
use crate::repository;
use crate::{files, output};

/// Arguments of `plan`.
#[derive(Debug, clap::Args)]
pub(crate) struct PlanArgs {
    /// The workflow [default: all workflows of ROOT/.github/workflows]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// The event
    #[arg(long, short, value_name = "NAME", default_value = "push")]
    event: String,
    /// A JSON file with the event's webhook payload
    #[arg(long, value_name = "FILE")]
    payload: Option<PathBuf>,
    /// The ref, in place of the payload's
    #[arg(long, value_name = "REF")]
    r#ref: Option<String>,
    /// A path that the event changed, in place of those of the payload's commits
    #[arg(long, value_name = "PATH")]
    changed_file: Vec<String>,
    /// An input of workflow_dispatch; adds to and overrides the payload's
    #[arg(long, value_name = "NAME=VALUE", value_parser = input)]
    input: Vec<(String, String)>,
    /// How the plan is written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: AnswerFormat,
    #[command(flatten)]
    reading: ReadingArgs,
}

fn input(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// What became of one workflow.
struct Planned {
    file: SourceFile,
    title: String,
    /// None where the event does not start the workflow, or it has errors.
    outline: Option<Outline>,
    diagnostics: Vec<Diagnostic>,
}

pub(crate) fn run(args: &PlanArgs, config: &Config) -> Result<Exit, Failure> {
    let sources = match &args.file {
        Some(path) => vec![files::read_source(path)?],
        None => files::workflows_of(args.reading.root())?,
    };
    let (event, filled) = events(args)?;
    let resolver = args.reading.called_workflows();
    let options = args.reading.options(&resolver, Strictness::Runner);
    let planned: Vec<Planned> =
        sources.into_iter().map(|file| planned(file, (&event, &filled), &args.input, &options)).collect();
    match args.format {
        AnswerFormat::Json => output::json_to_stdout(&to_json(&planned))?,
        AnswerFormat::Text if planned.is_empty() => {
            let folder = args.reading.root().join(".github/workflows");
            output::to_stderr(&format!("no workflows in `{}`", folder.display()));
        }
        AnswerFormat::Text => show(&planned, &event, config)?,
    }
    let refused = planned.iter().flat_map(|one| &one.diagnostics).any(Diagnostic::is_error);
    Ok(if refused { Exit::Negative } else { Exit::Success })
}

/// The event as it is told, which decides what starts, and with what a real payload has besides.
fn events(args: &PlanArgs) -> Result<(Event, Event), Failure> {
    let root = args.reading.root();
    let root = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
    let repository = repository::read(&root);
    let payload = match &args.payload {
        Some(path) => Value::from_json(&files::read_json(path)?),
        None => Value::Null,
    };
    let facts = Facts {
        repository: Some(repository.name),
        git_ref: repository.git_ref,
        sha: repository.sha,
        default_branch: repository.default_branch,
        actor: repository.user,
        changed_paths: (!args.changed_file.is_empty()).then(|| args.changed_file.clone()),
        ref_override: args.r#ref.clone(),
    };
    let event = Event::new(&args.event, &payload, &facts);
    let filled = event.clone().with_filled_payload(&facts);
    Ok((event, filled))
}

fn planned(
    file: SourceFile,
    (event, filled): (&Event, &Event),
    inputs: &[(String, String)],
    options: &ReadOptions<'_>,
) -> Planned {
    let parsed = parse(&file, options);
    let refused = parsed.has_errors();
    let mut diagnostics = parsed.diagnostics;
    let name = parsed.value.as_ref().and_then(|workflow| workflow.name.as_ref());
    let title =
        name.map_or_else(|| file.name().to_string(), |name| format!("{} ({})", name.value, file.name()));
    let started = parsed.value.filter(|workflow| !refused && triggers(workflow, event).is_some());
    let outline = started.and_then(|workflow| {
        let request = Request {
            file: &file,
            workflow,
            event: filled.clone(),
            inputs: inputs.to_vec(),
            vars: Object::new().into(),
            env: Vec::new(),
            selection: Selection::default(),
            run: RunFacts::default(),
        };
        plan(request, options).map(|plan| outline(&plan)).map_err(|errors| diagnostics.extend(errors)).ok()
    });
    Planned { file, title, outline, diagnostics }
}

fn to_json(planned: &[Planned]) -> serde_json::Value {
    let refused = planned.iter().flat_map(|one| &one.diagnostics).any(Diagnostic::is_error);
    let outlines = planned.iter().filter_map(|one| one.outline.as_ref()).filter(|_| !refused);
    let jobs: Vec<_> = outlines
        .flat_map(|outline| match outline.to_json() {
            serde_json::Value::Array(jobs) => jobs,
            _ => Vec::new(),
        })
        .collect();
    let diagnostics: Vec<_> =
        planned.iter().flat_map(|one| &one.diagnostics).map(diagnostic::to_json).collect();
    let triggered = !refused && planned.iter().any(|one| one.outline.is_some());
    json!({ "triggered": triggered, "jobs": jobs, "diagnostics": diagnostics })
}

fn show(planned: &[Planned], event: &Event, config: &Config) -> Result<(), Failure> {
    let mut text = String::new();
    for one in planned {
        for finding in &one.diagnostics {
            let finding = diagnostic::to_text(finding, &one.file, config.stderr);
            output::to_stderr(&format!("{finding}\n"));
        }
        let refused = one.diagnostics.iter().any(Diagnostic::is_error);
        text.push_str(&config.stdout.bold(&one.title));
        match &one.outline {
            Some(outline) => {
                text.push('\n');
                text.extend(outline.to_text().lines().map(|line| format!("  {line}\n")));
            }
            None if refused => text.push_str(": has errors\n"),
            None => text.push_str(&format!(": not started by {}\n", event.name)),
        }
    }
    output::to_stdout(&text)
}
