//! Lines for a file, a pipe or another program's log: one for each event, each with its job's name before it.

use std::io::{self, Write};

use run::event::{Event, EventKind, JobEvent, Timestamp};
use run::id::JobId;
use run::status::Conclusion;

use super::Render;
use super::ending::{Detail, annotation_line, concluded, ending};
use super::refused;
use super::resumed::{restored, resumed, rolled_back};
use super::style::Style;
use super::text::{between, duration, shown};
use super::view::{RunView, StepState};

/// Bytes above which the buffer is written in the middle of a batch, to bound its size.
const WRITE_AT: usize = 1024 * 1024;

/// Writes events as lines.
#[derive(Debug)]
pub(crate) struct Plain<W> {
    out: W,
    buffer: Vec<u8>,
    style: Style,
    detail: Detail,
    runs: Vec<RunView>,
}

impl<W: Write> Plain<W> {
    /// For that many `runs`.
    pub(crate) fn new(out: W, style: Style, detail: Detail, runs: usize) -> Self {
        Self { out, buffer: Vec::new(), style, detail, runs: RunView::several(runs) }
    }

    fn write(&mut self) -> io::Result<()> {
        let written = self.out.write_all(&self.buffer).and_then(|()| self.out.flush());
        self.buffer.clear();
        written
    }

    fn line(&mut self, prefix: &str, text: &str) {
        for part in [prefix, text, "\n"] {
            self.buffer.extend_from_slice(part.as_bytes());
        }
    }

    fn event(&mut self, run: usize, event: &Event) -> io::Result<()> {
        let style = self.style;
        match &event.kind {
            EventKind::RunQueued { workflow, file, event } => {
                let place = style.dim(&format!("({}, on {})", shown(file, false), shown(event, false)));
                self.line("", &format!("{} {place}", style.bold(&shown(workflow, false))));
            }
            EventKind::Reported { job, event: reported, .. } => {
                let prefix = self.prefix(run, job);
                self.report(&prefix, run, job, reported, event.at)?;
            }
            EventKind::JobFinished { job, name, conclusion, tolerated, reason, .. } => {
                let prefix = self.prefix(run, job);
                let since = self.runs[run].jobs.get(job).and_then(super::view::JobView::since);
                let took = since.map(|since| format!("  {}", duration(between(since, event.at))));
                let reason = reason.as_ref().map(|reason| format!(": {}", shown(reason, false)));
                let word = concluded(*conclusion, *tolerated, style);
                let text = format!("{} {} {word}", style.mark(*conclusion), shown(name, false));
                self.line(&prefix, &(text + &took.unwrap_or_default() + &reason.unwrap_or_default()));
            }
            EventKind::JobPending { job, group } => {
                let prefix = self.prefix(run, job);
                let text = format!("waiting for the concurrency group {}", shown(group, false));
                self.line(&prefix, &style.dim(&text));
            }
            EventKind::LeaseExpired { job, reason, .. } => {
                let prefix = self.prefix(run, job);
                self.line(&prefix, &style.yellow(&format!("its runner is gone: {}", shown(reason, false))));
            }
            EventKind::CancelRequested { job, reason, .. } => {
                let prefix = job.as_ref().map(|job| self.prefix(run, job)).unwrap_or_default();
                self.line(&prefix, &style.yellow(&format!("cancelling: {}", shown(reason, false))));
            }
            EventKind::RunResumed { resume, from } => self.line("", &resumed(resume, from, style)),
            EventKind::JobExpanded { group, legs, total, .. } if legs.is_empty() && *total > 0 => {
                let text =
                    format!("{}: `--matrix` keeps none of its {total} legs", shown(group.as_str(), false));
                self.line("", &style.yellow(&text));
            }
            EventKind::JobExpanded { .. }
            | EventKind::CallOpened { .. }
            | EventKind::JobQueued { .. }
            | EventKind::JobLeased { .. }
            | EventKind::RunFinished { .. } => {}
        }
        Ok(())
    }

    fn prefix(&self, run: usize, job: &JobId) -> String {
        let name = self.runs.get(run).map_or(job.as_str(), |view| view.name(job));
        self.style.cyan(&shown(name, false)) + &self.style.dim(" │ ")
    }

