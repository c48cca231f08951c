//! `firedog show`: one run with its jobs, steps, durations and annotations.

use run::status::Conclusion;
use serde_json::{Value, json};
use store::RunRow;

use super::runs::run_json;
use crate::args::AnswerFormat;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::history::{self, History, local_time, standing, utc_time};
use crate::output;
use crate::render::ending::{annotation_line, job_mark};
use crate::render::resumed::resumed;
use crate::render::style::Style;
use crate::render::text::{between, duration, shown};
use crate::render::view::{JobState, JobView, RunView, StepState, StepView};

/// Arguments of `show`.
#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// The run: its id, the beginning of it, or `latest`
    #[arg(value_name = "RUN", default_value = "latest")]
    run: String,
    /// How the run is written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: AnswerFormat,
}

pub(crate) fn run(args: &ShowArgs, config: &Config) -> Result<Exit, Failure> {
    history::block_on(async {
        let history = History::open(config).await?;
        let run = history.find(&args.run).await?;
        let view = history.view(&run.id).await?;
        match args.format {
            AnswerFormat::Json => output::json_to_stdout(&json(&run, &view))?,
            AnswerFormat::Text => output::to_stdout(&text(&run, &view, config.stdout))?,
        }
        Ok(Exit::Success)
    })
}

fn json(run: &RunRow, view: &RunView) -> Value {
    let mut object = run_json(run);
    let jobs: Vec<Value> = view.jobs.iter().map(|(id, job)| job_json(id.as_str(), job)).collect();
    let annotations = view.annotations.iter().map(|(job, step, found)| {
        json!({
            "job": job, "step": step, "level": found.level, "message": found.message, "title": found.title,
            "file": found.file, "line": found.line, "end_line": found.end_line, "col": found.col,
            "end_col": found.end_col,
        })
    });
    object["jobs"] = jobs.into();
    object["annotations"] = annotations.collect();
    object
}

fn job_json(id: &str, job: &JobView) -> Value {
    let steps: Vec<Value> = job.steps.iter().map(step_json).collect();
    let (status, conclusion, until, reason) = match &job.state {
        JobState::Waiting => ("queued", None, None, None),
        JobState::Running { .. } => ("running", None, None, None),
        JobState::Finished { conclusion, until, reason, .. } => {
            ("completed", Some(*conclusion), Some(*until), reason.clone())
        }
    };
    json!({
        "id": id, "name": job.name, "status": status, "conclusion": conclusion, "reason": reason,
        "started_at": job.since().and_then(utc_time), "finished_at": until.and_then(utc_time), "steps": steps,
    })
}

fn step_json(step: &StepView) -> Value {
    let mut object = json!({"step": step.index, "id": step.id, "name": step.name, "phase": step.phase});
    match &step.state {
        StepState::Running(since) => {
            object["status"] = "running".into();
            object["started_at"] = utc_time(*since).into();
        }
        StepState::Finished { since, until, outcome, conclusion, error } => {
            object["status"] = "completed".into();
            object["started_at"] = utc_time(*since).into();
            object["finished_at"] = utc_time(*until).into();
            object["outcome"] = outcome.as_str().into();
            object["conclusion"] = conclusion.as_str().into();
            object["error"] = error.clone().into();
        }
    }
    object
}

fn text(run: &RunRow, view: &RunView, style: Style) -> String {
    let mut lines = vec![
        format!("{} {}", style.bold(&shown(&run.workflow, false)), standing(run, style)),
        format!("  id       {}", run.id),
        format!("  file     {}", shown(&run.file, false)),
        format!("  root     {}", shown(&run.root, false)),
        format!("  event    {} on {}", shown(&run.event, false), shown(&run.reference, false)),
        format!("  created  {}", local_time(run.created)),
    ];
    if !run.sha.is_empty() {
        lines.insert(5, format!("  commit   {}", shown(&run.sha, false)));
    }
    if let Some((from, to)) = run.started.zip(run.finished) {
        lines.push(format!("  took     {}", duration(between(from, to))));
    }
    if let Some(reason) = &run.reason {
        lines.push(format!("  reason   {}", style.yellow(&shown(reason, false))));
    }
    if let Some((resume, from)) = &view.resumed {
        lines.push(format!("  from     {}", resumed(resume, from, style)));
    }
    for job in view.jobs.values() {
        lines.push(String::new());
        lines.push(format!("{} {}", job_mark(job, style), style.bold(&shown(&job.name, false))));
        if let JobState::Finished { reason: Some(reason), .. } = &job.state {
            lines.push(format!("  {}", style.yellow(&shown(reason, false))));
        }
        lines.extend(job.steps.iter().map(|step| format!("  {}", step_line(step, style))));
    }
    if !view.annotations.is_empty() {
        lines.push(String::new());
    }
    for (job, _, annotation) in &view.annotations {
        lines.push(annotation_line(view.name(job), annotation, style));
    }
    lines.join("\n") + "\n"
}

fn step_line(step: &StepView, style: Style) -> String {
    let title = shown(&step.name, false);
    match &step.state {
        StepState::Running(_) => format!("{} {title}", style.cyan("●")),
        StepState::Finished { since, until, outcome, error, .. } => {
            let took = match outcome {
                Conclusion::Skipped => "skipped".to_owned(),
                _ => duration(between(*since, *until)),
            };
            let took = style.dim(&took);
            let error = error.as_ref().map(|error| format!("  {}", style.red(&shown(error, false))));
            format!("{} {title}  {took}{}", style.mark(*outcome), error.unwrap_or_default())
        }
    }
}
