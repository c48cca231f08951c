//! Compares what the binary printed with what a section expects.
//!
//! What a section does not name must be unremarkable: a job or step that is not named has succeeded, and an annotation
//! that is not named does not exist. Whatever is expected, the stream of events must be well formed.

use std::collections::HashMap;

use serde_json::Value;

use crate::execute::Ended;
use crate::expect::{
    ExpectedAnnotation, ExpectedDiagnostic, ExpectedLog, ExpectedOutput, ExpectedRun, ExpectedStep, OutputOf,
    StepName,
};

/// Stands for any lines in a `log` block.
const ANY_LINES: &str = "...";

/// The plan as lines: `NAME <- NEEDED, NEEDED`, `(skipped)` behind what is sure to be, jobs of a called workflow indented
/// below their caller. `not triggered: TEXT` is part of the reason.
pub(crate) fn plan(expected: &[String], answer: &Value) -> Result<(), String> {
    if let Some(part) = expected.first().and_then(|line| line.strip_prefix("not triggered: ")) {
        let reason = text(&answer["workflows"][0]["not_triggered"]["message"]);
        let right = expected.len() == 1 && answer["triggered"] == Value::Bool(false) && reason.contains(part);
        return if right { Ok(()) } else { Err(format!("the reason is not {part:?}: {reason:?}")) };
    }
    let mut found = Vec::new();
    if answer["triggered"] == Value::Bool(true) {
        plan_lines(&answer["jobs"], 0, &mut found);
    } else {
        found.push("not triggered".to_owned());
    }
    if found == expected {
        Ok(())
    } else {
        Err(format!("expected plan:\n{}\nfound:\n{}", expected.join("\n"), found.join("\n")))
    }
}

