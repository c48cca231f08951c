//! What `check` writes: the findings of each file in the chosen form, then what there is in all.

use std::path::Path;

use serde_json::{Value, json};
use workflow::diagnostic::{Diagnostic, Severity};
use workflow::source::SourceFile;

use super::{CheckFormat, LeastSeverity};
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::render::diagnostic;
use crate::render::style::Style;

/// How findings are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    pub(super) format: CheckFormat,
    /// What is less severe is not written and does not count.
    least: Severity,
    style: Style,
}

/// What is written of one file.
#[derive(Debug)]
pub(super) struct Piece {
    body: Body,
    tally: Tally,
}

#[derive(Debug)]
enum Body {
    Text(String),
    Values(Vec<Value>, Vec<&'static str>),
    Failed(Failure),
}

/// How many findings there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    files: usize,
    failures: usize,
    errors: usize,
    warnings: usize,
    notes: usize,
    /// Notes and warnings that are not shown.
    hidden: usize,
    /// Shown findings with a fix.
    fixable: usize,
}

impl Form {
    /// The form for a format. Without a choice, people see warnings and errors, and programs everything.
    pub(super) fn new(format: CheckFormat, least: Option<LeastSeverity>, config: &Config) -> Self {
        let least = match least {
            Some(LeastSeverity::Error) => Severity::Error,
            Some(LeastSeverity::Warning) => Severity::Warning,
            Some(LeastSeverity::Info) => Severity::Info,
            None if matches!(format, CheckFormat::Text | CheckFormat::Github) => Severity::Warning,
            None => Severity::Info,
        };
        Self { format, least, style: config.stderr }
    }

    /// The name by which findings in a file are written: of formats that other programs read relative to `root`, an
    /// absolute path, where the file is in it.
    pub(super) fn name(self, name: &Path, root: Option<&Path>) -> String {
        let inside = match self.format {
            CheckFormat::Sarif | CheckFormat::Github => root.and_then(|root| name.strip_prefix(root).ok()),
            _ => None,
        };
        inside.unwrap_or(name).display().to_string()
    }

    /// Whether a finding is severe enough to be shown.
    pub(super) fn shows(self, finding: &Diagnostic) -> bool {
        finding.severity >= self.least
    }

    /// Writes the findings of one file.
    pub(super) fn write(self, file: &SourceFile, found: Vec<Diagnostic>) -> Piece {
        let mut tally = Tally { files: 1, ..Tally::default() };
        let (shown, hidden): (Vec<_>, Vec<_>) = found.into_iter().partition(|finding| self.shows(finding));
        tally.hidden = hidden.len();
        for finding in &shown {
            tally.count(finding);
        }
        let body = match self.format {
            CheckFormat::Json | CheckFormat::Ndjson => {
                Body::Values(shown.iter().map(diagnostic::to_json).collect(), Vec::new())
            }
            CheckFormat::Sarif => {
                let codes = shown.iter().map(|finding| finding.code).collect();
                Body::Values(diagnostic::to_result(&shown, file), codes)
            }
            CheckFormat::Github => {
                Body::Text(shown.iter().map(|finding| diagnostic::to_command(finding, file)).collect())
            }
            CheckFormat::Text | CheckFormat::Markdown => {
                let text = |finding| format!("{}\n\n", diagnostic::to_text(finding, file, self.style));
                Body::Text(shown.iter().map(text).collect())
            }
        };
        Piece { body, tally }
    }

    /// A file that could not be checked.
    pub(super) fn failed(failure: Failure) -> Piece {
        Piece { body: Body::Failed(failure), tally: Tally { failures: 1, ..Tally::default() } }
    }
}

impl Piece {
    /// Whether the file could not be checked.
    pub(super) fn is_failure(&self) -> bool {
        self.tally.failures > 0
    }
}

impl Tally {
    fn count(&mut self, finding: &Diagnostic) {
        match finding.severity {
            Severity::Error => self.errors += 1,
            Severity::Warning => self.warnings += 1,
            Severity::Info => self.notes += 1,
        }
        self.fixable += usize::from(finding.fix.is_some());
    }

    fn add(&mut self, other: Self) {
        self.files += other.files;
        self.failures += other.failures;
        self.errors += other.errors;
        self.warnings += other.warnings;
        self.notes += other.notes;
        self.hidden += other.hidden;
        self.fixable += other.fixable;
    }

