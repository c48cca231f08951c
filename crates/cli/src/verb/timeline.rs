//! `firedog timeline`: the steps of a run with what was kept before them.

use std::collections::HashSet;

use run::event::{Phase, Timestamp};
use run::id::JobId;
use run::status::Conclusion;
use serde_json::{Value, json};
use store::{CheckpointRow, RunRow};

use super::runs::{columns, run_json};
use crate::args::AnswerFormat;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::history::{self, History, local_time, standing, utc_time};
use crate::output;
use crate::render::ending::job_mark;
use crate::render::style::Style;
use crate::render::text::{between, bytes, duration, shown};
use crate::render::view::{JobState, JobView, RunView, StepState, StepView};

/// Arguments of `timeline`.
#[derive(Debug, clap::Args)]
pub(crate) struct TimelineArgs {
    /// The run: its id, the beginning of it, or `latest`
    #[arg(value_name = "RUN", default_value = "latest")]
    run: String,
    /// How the timeline is written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: AnswerFormat,
}

pub(crate) fn run(args: &TimelineArgs, config: &Config) -> Result<Exit, Failure> {
    history::block_on(async {
        let history = History::open(config).await?;
        let run = history.find(&args.run).await?;
        let view = history.view(&run.id).await?;
        let kept = history.checkpoints(&run.id).await?;
        match args.format {
            AnswerFormat::Json => output::json_to_stdout(&json(&run, &view, &kept))?,
            AnswerFormat::Text => output::to_stdout(&text(&run, &view, &kept, config.stdout))?,
        }
        Ok(Exit::Success)
    })
}

/// The checkpoint before a step. An attempt that follows a rollback begins where the first one did.
fn before<'a>(kept: &'a [CheckpointRow], job: &JobId, step: &StepView) -> Option<&'a CheckpointRow> {
    let is_main = step.phase == Phase::Main;
    kept.iter().find(|row| is_main && row.job == *job && row.step == step.index)
}

fn json(run: &RunRow, view: &RunView, kept: &[CheckpointRow]) -> Value {
    let mut object = run_json(run);
    let jobs = view.jobs.iter().map(|(id, job)| {
        let steps: Vec<Value> =
            job.steps.iter().map(|step| step_json(step, before(kept, id, step))).collect();
        let conclusion = match &job.state {
            JobState::Finished { conclusion, .. } => Some(*conclusion),
            _ => None,
        };
        json!({"id": id, "name": job.name, "conclusion": conclusion, "steps": steps})
    });
    object["jobs"] = jobs.collect();
    object["resumed_from"] = view.resumed.as_ref().map_or(Value::Null, |(resume, from)| {
        json!({"run": from, "job": resume.job, "step": resume.step, "extent": resume.extent})
    });
    object["checkpoint_bytes"] = kept.iter().map(|row| row.bytes).sum::<u64>().into();
    object
}

fn step_json(step: &StepView, row: Option<&CheckpointRow>) -> Value {
    let (since, until, outcome, conclusion) = ends(step);
    let checkpoint = row.map(
        |row| json!({"id": row.id, "kind": row.kind, "bytes": row.bytes, "kept_at": utc_time(row.kept)}),
    );
    json!({
        "step": step.index, "id": step.id, "name": step.name, "phase": step.phase, "attempt": step.attempt,
        "rolled_back": step.rolled_back, "outcome": outcome, "conclusion": conclusion,
        "started_at": utc_time(since), "finished_at": until.and_then(utc_time),
        "duration_ms": until.map(|until| until.saturating_sub(since).max(0)), "checkpoint": checkpoint,
    })
}

fn ends(step: &StepView) -> (Timestamp, Option<Timestamp>, Option<Conclusion>, Option<Conclusion>) {
    match &step.state {
        StepState::Running(since) => (*since, None, None, None),
        StepState::Finished { since, until, outcome, conclusion, .. } => {
            (*since, Some(*until), Some(*outcome), Some(*conclusion))
        }
    }
}

