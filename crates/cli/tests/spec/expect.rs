//! What a section expects: the small languages of its `run`, `log` and `diagnostics` blocks, read strictly.

/// A `diagnostics` block's line: `LINE:COLUMN SEVERITY: part of the message`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ExpectedDiagnostic {
    pub(crate) line: u64,
    pub(crate) column: u64,
    pub(crate) severity: String,
    pub(crate) message: String,
}

impl ExpectedDiagnostic {
    pub(crate) fn parse_all(text: &str) -> Result<Vec<Self>, String> {
        text.lines()
            .map(|line| Self::parse(line).ok_or_else(|| format!("not `LINE:COLUMN SEVERITY: text`: {line}")))
            .collect()
    }

    fn parse(line: &str) -> Option<Self> {
        let (head, message) = line.split_once(": ")?;
        let (place, severity) = head.split_once(' ')?;
        let (line, column) = place.split_once(':')?;
        if !["error", "warning"].contains(&severity) {
            return None;
        }
        Some(Self {
            line: line.parse().ok()?,
            column: column.parse().ok()?,
            severity: severity.to_owned(),
            message: message.to_owned(),
        })
    }
}

/// A `log` block: its lines follow one another in the output; `...` stands for any lines.
#[derive(Debug)]
pub(crate) struct ExpectedLog {
    /// The job; without one, the only job that has output.
    pub(crate) job: Option<String>,
    /// The step's id or index; without one, the whole job.
    pub(crate) step: Option<String>,
    pub(crate) lines: Vec<String>,
    /// The line of the block in its document.
    pub(crate) at: usize,
}

/// How a whole run must end.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ExpectedRun {
    /// `success`, `failure`, `cancelled` or `refused`.
    pub(crate) conclusion: String,
    pub(crate) jobs: Vec<ExpectedJob>,
    pub(crate) steps: Vec<ExpectedStep>,
    pub(crate) outputs: Vec<ExpectedOutput>,
    pub(crate) annotations: Vec<ExpectedAnnotation>,
    /// `order: JOB, JOB`: the first has ended when the second starts.
    pub(crate) orders: Vec<[String; 2]>,
    /// `apart: JOB, JOB, …`: no two of them run at the same time.
    pub(crate) apart: Vec<Vec<String>>,
    /// Texts that must be nowhere in what the run prints.
    pub(crate) absent: Vec<String>,
    /// Texts that must be on standard error.
    pub(crate) says: Vec<String>,
}

/// `job JOB: CONCLUSION`. JOB is an id, or a name in quotes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ExpectedJob {
    pub(crate) job: String,
    pub(crate) conclusion: String,
}

/// `step JOB/STEP: OUTCOME[, then CONCLUSION]`, `pre JOB/STEP: …`, `post JOB/STEP: …`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ExpectedStep {
    pub(crate) phase: String,
    pub(crate) step: StepName,
    pub(crate) outcome: String,
    pub(crate) conclusion: String,
}

/// A job and the id or index of one of its steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StepName {
    pub(crate) job: String,
    pub(crate) step: String,
}

/// `job-output JOB NAME: VALUE` and `step-output JOB/STEP NAME: VALUE`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ExpectedOutput {
    pub(crate) of: OutputOf,
    pub(crate) name: String,
    pub(crate) value: String,
}

/// Whose output.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum OutputOf {
    Job(String),
    Step(StepName),
}

/// `error JOB/STEP [at FILE[:LINE[:COLUMN]]] [titled TITLE]: MESSAGE`, and the same with `warning` and `notice`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ExpectedAnnotation {
    pub(crate) level: String,
    pub(crate) step: StepName,
    pub(crate) file: Option<String>,
    pub(crate) line: Option<u64>,
    pub(crate) column: Option<u64>,
    pub(crate) title: Option<String>,
    pub(crate) message: String,
}

const CONCLUSIONS: [&str; 4] = ["success", "failure", "cancelled", "skipped"];

