//! `firedog fork`: one step, many times, from the same state. Same state and mixed results is a proven flake.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use indexmap::IndexMap;
use run::event::{Event, EventKind, JobEvent, Phase, Timestamp};
use run::id::{JobId, RunId};
use run::job::{Extent, Resume};
use run::resume::take_over;
use run::status::Conclusion;
use runner::checkpoint::{Checkpoints, Keep};
use serde_json::{Value, json};
use store::{LogQuery, Store};

use super::place::{Place, PlaceArgs};
use super::rewind::{Resumed, ValueArgs, root, signals};
use super::watch::Ended;
use super::{Launch, exit};
use crate::args::AnswerFormat;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::history::{History, unreadable};
use crate::output;
use crate::render::Render;
use crate::render::resumed::restored;
use crate::render::style::Style;
use crate::render::text::{between, duration, shown};
use crate::verb::runs::columns;

/// How much of an attempt's log is compared, in bytes.
const MAX_COMPARED: usize = 4 * 1024 * 1024;
/// The longest part of a line that is shown, in characters.
const MAX_SHOWN: usize = 60;
/// The deviations of a normal distribution between which 95 % lie.
const CONFIDENCE: f64 = 1.96;

/// Arguments of `fork`.
#[derive(Debug, clap::Args)]
pub(crate) struct ForkArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// How many attempts
    #[arg(long, short = 'n', value_name = "N", default_value = "10")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    count: u32,
    /// How many attempts run at a time [default of N: twice the number of cores, at least 8]
    #[arg(long, short = 'j', value_name = "N", num_args = 0..=1, default_missing_value = "0")]
    #[arg(default_value = "1", value_parser = clap::value_parser!(u16).range(0..=256))]
    parallel: u16,
    /// How the comparison is written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: AnswerFormat,
    #[command(flatten)]
    values: ValueArgs,
}

pub(crate) fn run(args: &ForkArgs, config: &Config) -> Result<Exit, Failure> {
    let runtime = super::runtime()?;
    let ended = runtime.block_on(async {
        let history = History::open(config).await?;
        let place = Place::find(&history, &args.place, u64::MAX).await?;
        fork(args, config, &history, place).await
    });
    machine::scratch::wait_for_removals();
    runtime.shutdown_timeout(super::LAST_THREADS);
    ended
}

async fn fork(args: &ForkArgs, config: &Config, history: &History, place: Place) -> Result<Exit, Failure> {
    let resume = Resume {
        job: place.row.job.clone(),
        step: place.row.step,
        checkpoint: place.row.id.clone(),
        extent: Extent::Step,
    };
    let named = format!("{} of `{}`", place.step_name(), place.job_name());
    let taken_over = take_over(&place.plan, &place.run.id, &place.events, &resume, args.count);
    if !config.quiet {
        let state = restored(place.row.kind);
        output::to_stderr(&format!("{} attempts of {named}: {state}", args.count));
    }
    let checkpoints =
        Checkpoints { vault: Arc::new(place.vault), keep: Keep::Nothing, renew_workspace: false, retries: 0 };
    let resumed = Resumed {
        about: &place.about,
        values: &args.values,
        parallel: Some(args.parallel).filter(|parallel| *parallel > 0),
        root: root(None, &place.about)?,
        plan: place.plan,
        taken_over,
        checkpoints,
    };
    let mut attempts = Attempts::new(&resume, args.count, config);
    let mut signals = signals()?;
    let (control, runs, options) = resumed.submit(config, history).await?;
    let launch = Launch {
        control: &control,
        runs: &runs,
        options,
        screen: &mut attempts,
        signals: &mut signals,
        cancel_after: None,
    };
    let ended = launch.run().await?;
    if !matches!(ended, Ended::Concluded(Conclusion::Success | Conclusion::Failure)) {
        return exit(ended, &control, &runs);
    }
    let attempts = attempts.finished()?;
    let differences = differences(history.store(), &runs[0], &attempts, resume.step).await?;
    let comparison =
        Comparison { run: &runs[0], step: &named, attempts: &attempts, differences: &differences };
    match args.format {
        AnswerFormat::Json => output::json_to_stdout(&comparison.json())?,
        AnswerFormat::Text => output::to_stdout(&comparison.text(config.stdout))?,
    }
    Ok(if comparison.failures() == 0 { Exit::Success } else { Exit::Negative })
}

