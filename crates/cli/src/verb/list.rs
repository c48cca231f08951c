//! `firedog list`: the workflows of a repository with their events, schedules and jobs.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;
use workflow::model::{ScheduleEntry, Workflow};
use workflow::plan::PlannedWorkflow;
use workflow::read::{ReadOptions, parse};

use crate::args::AnswerFormat;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::render::text::shown;
use crate::{files, output};

/// Arguments of `list`.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// The repository [default: the working directory]
    #[arg(long, value_name = "FOLDER")]
    root: Option<PathBuf>,
    /// The time after which schedules are shown to fire next, such as 2026-11-24T05:30:00Z [default: now]
    #[arg(long, value_name = "TIME")]
    after: Option<Timestamp>,
    /// How many of the next times of each schedule are shown
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u16).range(1..=100))]
    next: u16,
    /// How the list is written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: AnswerFormat,
}

/// One workflow of the list.
struct Listed {
    file: String,
    workflow: Option<Workflow>,
    errors: usize,
}

pub(crate) fn run(args: &ListArgs, config: &Config) -> Result<Exit, Failure> {
    let times = Times { after: args.after.unwrap_or_else(Timestamp::now), count: usize::from(args.next) };
    let root = args.root.as_deref().unwrap_or(Path::new("."));
    let listed: Vec<Listed> = files::workflows_of(root)?
        .into_iter()
        .map(|file| {
            let parsed = parse(&file, &ReadOptions::default());
            let errors = parsed.diagnostics.iter().filter(|one| one.is_error()).count();
            Listed { file: file.name().to_string(), workflow: parsed.value, errors }
        })
        .collect();
    match args.format {
        AnswerFormat::Json => {
            let workflows: Vec<_> = listed.iter().map(|one| to_json(one, times)).collect();
            output::json_to_stdout(&json!({ "workflows": workflows }))?;
        }
        AnswerFormat::Text if listed.is_empty() => {
            output::to_stderr(&format!("no workflows in `{}`", root.join(".github/workflows").display()));
        }
        AnswerFormat::Text => {
            let text: String = listed.iter().map(|one| to_text(one, times, config)).collect();
            output::to_stdout(&text)?;
        }
    }
    Ok(if listed.iter().any(|one| one.errors > 0) { Exit::Negative } else { Exit::Success })
}

fn events(workflow: &Workflow) -> Vec<&str> {
    workflow.on.events.keys().map(String::as_str).collect()
}

/// The entries of all schedules of the workflow.
fn schedules(workflow: &Workflow) -> impl Iterator<Item = &ScheduleEntry> {
    workflow.on.events.values().flat_map(|trigger| &trigger.schedule)
}

/// Which of the times of schedules are shown.
#[derive(Clone, Copy)]
struct Times {
    after: Timestamp,
    count: usize,
}

impl Times {
    fn of(self, entry: &ScheduleEntry) -> Vec<Timestamp> {
        entry.times(self.after).take(self.count).collect()
    }

    /// When the entry fires next, by the clocks of its time zone: a line each.
    fn lines(self, entry: &ScheduleEntry) -> Vec<String> {
        let zone = entry.timezone.as_ref().map_or("UTC", |zone| &zone.value);
        let cron = &entry.cron.value;
        let clocks = entry.zone().unwrap_or(TimeZone::UTC);
        let times = self.of(entry);
        if times.is_empty() {
            return vec![format!("never ({cron})")];
        }
        let shown = |time: &Timestamp| time.to_zoned(clocks.clone()).strftime("%Y-%m-%d %H:%M").to_string();
        times.iter().map(|time| format!("{} {zone} ({cron})", shown(time))).collect()
    }
}

fn to_json(listed: &Listed, times: Times) -> serde_json::Value {
    let workflow = listed.workflow.as_ref();
    let jobs = workflow.into_iter().flat_map(|workflow| &workflow.jobs).map(|job| {
        let needs: Vec<&str> = job.needs.iter().map(|need| need.value.as_str()).collect();
        json!({ "id": job.id.value, "needs": needs, "calls": PlannedWorkflow::is_call(job) })
    });
    let schedules = workflow.into_iter().flat_map(schedules).map(|entry| {
        json!({
            "cron": entry.cron.value,
            "timezone": entry.timezone.as_ref().map(|zone| &zone.value),
            "next": times.of(entry).iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    });
    json!({
        "file": listed.file,
        "name": workflow.and_then(|workflow| workflow.name.as_ref()).map(|name| &name.value),
        "events": workflow.map(events).unwrap_or_default(),
        "schedules": schedules.collect::<Vec<_>>(),
        "jobs": jobs.collect::<Vec<_>>(),
        "errors": listed.errors,
    })
}

fn to_text(listed: &Listed, times: Times, config: &Config) -> String {
    let mut text = config.stdout.bold(&listed.file);
    if let Some(workflow) = &listed.workflow {
        if let Some(name) = &workflow.name {
            text.push_str(&format!("  {}", name.value));
        }
        text.push_str(&format!("\n  on    {}\n", events(workflow).join(", ")));
        for entry in schedules(workflow) {
            for line in times.lines(entry) {
                text.push_str(&format!("  next  {}\n", shown(&line, false)));
            }
        }
        let jobs: Vec<&str> = workflow.jobs.iter().map(|job| job.id.value.as_str()).collect();
        text.push_str(&format!("  jobs  {}\n", jobs.join(", ")));
    } else {
        text.push('\n');
    }
    if listed.errors > 0 {
        text.push_str(&format!("  {}\n", config.stdout.red("has errors: see `firedog check`")));
    }
    text
}
