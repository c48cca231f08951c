//! What is said when a run is over: why it failed, what the tools found, how long each job took, and the summary that
//! its steps wrote.

use run::event::{Annotation, AnnotationLevel};
use run::status::Conclusion;

use super::refused;
use super::style::Style;
use super::text::{between, duration, shown};
use super::view::{JobState, JobView, RunView, StepState, StepView};

/// How many failed steps are shown with their last lines.
const MAX_FAILED_STEPS: usize = 20;

/// How much of the ending is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Failures and the last line.
    Failures,
    /// Everything.
    Full,
}

/// The ending of one run as lines.
pub(crate) fn ending(view: &RunView, style: Style, detail: Detail) -> Vec<String> {
    let mut lines = Vec::new();
    failures(view, style, &mut lines);
    retries(view, style, &mut lines);
    refusals(view, style, &mut lines);
    if detail == Detail::Full {
        annotations(view, style, &mut lines);
        jobs(view, style, &mut lines);
        summary(view, style, &mut lines);
    }
    if !lines.is_empty() {
        lines.push(String::new());
    }
    lines.push(verdict(view, style));
    lines
}

/// The last line: what became of the run.
fn verdict(view: &RunView, style: Style) -> String {
    let took = duration(between(view.started, view.last));
    match &view.finished {
        Some((conclusion, reason)) => {
            let word = style.concluded(*conclusion, conclusion.as_str());
            let reason = reason.as_ref().map(|reason| format!(": {}", shown(reason, false)));
            let name = style.bold(&shown(&view.workflow, false));
            format!("{} {name} {word} in {took}{}", style.mark(*conclusion), reason.unwrap_or_default())
        }
        None => format!("… {} has not ended", style.bold(&shown(&view.workflow, false))),
    }
}

fn failures(view: &RunView, style: Style, lines: &mut Vec<String>) {
    let failed_steps = view.jobs.values().flat_map(|job| job.steps.iter().map(move |step| (job, step)));
    for (job, step) in failed_steps.filter(|(_, step)| has_failed(step)).take(MAX_FAILED_STEPS) {
        failed_step(job, step, style, lines);
    }
    for job in view.jobs.values() {
        if let JobState::Finished { conclusion: Conclusion::Failure, reason: Some(reason), .. } = &job.state {
            separate(lines);
            let name = style.bold(&shown(&job.name, false));
            lines.push(format!("{} {name}: {}", style.mark(Conclusion::Failure), shown(reason, false)));
        }
    }
}

/// Steps that failed and were tried again: whatever came of it, that they failed at first is said.
fn retries(view: &RunView, style: Style, lines: &mut Vec<String>) {
    for job in view.jobs.values() {
        let retried: Vec<&StepView> =
            job.steps.iter().filter(|step| step.attempt > 1 && !step.rolled_back).collect();
        if !retried.is_empty() {
            separate(lines);
        }
        for step in retried {
            let place = format!("{} › {}", shown(&job.name, false), shown(&step.name, false));
            let (failed, end) = match (step.attempt - 1, has_failed(step)) {
                (failed, true) => (failed + 1, "and was not saved by a rollback"),
                (failed, false) => {
                    (failed, "and passed after a rollback to where it began: it is not reliable")
                }
            };
            let times = if failed == 1 { "once".to_owned() } else { format!("{failed} times") };
            lines.push(format!("{} {} failed {times}, {end}", style.yellow("↻"), style.bold(&place)));
        }
    }
}

/// What machines wanted to reach and did not, by step.
fn refusals(view: &RunView, style: Style, lines: &mut Vec<String>) {
    if view.refusals.is_empty() {
        return;
    }
    separate(lines);
    lines.push(style.bold("refused by the network"));
    for (job, step, refusal) in &view.refusals {
        let step = step.map(|step| format!(" › {}", shown(view.step_name(job, step), false)));
        let place = format!("{}{}", shown(view.name(job), false), step.unwrap_or_default());
        lines.push(format!("  {place}: {}", refused::summary(refusal)));
    }
    if view.refusals_left_out > 0 {
        lines.push(style.dim(&format!("  {} times other destinations", view.refusals_left_out)));
    }
    if let Some(help) = view.refusals.iter().find_map(|(_, _, refusal)| refused::help(refusal)) {
        lines.push(style.dim(&format!("  help: {help}")));
    }
}

/// Whether a step ended badly and that counted.
fn has_failed(step: &StepView) -> bool {
    !step.rolled_back && matches!(step.state, StepState::Finished { conclusion: Conclusion::Failure, .. })
}