/// One attempt.
#[derive(Clone, Debug)]
struct Attempt {
    job: JobId,
    since: Timestamp,
    until: Timestamp,
    outcome: Conclusion,
    exit_code: Option<i32>,
    outputs: IndexMap<String, String>,
    error: Option<String>,
}

/// The attempts as they end, told on standard error.
#[derive(Debug)]
struct Attempts {
    /// In their order, each with what is known of it.
    all: IndexMap<JobId, Option<Attempt>>,
    started: HashMap<JobId, Timestamp>,
    /// Why an attempt never came to its step.
    broken: Option<String>,
    step: u32,
    quiet: bool,
    style: Style,
}

impl Attempts {
    fn new(resume: &Resume, count: u32, config: &Config) -> Self {
        Self {
            all: (0..count).map(|number| (resume.attempt(number), None)).collect(),
            started: HashMap::new(),
            broken: None,
            step: resume.step,
            quiet: config.quiet,
            style: config.stderr,
        }
    }

    fn report(&mut self, job: &JobId, event: &JobEvent, at: Timestamp) {
        match event {
            JobEvent::StepStarted { step, phase: Phase::Main, .. } if *step == self.step => {
                self.started.insert(job.clone(), at);
            }
            JobEvent::StepFinished {
                step, phase: Phase::Main, outcome, outputs, exit_code, error, ..
            } if *step == self.step => {
                let attempt = Attempt {
                    job: job.clone(),
                    since: self.started.get(job).copied().unwrap_or(at),
                    until: at,
                    outcome: *outcome,
                    exit_code: *exit_code,
                    outputs: outputs.clone(),
                    error: error.clone(),
                };
                self.tell(&attempt);
                self.all.insert(job.clone(), Some(attempt));
            }
            JobEvent::Finished { error: Some(error), .. } => {
                self.broken.get_or_insert_with(|| error.clone());
            }
            _ => {}
        }
    }

    fn tell(&self, attempt: &Attempt) {
        if !self.quiet {
            let number = self.all.get_index_of(&attempt.job).map_or(0, |place| place + 1);
            let took = duration(between(attempt.since, attempt.until));
            let (mark, outcome) = (self.style.mark(attempt.outcome), attempt.outcome);
            output::to_stderr(&format!("{mark} attempt {number} of {}: {outcome}  {took}", self.all.len()));
        }
    }

    /// All attempts; an error where one never came to its step.
    fn finished(self) -> Result<Vec<Attempt>, Failure> {
        let Self { all, broken, .. } = self;
        let all: Option<Vec<Attempt>> = all.into_values().collect();
        all.ok_or_else(|| {
            let reason = broken.unwrap_or_else(|| "its job ended before".to_owned());
            Failure::usage(format!("an attempt never came to its step: {reason}"))
        })
    }
}

impl Render for Attempts {
    fn events(&mut self, _run: usize, events: &[Event]) -> io::Result<()> {
        for event in events {
            if let EventKind::Reported { job, event: reported, .. } = &event.kind {
                self.report(job, reported, event.at);
            }
        }
        Ok(())
    }

    fn finish(&mut self, _conclusion: Conclusion) -> io::Result<()> {
        Ok(())
    }
}

/// The first line of an attempt's log that is another one than in the first attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Difference {
    /// From 1.
    line: usize,
    /// None where its log has ended before.
    text: Option<String>,
    /// None where the first attempt's log has ended before.
    first: Option<String>,
}

async fn differences(
    store: &Store,
    run: &RunId,
    attempts: &[Attempt],
    step: u32,
) -> Result<Vec<Option<Difference>>, Failure> {
    let mut differences = Vec::new();
    let mut first = None;
    for attempt in attempts {
        let log = log_of(store, run, &attempt.job, step).await?;
        differences.push(first.as_ref().and_then(|first: &String| difference(first, &log)));
        first.get_or_insert(log);
    }
    Ok(differences)
}

