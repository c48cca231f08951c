//! `firedog plan`: which jobs an event starts, what is skipped, and why.

use std::path::PathBuf;

use clap::ValueEnum;
use jiff::Timestamp;
use serde_json::json;
use workflow::diagnostic::Diagnostic;
use workflow::event::{Event, Facts};
use workflow::expr::Object;
use workflow::model::Workflow;
use workflow::plan::{Outline, Request, RunFacts, Selection, Sheet, outline, plan, to_dot, to_mermaid};
use workflow::read::{ReadOptions, Strictness, parse};
use workflow::source::SourceFile;
use workflow::trigger::{NotTriggered, decide};

use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::reading::ReadingArgs;
use crate::render::diagnostic;
use crate::render::text::shown;
use crate::repository;
use crate::{files, output, payload};

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
    /// The message of the head commit, which may ask for no run, in place of the payload's
    #[arg(long, value_name = "TEXT")]
    commit_message: Option<String>,
    /// The time of a schedule event, such as 2026-11-24T05:30:00Z: starts what is scheduled for this minute
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// An input of workflow_dispatch; adds to and overrides the payload's
    #[arg(long, value_name = "NAME=VALUE", value_parser = input)]
    input: Vec<(String, String)>,
    /// A variable of the `vars` context
    #[arg(long, value_name = "NAME=VALUE", value_parser = input)]
    var: Vec<(String, String)>,
    /// How the plan is written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: PlanFormat,
    #[command(flatten)]
    reading: ReadingArgs,
}

/// How a plan is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PlanFormat {
    /// Stages with their jobs, for people
    Text,
    /// One JSON object
    Json,
    /// A graph for Graphviz
    Dot,
    /// A flowchart for Markdown
    Mermaid,
}

fn input(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// What becomes of one workflow.
struct Planned {
    file: SourceFile,
    name: Option<String>,
    /// The cron expression for which it starts, of a schedule at a time.
    schedule: Option<String>,
    end: End,
    diagnostics: Vec<Diagnostic>,
}

enum End {
    Started(Outline),
    NotTriggered(NotTriggered),
    /// It has errors.
    Refused,
}

pub(crate) fn run(args: &PlanArgs, config: &Config) -> Result<Exit, Failure> {
    if args.at.is_some() && args.event != "schedule" {
        return Err(Failure::usage("`--at` is for the event `schedule`").with_help("add `--event schedule`"));
    }
    let sources = match &args.file {
        Some(path) => vec![files::read_source(path)?],
        None => files::workflows_of(args.reading.root())?,
    };
    let (told, facts) = event(args)?;
    let resolver = args.reading.called_workflows();
    let planner = Planner { args, options: args.reading.options(&resolver, Strictness::Author), told, facts };
    let planned: Vec<Planned> = sources.into_iter().flat_map(|file| planner.planned(file)).collect();
    match args.format {
        PlanFormat::Json => output::json_to_stdout(&to_json(&planned))?,
        _ if planned.is_empty() => {
            let folder = args.reading.root().join(".github/workflows");
            output::to_stderr(&format!("no workflows in `{}`", folder.display()));
        }
        PlanFormat::Text => {
            show_findings(&planned, config);
            output::to_stdout(&to_text(&planned, config))?;
        }
        PlanFormat::Dot => draw(&planned, config, to_dot)?,
        PlanFormat::Mermaid => draw(&planned, config, to_mermaid)?,
    }
    let refused = planned.iter().any(|one| matches!(one.end, End::Refused));
    Ok(if refused { Exit::Negative } else { Exit::Success })
}

/// The event as it is told, which decides what starts, and what is known besides.
fn event(args: &PlanArgs) -> Result<(Event, Facts), Failure> {
    let root = args.reading.root();
    let root = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
    let repository = repository::read(&root);
    let payload = payload::read(&args.event, args.payload.as_deref())?;
    let facts = Facts {
        repository: Some(repository.name),
        git_ref: repository.git_ref,
        sha: repository.sha,
        default_branch: repository.default_branch,
        actor: repository.user,
        changed_paths: (!args.changed_file.is_empty()).then(|| args.changed_file.clone()),
        ref_override: args.r#ref.clone(),
        head_message: args.commit_message.clone(),
    };
    Ok((Event::new(&args.event, &payload, &facts), facts))
}

struct Planner<'a> {
    args: &'a PlanArgs,
    options: ReadOptions<'a>,
    told: Event,
    facts: Facts,
}