fn failed_step(job: &JobView, step: &StepView, style: Style, lines: &mut Vec<String>) {
    separate(lines);
    let place = format!("{} › {}", shown(&job.name, false), shown(&step.name, false));
    lines.push(format!("{} {}", style.mark(Conclusion::Failure), style.bold(&place)));
    lines.extend(step.tail.iter().map(|line| format!("  {} {}", style.dim("│"), shown(line, style.colours))));
    if let StepState::Finished { error: Some(error), .. } = &step.state {
        lines.push(format!("  {}", style.red(&shown(error, false))));
    }
}

fn annotations(view: &RunView, style: Style, lines: &mut Vec<String>) {
    if view.annotations.is_empty() {
        return;
    }
    separate(lines);
    for (job, _, annotation) in &view.annotations {
        lines.push(annotation_line(view.name(job), annotation, style));
    }
    if view.annotations_left_out > 0 {
        lines.push(style.dim(&format!("{} annotations more", view.annotations_left_out)));
    }
}

/// An annotation on one line: how bad, where, what.
pub(crate) fn annotation_line(job: &str, annotation: &Annotation, style: Style) -> String {
    let level = match annotation.level {
        AnnotationLevel::Error => style.red("error"),
        AnnotationLevel::Warning => style.yellow("warning"),
        AnnotationLevel::Notice => style.cyan("notice"),
    };
    let mut place = annotation.file.clone().unwrap_or_default();
    for number in [annotation.line, annotation.col].into_iter().flatten() {
        if !place.is_empty() {
            place.push_str(&format!(":{number}"));
        }
    }
    let title = annotation.title.as_deref().filter(|title| !title.is_empty());
    let message =
        annotation.message.lines().map(|line| shown(line, false)).collect::<Vec<_>>().join("\n    ");
    let parts = [place.as_str(), title.unwrap_or_default()].map(|part| shown(part, false));
    let parts: String =
        parts.iter().filter(|part| !part.is_empty()).map(|part| format!("{part}: ")).collect();
    format!("{level} {} {parts}{message}", style.dim(&format!("[{}]", shown(job, false))))
}

fn jobs(view: &RunView, style: Style, lines: &mut Vec<String>) {
    if view.jobs.is_empty() {
        return;
    }
    separate(lines);
    let names: Vec<_> = view.jobs.values().map(|job| shown(&job.name, false)).collect();
    let width = names.iter().map(|name| console::measure_text_width(name)).max().unwrap_or_default();
    for (job, name) in view.jobs.values().zip(&names) {
        let padding = " ".repeat(width - console::measure_text_width(name));
        lines.push(format!("{} {name}{padding}  {}", job_mark(job, style), job_state(job, style)));
    }
}

/// The mark of a job.
pub(crate) fn job_mark(job: &JobView, style: Style) -> String {
    match &job.state {
        JobState::Waiting => style.dim("○"),
        JobState::Running { .. } => style.cyan("●"),
        JobState::Finished { conclusion, .. } => style.mark(*conclusion),
    }
}

/// How a job ended, in a word or, where a failure does not count, in some.
pub(crate) fn concluded(conclusion: Conclusion, tolerated: bool, style: Style) -> String {
    match (conclusion, tolerated) {
        (Conclusion::Success, true) => style.yellow("failed, but may fail"),
        (other, _) => style.concluded(other, other.as_str()),
    }
}

fn job_state(job: &JobView, style: Style) -> String {
    match &job.state {
        JobState::Waiting => style.dim("waiting"),
        JobState::Running { machine, .. } => format!("running on {machine}"),
        JobState::Finished { since, until, conclusion, tolerated, .. } => {
            let took = since.map(|since| duration(between(since, *until))).unwrap_or_default();
            let word = match (conclusion, tolerated) {
                (Conclusion::Success, false) => String::new(),
                (other, tolerated) => concluded(*other, *tolerated, style),
            };
            format!("{took:>7}  {word}").trim_end().to_owned()
        }
    }
}

fn summary(view: &RunView, style: Style, lines: &mut Vec<String>) {
    for (job, markdown) in &view.summaries {
        separate(lines);
        lines.push(style.dim(&format!("summary of {}", shown(view.name(job), false))));
        lines.extend(markdown.trim_end().lines().map(|line| shown(line, false).into_owned()));
    }
}

fn separate(lines: &mut Vec<String>) {
    if !lines.is_empty() {
        lines.push(String::new());
    }
}