impl ExpectedRun {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut run = Self::default();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            run.take(line).map_err(|error| format!("{error}: {line}"))?;
        }
        if run.conclusion.is_empty() {
            return Err("no `run: CONCLUSION`".to_owned());
        }
        Ok(run)
    }

    fn take(&mut self, line: &str) -> Result<(), String> {
        let (words, value) = words_and_value(line)?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["run"] => {
                if !self.conclusion.is_empty() {
                    return Err("a second conclusion".to_owned());
                }
                self.conclusion = one_of(value, &["success", "failure", "cancelled", "refused"])?;
            }
            ["job", job] => {
                let conclusion = one_of(value, &CONCLUSIONS)?;
                self.jobs.push(ExpectedJob { job: (*job).to_owned(), conclusion });
            }
            [phase @ ("step" | "pre" | "post"), step] => self.steps.push(step_line(phase, step, value)?),
            ["job-output", job, name] => self.output(OutputOf::Job((*job).to_owned()), name, value),
            ["step-output", step, name] => self.output(OutputOf::Step(step_name(step)?), name, value),
            [level @ ("error" | "warning" | "notice"), step, place @ ..] => {
                self.annotations.push(annotation_line(level, step, place, value)?);
            }
            ["order"] => match names(value).try_into() {
                Ok(pair) => self.orders.push(pair),
                Err(_) => return Err("an order is of two jobs".to_owned()),
            },
            ["apart"] => self.apart.push(names(value)),
            ["absent"] => self.absent.push(value.to_owned()),
            ["says"] => self.says.push(value.to_owned()),
            _ => return Err("not a line of a `run` block".to_owned()),
        }
        Ok(())
    }

    fn output(&mut self, of: OutputOf, name: &str, value: &str) {
        self.outputs.push(ExpectedOutput { of, name: name.to_owned(), value: value.to_owned() });
    }
}

/// Splits `word "quoted words" word: value` at its first colon outside quotes that ends a word.
fn words_and_value(line: &str) -> Result<(Vec<String>, &str), String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    let mut characters = line.char_indices().peekable();
    while let Some((index, character)) = characters.next() {
        let ends_head = characters.peek().is_none_or(|(_, next)| *next == ' ');
        match character {
            '"' => quoted = !quoted,
            ':' if !quoted && ends_head => {
                let value = &line[index + 1..];
                return Ok((words, value.strip_prefix(' ').unwrap_or(value)));
            }
            ' ' if !quoted => words.push(String::new()),
            _ => words.last_mut().expect("there is always a word").push(character),
        }
    }
    Err("no `: `".to_owned())
}

fn names(list: &str) -> Vec<String> {
    list.split(", ").map(str::to_owned).collect()
}

fn one_of(value: &str, allowed: &[&str]) -> Result<String, String> {
    if allowed.contains(&value) {
        Ok(value.to_owned())
    } else {
        Err(format!("`{value}` is none of {}", allowed.join(", ")))
    }
}

fn step_name(text: &str) -> Result<StepName, String> {
    let (job, step) = text.rsplit_once('/').ok_or("a step is JOB/STEP")?;
    Ok(StepName { job: job.to_owned(), step: step.to_owned() })
}

fn step_line(phase: &str, step: &str, value: &str) -> Result<ExpectedStep, String> {
    let (outcome, conclusion) = value.split_once(", then ").unwrap_or((value, value));
    Ok(ExpectedStep {
        phase: if phase == "step" { "main".to_owned() } else { phase.to_owned() },
        step: step_name(step)?,
        outcome: one_of(outcome, &CONCLUSIONS)?,
        conclusion: one_of(conclusion, &CONCLUSIONS)?,
    })
}

fn annotation_line(
    level: &str,
    step: &str,
    place: &[&str],
    message: &str,
) -> Result<ExpectedAnnotation, String> {
    let (at, title) = match place {
        [] => (None, None),
        ["at", at] => (Some(*at), None),
        ["titled", title] => (None, Some(*title)),
        ["at", at, "titled", title] => (Some(*at), Some(*title)),
        _ => return Err("after the step: `at FILE:LINE:COLUMN`, then `titled \"TITLE\"`".to_owned()),
    };
    let mut parts = at.unwrap_or_default().split(':');
    let file = parts.next().filter(|file| !file.is_empty()).map(str::to_owned);
    let mut number =
        || parts.next().map(|n| n.parse().map_err(|_| format!("`{n}` is no number"))).transpose();
    Ok(ExpectedAnnotation {
        level: level.to_owned(),
        step: step_name(step)?,
        file,
        line: number()?,
        column: number()?,
        title: title.map(str::to_owned),
        message: message.to_owned(),
    })
}