impl Planner<'_> {
    /// What becomes of the workflow: of one that is scheduled several times for the same minute, once for each.
    fn planned(&self, file: SourceFile) -> Vec<Planned> {
        let parsed = parse(&file, &self.options);
        let refused = parsed.has_errors();
        let name = parsed.value.as_ref().and_then(|workflow| workflow.name.as_ref());
        let name = name.map(|name| name.value.clone());
        let one = |schedule: Option<String>, end: End, diagnostics: Vec<Diagnostic>| Planned {
            file: file.clone(),
            name: name.clone(),
            schedule,
            end,
            diagnostics,
        };
        let Some(workflow) = parsed.value.filter(|_| !refused) else {
            return vec![one(None, End::Refused, parsed.diagnostics)];
        };
        let events = match self.events(&workflow) {
            Ok(events) => events,
            Err(reason) => return vec![one(None, End::NotTriggered(reason), parsed.diagnostics)],
        };
        let plan_one = |(schedule, event): (Option<String>, Event)| {
            let mut diagnostics = parsed.diagnostics.clone();
            let end = match plan(self.request(&file, workflow.clone(), event), &self.options) {
                Ok(plan) => End::Started(outline(&plan)),
                Err(errors) => {
                    diagnostics.extend(errors);
                    End::Refused
                }
            };
            one(schedule, end, diagnostics)
        };
        events.into_iter().map(plan_one).collect()
    }

    /// The events that start the workflow: the one that was told, or one for each entry of its schedule that is due.
    fn events(&self, workflow: &Workflow) -> Result<Vec<(Option<String>, Event)>, NotTriggered> {
        let trigger = decide(workflow, &self.told)?;
        let Some(time) = self.args.at else { return Ok(vec![(None, self.told.clone())]) };
        let due = trigger.schedule.iter().filter(|entry| entry.fires_at(time));
        let events: Vec<(Option<String>, Event)> = due
            .map(|entry| {
                let mut event = self.told.clone();
                let mut payload = event.payload.as_object().cloned().unwrap_or_default();
                payload.insert("schedule", entry.cron.value.as_str());
                event.payload = payload.into();
                (Some(entry.cron.value.clone()), event)
            })
            .collect();
        if !events.is_empty() {
            return Ok(events);
        }
        let next = trigger.schedule.iter().filter_map(|entry| entry.next(time)).min();
        let next =
            next.map_or_else(|| "it never fires".to_owned(), |next| format!("it fires next at {next}"));
        let message = format!("no entry of `schedule` fires at {time}: {next}");
        Err(NotTriggered { code: "schedule", message, span: Some(trigger.span) })
    }

    fn request<'a>(&self, file: &'a SourceFile, workflow: Workflow, event: Event) -> Request<'a> {
        let vars: Object =
            self.args.var.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Request {
            file,
            workflow,
            event: event.with_filled_payload(&self.facts),
            inputs: self.args.input.clone(),
            vars: vars.into(),
            env: Vec::new(),
            selection: Selection::default(),
            run: RunFacts::default(),
        }
    }
}

impl Planned {
    fn title(&self) -> String {
        let title = match &self.name {
            Some(name) => format!("{name} ({})", self.file.name()),
            None => self.file.name().to_string(),
        };
        match &self.schedule {
            Some(cron) => format!("{title} for `{cron}`"),
            None => title,
        }
    }

    fn to_json(&self) -> serde_json::Value {
        let reason = match &self.end {
            End::NotTriggered(reason) => {
                let place = reason.span.map(|span| self.file.position(span.start));
                json!({
                    "code": reason.code,
                    "message": reason.message,
                    "line": place.map(|place| place.line),
                    "column": place.map(|place| place.column),
                })
            }
            _ => serde_json::Value::Null,
        };
        json!({
            "file": self.file.name(),
            "name": self.name,
            "triggered": matches!(self.end, End::Started(_)),
            "schedule": self.schedule,
            "not_triggered": reason,
            "errors": self.diagnostics.iter().filter(|one| one.is_error()).count(),
        })
    }

    /// Why the workflow does not start, with the place in it that says so.
    fn reason(&self) -> Option<String> {
        match &self.end {
            End::Started(_) => None,
            End::Refused => Some("has errors".to_owned()),
            End::NotTriggered(reason) => Some(match reason.span {
                None => reason.message.clone(),
                Some(span) => {
                    let place = self.file.position(span.start);
                    format!("{} (line {})", reason.message, place.line)
                }
            }),
        }
    }
}

fn to_json(planned: &[Planned]) -> serde_json::Value {
    let refused = planned.iter().any(|one| matches!(one.end, End::Refused));
    let mut jobs = Vec::new();
    for one in planned.iter().filter(|_| !refused) {
        let End::Started(outline) = &one.end else { continue };
        let serde_json::Value::Array(own) = outline.to_json() else { continue };
        jobs.extend(own.into_iter().map(|mut job| {
            job["workflow"] = one.file.name().to_string().into();
            job
        }));
    }
    let diagnostics: Vec<_> =
        planned.iter().flat_map(|one| &one.diagnostics).map(diagnostic::to_json).collect();
    let triggered = !refused && planned.iter().any(|one| matches!(one.end, End::Started(_)));
    let workflows: Vec<_> = planned.iter().map(Planned::to_json).collect();
    json!({ "triggered": triggered, "jobs": jobs, "diagnostics": diagnostics, "workflows": workflows })
}

fn show_findings(planned: &[Planned], config: &Config) {
    for one in planned {
        for finding in &one.diagnostics {
            let finding = diagnostic::to_text(finding, &one.file, config.stderr);
            output::to_stderr(&format!("{finding}\n"));
        }
    }
}

fn to_text(planned: &[Planned], config: &Config) -> String {
    let mut text = String::new();
    for one in planned {
        text.push_str(&config.stdout.bold(&shown(&one.title(), false)));
        match &one.end {
            End::Started(outline) => {
                text.push('\n');
                text.extend(outline.to_text().lines().map(|line| format!("  {}\n", shown(line, false))));
            }
            End::Refused => text.push_str(": has errors\n"),
            End::NotTriggered(_) => {
                let reason = one.reason().unwrap_or_default();
                text.push_str(&format!(": not started: {}\n", shown(&reason, false)));
            }
        }
    }
    text
}

fn draw(planned: &[Planned], config: &Config, to: fn(&[Sheet<'_>]) -> String) -> Result<(), Failure> {
    show_findings(planned, config);
    let titles: Vec<(String, Option<String>)> =
        planned.iter().map(|one| (one.title(), one.reason())).collect();
    let sheets: Vec<Sheet<'_>> = planned
        .iter()
        .zip(&titles)
        .map(|(one, (title, reason))| Sheet {
            title,
            content: match &one.end {
                End::Started(outline) => Ok(outline),
                _ => Err(reason.as_deref().unwrap_or_default()),
            },
        })
        .collect();
    output::to_stdout(&to(&sheets))
}
