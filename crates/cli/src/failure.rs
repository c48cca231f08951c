//! How the program ends: exit codes, and what it says when it cannot do what it was asked.

use std::error::Error;
use std::process::ExitCode;

use crate::render::style::Style;

/// What an exit code means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It did what it was asked, and the answer is good.
    Success,
    /// It did what it was asked, and the answer is bad: a failed run, a workflow with errors.
    Negative,
    /// It was asked wrongly, could not read or write, or refused the workflow.
    Usage,
    /// This host lacks something that is needed.
    Missing,
    /// The run was cancelled.
    Cancelled,
    /// What a process in a machine ended with, passed through.
    Passed(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Success => 0,
            Exit::Negative => 1,
            Exit::Usage => 2,
            Exit::Missing => 3,
            Exit::Cancelled => 4,
            Exit::Passed(code) => code,
        })
    }
}

/// Why a verb could not do its work, and the way out where one is known.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    error: anyhow::Error,
    help: Option<String>,
    notes: Vec<String>,
}

impl Failure {
    /// Ends with `exit` because of `error`.
    pub(crate) fn new(exit: Exit, error: impl Error + Send + Sync + 'static) -> Self {
        Self { exit, error: anyhow::Error::new(error), help: None, notes: Vec::new() }
    }

    /// A usage or input error in words: lower case, no full stop.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        let error = anyhow::Error::msg(message.into());
        Self { exit: Exit::Usage, error, help: None, notes: Vec::new() }
    }

    /// Something that this host lacks, in words like those of [`Failure::usage`].
    pub(crate) fn missing(message: impl Into<String>) -> Self {
        Self { exit: Exit::Missing, ..Self::usage(message) }
    }

    /// The same with what was being done, such as ``cannot read `x` ``.
    pub(crate) fn while_doing(mut self, what: impl Into<String>) -> Self {
        self.error = self.error.context(what.into());
        self
    }

    /// The same with the way out.
    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same with text that stands before the message, such as rendered diagnostics.
    pub(crate) fn with_note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// The code to end with.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// The way out.
    pub(crate) fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// What happened, with its causes, on one line.
    pub(crate) fn cause(&self) -> String {
        let mut causes: Vec<String> = Vec::new();
        for cause in self.error.chain() {
            let cause = without_number(&cause.to_string()).to_owned();
            // Errors that print their source too would say it twice.
            if !causes.last().is_some_and(|outer| outer.ends_with(&cause)) {
                causes.push(cause);
            }
        }
        causes.join(": ")
    }

    /// The text for standard error, without a last newline.
    pub(crate) fn text(&self, style: Style) -> String {
        let mut text: String = self.notes.iter().map(|note| format!("{note}\n")).collect();
        text.push_str(&format!("{} {}", style.red("error:"), self.cause()));
        if let Some(help) = &self.help {
            text.push_str(&format!("\n{} {help}", style.cyan("help:")));
        }
        text
    }
}

/// A system's error message without its number at the end, which says nothing to people.
fn without_number(message: &str) -> &str {
    match message.rsplit_once(" (os error ") {
        Some((text, number)) if number.strip_suffix(')').is_some_and(|n| n.parse::<u32>().is_ok()) => text,
        _ => message,
    }
}

#[cfg(test)]
mod tests {
    use super::{Exit, Failure};
    use crate::render::style::Style;

    const PLAIN: Style = Style { colours: false };

    #[test]
    fn causes_follow_on_one_line_and_help_on_its_own() {
        let error = std::io::Error::new(std::io::ErrorKind::NotFound, "no such file");
        let failure =
            Failure::new(Exit::Usage, error).while_doing("cannot read `x`").with_help("write the file first");
        assert_eq!(failure.text(PLAIN), "error: cannot read `x`: no such file\nhelp: write the file first");
    }

    #[test]
    fn numbers_of_system_errors_are_left_out() {
        let failure =
            Failure::new(Exit::Usage, std::io::Error::from_raw_os_error(2)).while_doing("cannot read `x`");
        assert_eq!(failure.text(PLAIN), "error: cannot read `x`: No such file or directory");
    }

    #[test]
    fn a_cause_is_said_once() {
        let failure = Failure::usage("disk is full").while_doing("cannot write: disk is full");
        assert_eq!(failure.text(PLAIN), "error: cannot write: disk is full");
    }
}