fn text(run: &RunRow, view: &RunView, kept: &[CheckpointRow], style: Style) -> String {
    let mut lines = vec![format!(
        "{} {}  {}  {}",
        style.bold(&shown(&run.workflow, false)),
        standing(run, style),
        run.id,
        local_time(run.created)
    )];
    if let Some((resume, from)) = &view.resumed {
        lines.push(crate::render::resumed::resumed(resume, from, style));
    }
    let head = ["", "STEP", "ENDED", "TOOK", "SNAPSHOT", "SIZE", "KEPT"].map(|name| style.bold(name));
    let mut rows = vec![head];
    for (id, job) in &view.jobs {
        rows.push(job_row(job, style));
        rows.extend(job.steps.iter().map(|step| step_row(step, before(kept, id, step), style)));
    }
    lines.push(String::new());
    let mut text = lines.join("\n") + "\n" + &columns(&rows);
    text.push_str(&format!("\n{}\n", advice(run, kept, view)));
    text
}

fn job_row(job: &JobView, style: Style) -> [String; 7] {
    let (ended, took) = match &job.state {
        JobState::Waiting => ("waiting".to_owned(), String::new()),
        JobState::Running { .. } => ("running".to_owned(), String::new()),
        JobState::Finished { since, until, conclusion, .. } => {
            let took = since.map(|since| duration(between(since, *until)));
            (conclusion.as_str().to_owned(), took.unwrap_or_default())
        }
    };
    let name = style.bold(&shown(&job.name, false));
    [job_mark(job, style), name, ended, took, String::new(), String::new(), String::new()]
}

fn step_row(step: &StepView, row: Option<&CheckpointRow>, style: Style) -> [String; 7] {
    let (since, until, outcome, _) = ends(step);
    let number = if step.phase == Phase::Main { step.index.to_string() } else { " ".to_owned() };
    let attempt = if step.attempt > 1 { format!(" (attempt {})", step.attempt) } else { String::new() };
    let name = format!("  {} {}{attempt}", style.dim(&number), shown(&step.name, false));
    let ended = match (outcome, step.rolled_back) {
        (None, _) => style.cyan("running"),
        (Some(outcome), false) => style.concluded(outcome, outcome.as_str()),
        (Some(outcome), true) => style.yellow(&format!("{outcome}, undone")),
    };
    let mark = outcome.map_or_else(|| style.cyan("●"), |outcome| style.mark(outcome));
    let took = until.filter(|_| outcome != Some(Conclusion::Skipped));
    let took = took.map(|until| duration(between(since, until))).unwrap_or_default();
    let (kind, size, at) = match row {
        Some(row) => (row.kind.as_str().to_owned(), bytes(row.bytes), local_time(row.kept)),
        None => (style.dim("–"), String::new(), String::new()),
    };
    [mark, name, ended, took, kind, size, at]
}

/// What can be done from here.
fn advice(run: &RunRow, kept: &[CheckpointRow], view: &RunView) -> String {
    if kept.is_empty() {
        return "nothing is kept of this run; `firedog run --snapshots steps` (or `failure`) keeps what is there \
                before steps"
            .to_owned();
    }
    let total = bytes(kept.iter().map(|row| row.bytes).sum());
    let failed = kept.iter().find(|row| {
        let steps = view.jobs.get(&row.job).map(|job| job.steps.as_slice()).unwrap_or_default();
        steps.iter().any(|step| step.index == row.step && ends(step).2 == Some(Conclusion::Failure))
    });
    let row = failed.unwrap_or(&kept[kept.len() - 1]);
    let several = kept.iter().map(|row| &row.job).collect::<HashSet<_>>().len() > 1;
    let job = if several { format!(" --job '{}'", row.job) } else { String::new() };
    let count = if kept.len() == 1 { "1 snapshot".to_owned() } else { format!("{} snapshots", kept.len()) };
    format!(
        "{count} added {total}; go on from one with\n  firedog rewind {}{job} --step {} --run",
        run.id, row.step
    )
}