fn plan_lines(jobs: &Value, depth: usize, lines: &mut Vec<String>) {
    for job in jobs.as_array().into_iter().flatten() {
        let needs: Vec<&str> =
            job["needs"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let arrow = if needs.is_empty() { String::new() } else { format!(" <- {}", needs.join(", ")) };
        let skipped = if job["skipped"].is_null() { "" } else { " (skipped)" };
        lines.push(format!("{}{}{arrow}{skipped}", "  ".repeat(depth), text(&job["name"])));
        plan_lines(&job["jobs"], depth + 1, lines);
    }
}

/// The errors and warnings, each once; advice (`info`) is not compared.
pub(crate) fn diagnostics(
    expected: &[ExpectedDiagnostic],
    answer: &Value,
    code: Option<i32>,
) -> Result<(), String> {
    let found: Vec<&Value> =
        answer["diagnostics"].as_array().into_iter().flatten().filter(|d| d["severity"] != "info").collect();
    let mut left = found.clone();
    for wanted in expected {
        let at = left.iter().position(|d| {
            d["line"] == wanted.line
                && d["column"] == wanted.column
                && d["severity"] == wanted.severity.as_str()
                && text(&d["message"]).contains(&wanted.message)
        });
        left.remove(at.ok_or_else(|| format!("no such diagnostic: {wanted:?}"))?);
    }
    if let Some(more) = left.first() {
        return Err(format!("a diagnostic that is not expected: {more}"));
    }
    let errors = i32::from(expected.iter().any(|d| d.severity == "error"));
    if code == Some(errors) { Ok(()) } else { Err(format!("exit code {errors} is expected")) }
}

/// A whole run: its events, exit code and texts.
pub(crate) fn run(expected: &ExpectedRun, logs: &[ExpectedLog], ended: &Ended) -> Result<(), String> {
    texts(expected, ended)?;
    let code = match expected.conclusion.as_str() {
        "success" => 0,
        "failure" => 1,
        "refused" => 2,
        _ => 4,
    };
    if ended.code != Some(code) {
        return Err(format!("exit code {code} is expected"));
    }
    let events = Events::parse(&ended.output)?;
    if expected.conclusion == "refused" {
        return if events.0.iter().any(|e| e["event"] == "run_finished") {
            Err("a refused run has no end".to_owned())
        } else {
            Ok(())
        };
    }
    events.well_formed(&expected.conclusion)?;
    jobs(expected, &events)?;
    steps(expected, &events)?;
    times(expected, &events)?;
    expected.outputs.iter().try_for_each(|output| output_of(output, &events))?;
    annotations(&expected.annotations, &events)?;
    logs.iter().try_for_each(|log| log_of(log, &events))
}

fn texts(expected: &ExpectedRun, ended: &Ended) -> Result<(), String> {
    if let Some(found) =
        expected.absent.iter().find(|t| ended.output.contains(*t) || ended.errors.contains(*t))
    {
        return Err(format!("this is printed, and must not be: {found}"));
    }
    match expected.says.iter().find(|t| !ended.errors.contains(*t)) {
        Some(missing) => Err(format!("standard error does not say: {missing}")),
        None => Ok(()),
    }
}

/// The events of a run, in order.
struct Events(Vec<Value>);

impl Events {
    fn parse(output: &str) -> Result<Self, String> {
        let parsed = output
            .lines()
            .map(|line| serde_json::from_str(line).map_err(|error| format!("no JSON ({error}): {line}")));
        Ok(Self(parsed.collect::<Result<_, _>>()?))
    }

    fn of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.0.iter().filter(move |event| event["event"] == kind)
    }

    /// What holds of every run: one end, the last event; each job ends once; nothing comes of a job that has ended.
    fn well_formed(&self, conclusion: &str) -> Result<(), String> {
        let ends: Vec<&Value> = self.of("run_finished").collect();
        match ends.as_slice() {
            [end] if Some(*end) == self.0.last() && end["conclusion"] == conclusion => {}
            _ => return Err(format!("the run must end once, last, with `{conclusion}`")),
        }
        let mut starts: HashMap<(&str, &str), usize> = HashMap::new();
        let mut ends = starts.clone();
        for (kind, counts) in [("job_started", &mut starts), ("job_finished", &mut ends)] {
            for event in self.of(kind) {
                *counts.entry((text(&event["job"]), text(&event["name"]))).or_default() += 1;
            }
        }
        if let Some((job, _)) = starts.iter().find(|(job, count)| ends.get(*job) != Some(count)) {
            return Err(format!("not each start of the job has one end: {job:?}"));
        }
        let last_end =
            |job: &Value| self.0.iter().rposition(|e| e["event"] == "job_finished" && e["job"] == *job);
        let late = self
            .0
            .iter()
            .enumerate()
            .find(|(at, e)| e["step"].is_number() && last_end(&e["job"]).is_none_or(|end| end < *at));
        late.map_or(Ok(()), |(_, event)| Err(format!("an event of a job that has ended: {event}")))
    }
    /// Whether the event is one of that step. Most events name a step by its index only.
    fn is_step(&self, event: &Value, step: &StepName) -> bool {
        let named = |e: &&Value| e["job"] == step.job.as_str() && e["id"] == step.step.as_str();
        let index =
            step.step.parse().ok().or_else(|| self.0.iter().find(named).and_then(|e| e["step"].as_u64()));
        event["job"] == step.job.as_str() && index.is_some() && event["step"].as_u64() == index
    }
}

fn jobs(expected: &ExpectedRun, events: &Events) -> Result<(), String> {
    let ends: Vec<&Value> = events.of("job_finished").collect();
    for wanted in &expected.jobs {
        if !ends.iter().any(|e| is_job(e, &wanted.job) && e["conclusion"] == wanted.conclusion.as_str()) {
            return Err(format!("job {} must be {}: {ends:?}", wanted.job, wanted.conclusion));
        }
    }
    for end in ends {
        let mut named = expected.jobs.iter().filter(|job| is_job(end, &job.job)).peekable();
        let right = match named.peek() {
            Some(_) => named.any(|job| end["conclusion"] == job.conclusion.as_str()),
            None => end["conclusion"] == "success",
        };
        if !right {
            return Err(format!("a job ended as it must not: {end}"));
        }
    }
    Ok(())
}

/// Legs of a matrix share their job's id: each of their steps must be one of those that are named.
fn steps(expected: &ExpectedRun, events: &Events) -> Result<(), String> {
    let ends: Vec<&Value> = events.of("step_finished").collect();
    let right = |e: &Value, s: &ExpectedStep| {
        e["outcome"] == s.outcome.as_str() && e["conclusion"] == s.conclusion.as_str()
    };
    let of = |e: &Value, s: &ExpectedStep| events.is_step(e, &s.step) && phase_of(e) == s.phase;
    for wanted in &expected.steps {
        if !ends.iter().any(|e| of(e, wanted) && right(e, wanted)) {
            let found: Vec<_> = ends.iter().filter(|e| of(e, wanted)).collect();
            return Err(format!("{wanted:?} is expected: {found:?}"));
        }
    }
    for end in ends {
        let mut named = expected.steps.iter().filter(|step| of(end, step)).peekable();
        let right = match named.peek() {
            Some(_) => named.any(|step| right(end, step)),
            None => end["outcome"] == "success" && end["conclusion"] == "success",
        };
        if !right {
            return Err(format!("a step ended as it must not: {end}"));
        }
    }
    Ok(())
}