/// The beginning of an attempt's log.
async fn log_of(store: &Store, run: &RunId, job: &JobId, step: u32) -> Result<String, Failure> {
    let mut logs = store.logs(run, LogQuery { job: Some(job.clone()), step: Some(step), after: 0 });
    let mut text = String::new();
    while text.len() < MAX_COMPARED {
        let chunks = logs.next().await.map_err(unreadable)?;
        if chunks.is_empty() {
            break;
        }
        chunks.iter().for_each(|chunk| text.push_str(&chunk.text));
    }
    Ok(text)
}

fn difference(first: &str, other: &str) -> Option<Difference> {
    let (mut left, mut right) = (first.lines(), other.lines());
    for line in 1.. {
        match (left.next(), right.next()) {
            (None, None) => return None,
            (first, text) if first != text => {
                let owned = |text: Option<&str>| text.map(str::to_owned);
                return Some(Difference { line, text: owned(text), first: owned(first) });
            }
            _ => {}
        }
    }
    None
}

/// What all attempts come to together.
struct Comparison<'a> {
    run: &'a RunId,
    step: &'a str,
    attempts: &'a [Attempt],
    differences: &'a [Option<Difference>],
}

impl Comparison<'_> {
    fn failures(&self) -> usize {
        self.attempts.iter().filter(|attempt| attempt.outcome != Conclusion::Success).count()
    }

    /// `success` and `failure` where all attempts ended so, `flake` where they did not all end alike.
    fn verdict(&self) -> &'static str {
        let all = |outcome| self.attempts.iter().all(|attempt| attempt.outcome == outcome);
        match self.failures() {
            0 => "success",
            _ if all(Conclusion::Skipped) => "skipped",
            failures if failures == self.attempts.len() => "failure",
            _ => "flake",
        }
    }

    /// Whether attempts that ended alike printed or gave out different things.
    fn is_deterministic(&self) -> bool {
        let outputs = self.attempts.windows(2).all(|pair| pair[0].outputs == pair[1].outputs);
        outputs && self.differences.iter().all(Option::is_none)
    }

    fn json(&self) -> Value {
        let (low, high) = interval(self.failures(), self.attempts.len());
        let attempts = self.attempts.iter().zip(self.differences).map(|(attempt, difference)| {
            let difference = difference.as_ref().map(|difference| {
                json!({"line": difference.line, "text": difference.text, "first_attempt": difference.first})
            });
            json!({
                "job": attempt.job, "outcome": attempt.outcome, "exit_code": attempt.exit_code,
                "outputs": attempt.outputs, "error": attempt.error,
                "duration_ms": attempt.until.saturating_sub(attempt.since).max(0), "difference": difference,
            })
        });
        json!({
            "run": self.run, "verdict": self.verdict(), "attempts": self.attempts.len(),
            "failures": self.failures(), "failure_rate": rate(self.failures(), self.attempts.len()),
            "confidence_95": {"low": low, "high": high}, "deterministic": self.is_deterministic(),
            "results": attempts.collect::<Value>(),
        })
    }

    fn text(&self, style: Style) -> String {
        let head =
            ["", "ATTEMPT", "ENDED", "EXIT", "TOOK", "OTHER THAN THE FIRST"].map(|name| style.bold(name));
        let mut rows = vec![head];
        for (number, (attempt, difference)) in self.attempts.iter().zip(self.differences).enumerate() {
            rows.push([
                style.mark(attempt.outcome),
                (number + 1).to_string(),
                style.concluded(attempt.outcome, attempt.outcome.as_str()),
                attempt.exit_code.map(|code| code.to_string()).unwrap_or_default(),
                duration(between(attempt.since, attempt.until)),
                self.other(attempt, difference.as_ref()),
            ]);
        }
        format!("{}\n{}\n", columns(&rows), self.words(style))
    }

    fn other(&self, attempt: &Attempt, difference: Option<&Difference>) -> String {
        let first = &self.attempts[0];
        let name = first.outputs.iter().find(|(name, value)| attempt.outputs.get(*name) != Some(value));
        match (difference, name) {
            (Some(Difference { line, text, first }), _) => {
                format!("line {line}: {} instead of {}", quoted(text.as_deref()), quoted(first.as_deref()))
            }
            (None, Some((name, value))) => {
                let now = attempt.outputs.get(name).map(String::as_str);
                format!("output {name}: {} instead of {}", quoted(now), quoted(Some(value)))
            }
            (None, None) => String::new(),
        }
    }

    fn words(&self, style: Style) -> String {
        let (failures, count) = (self.failures(), self.attempts.len());
        let (low, high) = interval(failures, count);
        let percent = |rate: f64| format!("{:.0} %", rate * 100.0);
        let between = format!(
            "{failures} of {count} failed, {}; with 95 % confidence between {} and {}",
            percent(rate(failures, count)),
            percent(low),
            percent(high)
        );
        let quiet = if self.is_deterministic() { "" } else { ", though not all alike" };
        match self.verdict() {
            "flake" => {
                style.yellow(&format!("{} is a flake: same state, mixed results\n{between}", self.step))
            }
            "success" => format!("all {count} attempts succeeded{quiet}; {between}"),
            "skipped" => format!("all {count} attempts were skipped: the step's condition does not hold"),
            _ => style.red(&format!("all {count} attempts failed{quiet}; {between}")),
        }
    }
}

