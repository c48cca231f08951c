//! A live tree of jobs and steps on a terminal.
//!
//! What is over scrolls up and stays: a job with its steps when it ends. What runs is drawn anew below, as many lines
//! as the terminal has: jobs, their steps, the last lines of each running step, a line for the jobs that wait. The
//! cursor is hidden while drawing and comes back when the value is dropped, whatever the way out.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use console::{Term, truncate_str};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use run::event::{Event, EventKind, JobEvent, Timestamp};
use run::status::Conclusion;

use super::Render;
use super::ending::{Detail, concluded, ending, job_mark};
use super::refused;
use super::resumed::{resumed, rolled_back};
use super::style::Style;
use super::text::{between, duration, shown};
use super::view::{JobState, JobView, RunView, StepState, StepView};

/// How often what runs is drawn anew.
const FRAME: Duration = Duration::from_millis(100);
/// The most lines of one running step that are shown.
const MAX_TAIL: usize = 6;
const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/// Draws events on a terminal.
#[derive(Debug)]
pub(crate) struct Terminal {
    terminal: Term,
    area: ProgressBar,
    style: Style,
    runs: Vec<RunView>,
    frame: usize,
}

impl Terminal {
    /// For that many `runs`.
    pub(crate) fn new(terminal: Term, style: Style, runs: usize) -> Self {
        let target = ProgressDrawTarget::term(terminal.clone(), 20);
        let area = ProgressBar::with_draw_target(None, target);
        area.set_style(ProgressStyle::with_template("{msg}").expect("the template is a constant"));
        // A terminal that cannot hide its cursor shows it; nothing depends on it.
        drop(terminal.hide_cursor().and_then(|()| terminal.flush()));
        Self { terminal, area, style, runs: RunView::several(runs), frame: 0 }
    }

    /// Draws what runs now.
    fn compose(&mut self) {
        let (rows, columns) = self.terminal.size();
        let space = usize::from(rows).saturating_sub(2);
        let lines = frame(&self.runs, self.style, now(), self.frame, space);
        let width = usize::from(columns).saturating_sub(1);
        let lines: Vec<_> = lines.iter().map(|line| truncate_str(line, width, "…")).collect();
        self.area.set_message(lines.join("\n"));
    }

    fn above(&self, lines: &[String]) {
        if !lines.is_empty() {
            self.area.suspend(|| {
                // A terminal that is gone is noticed by the next signal; the run goes on.
                drop(self.terminal.write_line(&lines.join("\n")).and_then(|()| self.terminal.flush()));
            });
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.area.finish_and_clear();
        drop(self.terminal.show_cursor().and_then(|()| self.terminal.flush()));
    }
}

impl Render for Terminal {
    fn events(&mut self, run: usize, events: &[Event]) -> io::Result<()> {
        let mut over = Vec::new();
        for event in events {
            let view = &mut self.runs[run];
            view.apply(event);
            match &event.kind {
                EventKind::RunQueued { workflow, file, event } => {
                    let place = format!("({}, on {})", shown(file, false), shown(event, false));
                    let name = self.style.bold(&shown(workflow, false));
                    over.push(format!("{name} {}", self.style.dim(&place)));
                }
                EventKind::JobFinished { job, .. } => {
                    over.extend(
                        view.jobs.get(job).map(|job| finished_job(job, self.style)).unwrap_or_default(),
                    );
                }
                EventKind::RunResumed { resume, from } => over.push(resumed(resume, from, self.style)),
                EventKind::Reported { job, event: JobEvent::NetworkRefused { step, refusal }, .. }
                    if view.is_first_refusal(job, *step, refusal) =>
                {
                    let name = shown(view.name(job), false);
                    over.push(self.style.yellow(&format!("{name}: {}", refused::line(refusal))));
                }
                EventKind::Reported {
                    job,
                    event: JobEvent::RolledBack { step, attempt, attempts, .. },
                    ..
                } => {
                    let name = view.step_name(job, *step);
                    let text = format!("{}: {}", view.name(job), rolled_back(name, *attempt, *attempts));
                    over.push(self.style.yellow(&shown(&text, false)));
                }
                _ => {}
            }
        }
        // What only changes is drawn with the next frame; a flood of events must not become a flood of frames.
        if !over.is_empty() {
            self.compose();
            self.above(&over);
        }
        Ok(())
    }

    fn notice(&mut self, text: &str) -> io::Result<()> {
        self.above(&[self.style.yellow(text)]);
        Ok(())
    }

    fn frame(&self) -> Option<Duration> {
        Some(FRAME)
    }

    fn tick(&mut self) -> io::Result<()> {
        self.frame = self.frame.wrapping_add(1);
        self.compose();
        Ok(())
    }