/// Who runs when: the places of starts and ends in the stream.
fn times(expected: &ExpectedRun, events: &Events) -> Result<(), String> {
    let at = |kind: &str, job: &str| {
        events
            .0
            .iter()
            .position(|e| e["event"] == kind && is_job(e, job))
            .ok_or_else(|| format!("no {kind} of {job}"))
    };
    for [first, second] in &expected.orders {
        if at("job_finished", first)? > at("job_started", second)? {
            return Err(format!("{second} starts before {first} has ended"));
        }
    }
    for jobs in &expected.apart {
        let mut spans = Vec::new();
        for job in jobs {
            spans.push((at("job_started", job)?, at("job_finished", job)?));
        }
        spans.sort_unstable();
        if spans.windows(2).any(|pair| pair[0].1 > pair[1].0) {
            return Err(format!("some of these run at the same time: {}", jobs.join(", ")));
        }
    }
    Ok(())
}

fn output_of(expected: &ExpectedOutput, events: &Events) -> Result<(), String> {
    let found: Vec<&Value> = match &expected.of {
        OutputOf::Job(job) => events.of("job_finished").filter(|e| is_job(e, job)).collect(),
        OutputOf::Step(step) => {
            events.of("step_finished").filter(|e| events.is_step(e, step) && phase_of(e) == "main").collect()
        }
    };
    let right = |event: &&Value| event["outputs"][&expected.name].as_str() == Some(expected.value.as_str());
    if !found.is_empty() && found.iter().all(right) {
        Ok(())
    } else {
        Err(format!("{expected:?}: {found:?}"))
    }
}

fn annotations(expected: &[ExpectedAnnotation], events: &Events) -> Result<(), String> {
    let mut left: Vec<&Value> = events.of("annotation").collect();
    for wanted in expected {
        let at = left.iter().position(|event| is_annotation(events, event, wanted));
        left.remove(at.ok_or_else(|| format!("no such annotation: {wanted:?}"))?);
    }
    left.first().map_or(Ok(()), |event| Err(format!("an annotation that is not expected: {event}")))
}

fn is_annotation(events: &Events, event: &Value, wanted: &ExpectedAnnotation) -> bool {
    let text_is = |key: &str, value: Option<&str>| event[key].as_str().filter(|t| !t.is_empty()) == value;
    events.is_step(event, &wanted.step)
        && text_is("level", Some(&wanted.level))
        && text_is("message", Some(&wanted.message))
        && text_is("title", wanted.title.as_deref())
        && text_is("file", wanted.file.as_deref())
        && event["line"].as_u64() == wanted.line
        && event["col"].as_u64() == wanted.column
}

fn log_of(expected: &ExpectedLog, events: &Events) -> Result<(), String> {
    let wanted = |event: &&Value| {
        let job = expected.job.as_deref().unwrap_or_else(|| text(&event["job"]));
        match &expected.step {
            None => is_job(event, job),
            Some(step) => events.is_step(event, &StepName { job: job.to_owned(), step: step.clone() }),
        }
    };
    let lines: Vec<&str> = events.of("log").filter(wanted).map(|e| text(&e["line"])).collect();
    if follows(&expected.lines, &lines) {
        return Ok(());
    }
    Err(format!(
        "the log of line {} is expected:\n{}\nfound:\n{}",
        expected.at,
        expected.lines.join("\n"),
        lines.join("\n")
    ))
}

/// Whether the parts between `...` are in the lines in this order, each without a gap.
fn follows(expected: &[String], lines: &[&str]) -> bool {
    let mut rest = lines;
    expected.split(|line| line == ANY_LINES).filter(|part| !part.is_empty()).all(|part| {
        match rest
            .windows(part.len())
            .position(|window| window.iter().zip(part).all(|(found, wanted)| found == wanted))
        {
            Some(at) => {
                rest = &rest[at + part.len()..];
                true
            }
            None => false,
        }
    })
}

fn is_job(event: &Value, job: &str) -> bool {
    event["job"] == job || event["name"] == job
}

fn phase_of(event: &Value) -> &str {
    event["phase"].as_str().unwrap_or("main")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