/// A line as it is shown in a table.
fn quoted(text: Option<&str>) -> String {
    let Some(text) = text else { return "nothing".to_owned() };
    let clean = shown(text, false);
    let short: String = clean.chars().take(MAX_SHOWN).collect();
    let more = if short.len() < clean.len() { "…" } else { "" };
    format!("`{short}{more}`")
}

#[expect(clippy::cast_precision_loss, reason = "there are at most some thousand attempts")]
fn rate(failures: usize, count: usize) -> f64 {
    failures as f64 / count.max(1) as f64
}

/// Wilson's interval for the rate of failures: it holds also for few attempts, and where all end alike.
#[expect(clippy::cast_precision_loss, reason = "there are at most some thousand attempts")]
fn interval(failures: usize, count: usize) -> (f64, f64) {
    let (rate, count, square) = (rate(failures, count), count.max(1) as f64, CONFIDENCE * CONFIDENCE);
    let middle = (rate + square / (2.0 * count)) / (1.0 + square / count);
    let spread = CONFIDENCE * (rate * (1.0 - rate) / count + square / (4.0 * count * count)).sqrt();
    let half = spread / (1.0 + square / count);
    ((middle - half).max(0.0), (middle + half).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::{Difference, difference, interval};

    #[test]
    fn the_first_line_that_differs_is_told() {
        let check = |first, other, expected: Option<(usize, Option<&str>, Option<&str>)>| {
            let owned = |text: Option<&str>| text.map(str::to_owned);
            let expected = expected.map(|(line, text, first)| Difference {
                line,
                text: owned(text),
                first: owned(first),
            });
            assert_eq!(difference(first, other), expected, "{first:?} {other:?}");
        };
        check("a\nb\n", "a\nb\n", None);
        check("", "", None);
        check("a\nb\n", "a\nc\n", Some((2, Some("c"), Some("b"))));
        check("a\n", "a\nb\n", Some((2, Some("b"), None)));
        check("a\nb\n", "a\n", Some((2, None, Some("b"))));
    }

    #[test]
    fn the_interval_is_wilsons() {
        let check = |failures, count, low: f64, high: f64| {
            let found = interval(failures, count);
            let close = |left: f64, right: f64| (left - right).abs() < 0.005;
            assert!(close(found.0, low) && close(found.1, high), "{failures}/{count}: {found:?}");
        };
        check(0, 10, 0.0, 0.278);
        check(10, 10, 0.722, 1.0);
        check(5, 10, 0.237, 0.763);
        check(1, 100, 0.002, 0.054);
        check(0, 0, 0.0, 0.793);
    }
}