    /// For people: what there is, what is not shown and what can be mended.
    pub(super) fn summary(&self) -> String {
        let mut counts = vec![plural(self.errors, "error"), plural(self.warnings, "warning")];
        if self.notes > 0 {
            counts.push(plural(self.notes, "note"));
        }
        let mut text = format!("{} in {}", counts.join(", "), plural(self.files, "file"));
        if self.fixable > 0 {
            text.push_str(&format!("; `--fix` mends {} of them", self.fixable));
        }
        if self.hidden > 0 {
            let verb = if self.hidden == 1 { "is" } else { "are" };
            let hidden = plural(self.hidden, "less severe finding");
            text.push_str(&format!("; {hidden} {verb} not shown (`--severity info`)"));
        }
        text
    }
}

/// A count and its noun.
pub(super) fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// The answer while it is written.
#[derive(Debug)]
pub(super) struct Report {
    form: Form,
    config_style: Style,
    values: Vec<Value>,
    log: diagnostic::Log,
    tally: Tally,
    /// The first failure to write.
    broken: Option<Failure>,
}

impl Report {
    pub(super) fn new(form: Form, config: &Config) -> Self {
        Self {
            form,
            config_style: config.stderr,
            values: Vec::new(),
            log: diagnostic::Log::default(),
            tally: Tally::default(),
            broken: None,
        }
    }

    /// Takes the next file's findings.
    pub(super) fn take(&mut self, piece: Piece) {
        self.tally.add(piece.tally);
        match (piece.body, self.form.format) {
            (Body::Failed(failure), _) => output::to_stderr(&failure.text(self.config_style)),
            (Body::Text(text), CheckFormat::Github) => self.print(&text),
            (Body::Text(text), _) if text.is_empty() => {}
            (Body::Text(text), _) => output::to_stderr(text.strip_suffix('\n').unwrap_or(&text)),
            (Body::Values(values, codes), CheckFormat::Sarif) => self.log.add(values, codes),
            (Body::Values(values, _), CheckFormat::Ndjson) => {
                self.print(&values.iter().map(|value| format!("{value}\n")).collect::<String>());
            }
            (Body::Values(values, _), _) => self.values.extend(values),
        }
    }

    fn print(&mut self, text: &str) {
        if self.broken.is_none() && !text.is_empty() {
            self.broken = output::to_stdout(text).err();
        }
    }

    /// Writes what remains, and the exit code.
    pub(super) fn finish(mut self, deny_warnings: bool, quiet: bool) -> Result<Exit, Failure> {
        match self.form.format {
            CheckFormat::Json => {
                let values = std::mem::take(&mut self.values);
                self.print(&format!("{}\n", json!({ "diagnostics": values })));
            }
            CheckFormat::Sarif => {
                let log = std::mem::take(&mut self.log);
                self.print(&format!("{}\n", log.into_json()));
            }
            _ => {}
        }
        if let Some(failure) = self.broken.take() {
            return Err(failure);
        }
        if self.form.format == CheckFormat::Text && !quiet {
            output::to_stderr(&self.tally.summary());
        }
        Ok(self.exit(deny_warnings))
    }

    /// The exit code for what was taken.
    pub(super) fn exit(&self, deny_warnings: bool) -> Exit {
        let refused = self.tally.errors > 0 || (deny_warnings && self.tally.warnings > 0);
        match (self.tally.failures, refused) {
            (0, false) => Exit::Success,
            (0, true) => Exit::Negative,
            _ => Exit::Usage,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn summaries_say_what_is_there() {
        let check = |tally: Tally, expected: &str| assert_eq!(tally.summary(), expected);
        check(Tally { files: 1, ..Tally::default() }, "0 errors, 0 warnings in 1 file");
        let tally = Tally { files: 2, errors: 1, warnings: 2, notes: 3, fixable: 2, ..Tally::default() };
        check(tally, "1 error, 2 warnings, 3 notes in 2 files; `--fix` mends 2 of them");
        check(
            Tally { files: 2, hidden: 1, ..Tally::default() },
            "0 errors, 0 warnings in 2 files; 1 less severe finding is not shown (`--severity info`)",
        );
    }
}
