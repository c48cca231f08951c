//! `firedog logs`: what the steps of a run printed, also while they run in another process.
//!
//! The text streams from the database page by page. On a terminal it is made safe to show; elsewhere it is as it was.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, Write};
use std::time::Duration;

use run::id::JobId;
use store::{LogChunk, LogQuery, RunRow, RunStatus};

use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::history::{self, History, unreadable};
use crate::render::style::Style;
use crate::render::text::shown;
use crate::render::view::RunView;

/// The shortest and the longest wait before the database is asked again.
const WAIT: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(800));

/// Arguments of `logs`.
#[derive(Debug, clap::Args)]
pub(crate) struct LogsArgs {
    /// The run: its id, the beginning of it, or `latest`
    #[arg(value_name = "RUN", default_value = "latest")]
    run: String,
    /// Only this job: its id in the workflow or its name
    #[arg(long, value_name = "JOB")]
    job: Option<String>,
    /// Only this step: its number from 0, its id or its name
    #[arg(long, value_name = "STEP")]
    step: Option<String>,
    /// Go on until the run has ended
    #[arg(long, short)]
    follow: bool,
}

pub(crate) fn run(args: &LogsArgs, config: &Config) -> Result<Exit, Failure> {
    history::block_on(async {
        let history = History::open(config).await?;
        let run = history.find(&args.run).await?;
        let view = history.view(&run.id).await?;
        let filter = Filter { job: args.job.as_deref(), step: args.step.as_deref() };
        if !args.follow || run.status == RunStatus::Completed {
            filter.check(&view, &run)?;
        }
        let mut printer = Printer { filter, view, names: HashMap::new(), config };
        match follow(&history, &run, args.follow, &mut printer).await {
            Err(Stop::Store(failure)) => Err(failure),
            // Whoever read the text has gone; that is no failure.
            Err(Stop::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::Success),
            Err(Stop::Output(error)) => {
                Err(Failure::new(Exit::Usage, error).while_doing("cannot write to standard output"))
            }
            Ok(()) => Ok(Exit::Success),
        }
    })
}

enum Stop {
    Store(Failure),
    Output(io::Error),
}

async fn follow(
    history: &History,
    run: &RunRow,
    until_the_end: bool,
    printer: &mut Printer<'_>,
) -> Result<(), Stop> {
    let mut logs = history.store().logs(&run.id, LogQuery::default());
    let mut wait = WAIT.0;
    loop {
        // Asked before the text is read: what a run has printed is complete once it has ended.
        let now = history.store().run(&run.id).await.map_err(|error| Stop::Store(unreadable(error)))?;
        let ended = now.is_none_or(|run| run.status == RunStatus::Completed);
        let mut found = false;
        loop {
            let chunks = logs.next().await.map_err(|error| Stop::Store(unreadable(error)))?;
            if chunks.is_empty() {
                break;
            }
            found = true;
            if chunks.iter().any(|chunk| !printer.knows(chunk)) {
                printer.view = history.view(&run.id).await.map_err(Stop::Store)?;
            }
            printer.print(&chunks).map_err(Stop::Output)?;
        }
        if ended || !until_the_end {
            return Ok(());
        }
        wait = if found { WAIT.0 } else { (wait * 2).min(WAIT.1) };
        tokio::time::sleep(wait).await;
    }
}

/// Which text is wanted.
struct Filter<'a> {
    job: Option<&'a str>,
    step: Option<&'a str>,
}

impl Filter<'_> {
    /// Refuses a job or step that a run does not have.
    fn check(&self, view: &RunView, run: &RunRow) -> Result<(), Failure> {
        let mut jobs = view.jobs.keys().filter(|job| self.wants_job(view, job)).peekable();
        if jobs.peek().is_none() && self.job.is_some() {
            let known: Vec<_> = view.jobs.keys().map(|job| format!("`{job}`")).collect();
            return Err(Failure::usage(format!(
                "run {} has no job `{}`",
                run.id,
                self.job.unwrap_or_default()
            ))
            .with_help(format!("its jobs are {}", known.join(", "))));
        }
        let steps = |job: &JobId| view.jobs.get(job).map(|job| job.steps.as_slice()).unwrap_or_default();
        let found = jobs.flat_map(|job| steps(job).iter().map(move |step| (job, step.index)));
        let mut found = found.filter(|(job, step)| self.wants_step(view, job, Some(*step)));
        if let (Some(step), None) = (self.step, found.next()) {
            return Err(Failure::usage(format!("run {} has no step `{step}`", run.id))
                .with_help(format!("`firedog show {}` lists its steps", run.id)));
        }
        Ok(())
    }

    fn wants_job(&self, view: &RunView, job: &JobId) -> bool {
        self.job.is_none_or(|wanted| {
            job.as_str() == wanted || job.key().eq_ignore_ascii_case(wanted) || view.name(job) == wanted
        })
    }

    fn wants_step(&self, view: &RunView, job: &JobId, step: Option<u32>) -> bool {
        let Some(wanted) = self.step else { return true };
        let Some(step) = step else { return false };
        let known = view.jobs.get(job).map(|job| job.steps.as_slice()).unwrap_or_default();
        step.to_string() == wanted
            || known.iter().any(|view| view.index == step && (view.id == wanted || view.name == wanted))
    }
}

struct Printer<'a> {
    filter: Filter<'a>,
    view: RunView,
    names: HashMap<JobId, String>,
    config: &'a Config,
}

impl Printer<'_> {
    /// Whether the view is new enough to name the chunk's step.
    fn knows(&self, chunk: &LogChunk) -> bool {
        let job = self.view.jobs.get(&chunk.job);
        job.is_some_and(|job| chunk.step.is_none_or(|step| job.step(step).is_some()))
    }

    fn print(&mut self, chunks: &[LogChunk]) -> io::Result<()> {
        let mut out = Vec::new();
        for chunk in chunks {
            let wanted = self.filter.wants_job(&self.view, &chunk.job)
                && self.filter.wants_step(&self.view, &chunk.job, chunk.step);
            if wanted {
                self.chunk(chunk, &mut out);
            }
        }
        let mut stdout = io::stdout().lock();
        stdout.write_all(&out)?;
        stdout.flush()
    }

    fn chunk(&mut self, chunk: &LogChunk, out: &mut Vec<u8>) {
        let prefix = self.prefix(&chunk.job);
        for line in chunk.text.strip_suffix('\n').unwrap_or(&chunk.text).split('\n') {
            let line = match self.config.terminal {
                true => shown(line, self.config.stdout.colours),
                false => Cow::Borrowed(line),
            };
            for part in [&prefix, &*line, "\n"] {
                out.extend_from_slice(part.as_bytes());
            }
        }
    }

    /// The job's name where several jobs are shown.
    fn prefix(&mut self, job: &JobId) -> String {
        if self.filter.job.is_some() || self.view.jobs.len() <= 1 {
            return String::new();
        }
        let style: Style = self.config.stdout;
        let name = self
            .names
            .entry(job.clone())
            .or_insert_with(|| style.cyan(&shown(self.view.name(job), false)) + &style.dim(" │ "));
        name.clone()
    }
}