    fn finish(&mut self, _conclusion: Conclusion) -> io::Result<()> {
        self.area.finish_and_clear();
        for view in &self.runs {
            self.terminal.write_line("")?;
            self.terminal.write_line(&ending(view, self.style, Detail::Full).join("\n"))?;
        }
        self.terminal.flush()
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::try_from(since.as_millis()).unwrap_or(Timestamp::MAX)
}

/// A job that is over, with its steps.
fn finished_job(job: &JobView, style: Style) -> Vec<String> {
    let JobState::Finished { since, until, conclusion, tolerated, reason } = &job.state else {
        return Vec::new();
    };
    let took = since.map(|since| style.dim(&format!("  {}", duration(between(since, *until)))));
    let reason = reason.as_ref().map(|reason| format!(": {}", shown(reason, false)));
    let name = style.bold(&shown(&job.name, false));
    let word = concluded(*conclusion, *tolerated, style);
    let mark = job_mark(job, style);
    let head = format!("{mark} {name} {word}{}{}", took.unwrap_or_default(), reason.unwrap_or_default());
    std::iter::once(head)
        .chain(job.steps.iter().map(|step| format!("  {}", finished_step(step, style))))
        .collect()
}

fn finished_step(step: &StepView, style: Style) -> String {
    let StepState::Finished { since, until, outcome, conclusion, .. } = &step.state else {
        return shown(&step.name, false).into_owned();
    };
    let took = match outcome {
        Conclusion::Skipped => "skipped".to_owned(),
        _ => duration(between(*since, *until)),
    };
    let tolerated = if outcome == conclusion { "" } else { " (continues)" };
    let attempt = if step.attempt > 1 { format!(" (attempt {})", step.attempt) } else { String::new() };
    let undone = if step.rolled_back { " (rolled back)" } else { "" };
    let title = shown(&step.name, false);
    format!("{} {title}{attempt}{tolerated}{undone}  {}", style.mark(*outcome), style.dim(&took))
}

/// What runs now, in at most `space` lines.
fn frame(runs: &[RunView], style: Style, now: Timestamp, count: usize, space: usize) -> Vec<String> {
    let spinner = style.cyan(SPINNER[count % SPINNER.len()]);
    let jobs: Vec<&JobView> = runs.iter().flat_map(|view| view.jobs.values()).collect();
    let running: Vec<&JobView> =
        jobs.iter().copied().filter(|job| matches!(job.state, JobState::Running { .. })).collect();
    let waiting: Vec<&JobView> =
        jobs.iter().copied().filter(|job| matches!(job.state, JobState::Waiting)).collect();
    // Fewer details until everything fits: first the tails shrink, then finished steps go, then jobs.
    let mut lines = Vec::new();
    for (tail, finished) in (0..=MAX_TAIL).rev().map(|tail| (tail, true)).chain([(0, false)]) {
        lines =
            running.iter().flat_map(|job| running_job(job, style, &spinner, now, tail, finished)).collect();
        if lines.len() < space {
            break;
        }
    }
    let room = space.saturating_sub(2);
    if lines.len() > room {
        let hidden = lines.len() - room;
        lines.truncate(room);
        lines.push(style.dim(&format!("… {hidden} lines more")));
    }
    if !waiting.is_empty() {
        let names: Vec<_> = waiting.iter().map(|job| shown(&job.name, false)).collect();
        lines.push(style.dim(&format!("○ {} waiting: {}", waiting.len(), names.join(", "))));
    }
    lines
}

fn running_job(
    job: &JobView,
    style: Style,
    spinner: &str,
    now: Timestamp,
    tail: usize,
    finished: bool,
) -> Vec<String> {
    let JobState::Running { since, machine } = &job.state else {
        return Vec::new();
    };
    let place = style.dim(&format!("on {machine}  {}", duration(between(*since, now))));
    let mut lines = vec![format!("{spinner} {} {place}", style.bold(&shown(&job.name, false)))];
    for step in &job.steps {
        match step.state {
            StepState::Running(since) => {
                let took = style.dim(&duration(between(since, now)));
                lines.push(format!("  {spinner} {}  {took}", shown(&step.name, false)));
                lines.extend(
                    step.group.iter().map(|group| format!("    {}", style.cyan(&format!("▸ {group}")))),
                );
                let last = step.tail.iter().skip(step.tail.len().saturating_sub(tail));
                lines.extend(
                    last.map(|line| format!("    {} {}", style.dim("│"), shown(line, style.colours))),
                );
            }
            StepState::Finished { .. } if finished => lines.push(format!("  {}", finished_step(step, style))),
            StepState::Finished { .. } => {}
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::{finished_job, frame};
    use crate::render::style::Style;
    use crate::render::tests::{Script, folded};
    use run::status::Conclusion;

    const PLAIN: Style = Style { colours: false };

    fn running() -> Script {
        Script::new()
            .job("a")
            .step(0, "one")
            .step_ends(0, Conclusion::Success)
            .step(1, "two")
            .log(1, "1\n2\n3\n4\n5\n6\n7\n8\n")
            .waiting("b")
    }

    #[test]
    fn what_runs_is_a_tree_with_the_last_lines() {
        let view = folded(running());
        let now = view.last;
        let lines = frame(&[view], PLAIN, now, 0, 20);
        assert_eq!(
            lines,
            [
                "⠋ Job a on namespace  0.5s",
                "  ✓ step 0  0.1s",
                "  ⠋ two  0.2s",
                "    │ 3",
                "    │ 4",
                "    │ 5",
                "    │ 6",
                "    │ 7",
                "    │ 8",
                "○ 1 waiting: Job b"
            ]
        );
    }

    #[test]
    fn a_small_terminal_is_never_overrun() {
        for space in 3..12 {
            let view = folded(running());
            let now = view.last;
            assert!(frame(&[view], PLAIN, now, 0, space).len() <= space, "space {space}");
        }
    }

    #[test]
    fn a_finished_job_stays_with_its_steps() {
        let view = folded(running().step_ends(1, Conclusion::Failure).job_ends("a", Conclusion::Failure));
        assert_eq!(
            finished_job(&view.jobs[0], PLAIN),
            ["✗ Job a failure  0.7s", "  ✓ step 0  0.1s", "  ✗ step 1  0.3s"]
        );
    }
}