    fn report(
        &mut self,
        prefix: &str,
        run: usize,
        job: &JobId,
        event: &JobEvent,
        at: Timestamp,
    ) -> io::Result<()> {
        let style = self.style;
        match event {
            JobEvent::Started { machine } => {
                self.line(prefix, &style.dim(&format!("on machine `{machine}`")))
            }
            JobEvent::StepStarted { name, .. } => {
                self.line(prefix, &style.bold(&format!("● {}", shown(name, false))));
            }
            JobEvent::Log { text, .. } => return self.log(prefix, text),
            JobEvent::GroupStarted { title, .. } => {
                self.line(prefix, &style.cyan(&format!("▸ {}", shown(title, false))));
            }
            JobEvent::Annotation { annotation, .. } => {
                let line = annotation_line(self.runs[run].name(job), annotation, style);
                self.line(prefix, &line);
            }
            JobEvent::NetworkRefused { step, refusal } => {
                if self.runs[run].is_first_refusal(job, *step, refusal) {
                    self.line(prefix, &style.yellow(&refused::line(refusal)));
                }
            }
            JobEvent::StepFinished { step, name, outcome, conclusion, error, .. } => {
                let text = self.step_end(run, job, *step, at);
                let error = error.as_ref().map(|error| format!(": {}", shown(error, false)));
                let tolerated = if outcome == conclusion { "" } else { " (continues)" };
                let title = shown(name, false).into_owned();
                let mark = style.mark(*outcome);
                self.line(prefix, &format!("{mark} {title}{text}{tolerated}{}", error.unwrap_or_default()));
            }
            JobEvent::Finished { error: Some(error), .. } => {
                self.line(prefix, &style.red(&shown(error, false)));
            }
            JobEvent::Resumed { step, kind, .. } => {
                let what = restored(*kind);
                self.line(prefix, &style.dim(&format!("goes on before step {step}: {what}")));
            }
            JobEvent::RolledBack { step, attempt, attempts, .. } => {
                let text = rolled_back(self.runs[run].step_name(job, *step), *attempt, *attempts);
                self.line(prefix, &style.yellow(&shown(&text, false)));
            }
            JobEvent::GroupEnded { .. }
            | JobEvent::CheckpointKept { .. }
            | JobEvent::CheckpointDropped { .. }
            | JobEvent::Summary { .. }
            | JobEvent::Finished { error: None, .. } => {}
        }
        Ok(())
    }

    /// How long a step took, for its last line; `skipped` where it did not run.
    fn step_end(&self, run: usize, job: &JobId, index: u32, at: Timestamp) -> String {
        let step = self.runs[run].jobs.get(job).and_then(|job| job.step(index));
        match step.map(|step| &step.state) {
            Some(StepState::Finished { conclusion: Conclusion::Skipped, .. }) => "  skipped".to_owned(),
            Some(StepState::Finished { since, .. } | StepState::Running(since)) => {
                format!("  {}", duration(between(*since, at)))
            }
            None => String::new(),
        }
    }

    fn log(&mut self, prefix: &str, text: &str) -> io::Result<()> {
        for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
            let line = shown(line, self.style.colours);
            self.line(prefix, &line);
            if self.buffer.len() >= WRITE_AT {
                self.write()?;
            }
        }
        Ok(())
    }
}

impl<W: Write> Render for Plain<W> {
    fn events(&mut self, run: usize, events: &[Event]) -> io::Result<()> {
        for event in events {
            self.runs[run].apply(event);
            if self.detail == Detail::Full {
                self.event(run, event)?;
            }
        }
        self.write()
    }

    fn finish(&mut self, _conclusion: Conclusion) -> io::Result<()> {
        for run in 0..self.runs.len() {
            if self.detail == Detail::Full {
                self.line("", "");
            }
            for line in ending(&self.runs[run], self.style, self.detail) {
                self.line("", &line);
            }
        }
        self.write()
    }
}

#[cfg(test)]
mod tests {
    use super::{Detail, Plain, Style};
    use crate::render::Render;
    use crate::render::tests::Script;
    use run::status::Conclusion;

    fn check(script: Script, detail: Detail, expected: &str) {
        let mut out = Vec::new();
        let mut plain = Plain::new(&mut out, Style { colours: false }, detail, 1);
        plain.events(0, &script.events()).expect("memory can be written");
        plain.finish(Conclusion::Failure).expect("memory can be written");
        snapbox::assert_data_eq!(String::from_utf8(out).expect("text is UTF-8"), expected.to_owned());
    }

    fn failing() -> Script {
        Script::new()
            .queued()
            .job("a")
            .step(0, "compile")
            .log(0, "one\n\u{1b}[31mred\u{1b}[0m\n")
            .step_fails(0, "Process completed with exit code 1.")
            .job_ends("a", Conclusion::Failure)
            .run_ends(Conclusion::Failure)
    }

    #[test]
    fn every_event_is_a_line() {
        check(
            failing(),
            Detail::Full,
            "\
CI (ci.yml, on push)
Job a │ on machine `namespace`
Job a │ ● compile
Job a │ one
Job a │ red
Job a │ ✗ step 0  0.2s: Process completed with exit code 1.
Job a │ ✗ Job a failure  0.4s

✗ Job a › step 0
  │ one
  │ red
  Process completed with exit code 1.

✗ Job a     0.4s  failure

✗ CI failure in 0.7s
",
        );
    }

    #[test]
    fn quiet_says_failures_and_the_end() {
        check(
            failing(),
            Detail::Failures,
            "\
✗ Job a › step 0
  │ one
  │ red
  Process completed with exit code 1.

✗ CI failure in 0.7s
",
        );
    }
}
