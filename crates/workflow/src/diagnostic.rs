//! What is wrong with an author's file, as data. Rendering is elsewhere.

use std::sync::Arc;

use serde::Serialize;

use crate::source::{SourceFile, Span};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Advice.
    Info,
    /// Never stops a run.
    Warning,
    /// GitHub refuses the file.
    Error,
}

/// A further place that helps to understand a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Where, in the diagnostic's file.
    pub span: Span,
    /// What is there.
    pub message: String,
}

/// One change of a file's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// What is replaced; empty to insert.
    pub span: Span,
    /// What takes its place.
    pub text: String,
}

/// A change that does away with a finding and keeps what the file means otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// What it does, as an imperative: "quote the version".
    pub title: String,
    /// The changes, in the order of the file; they do not overlap.
    pub edits: Vec<Edit>,
}

/// One finding in one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable, kebab-case name of the rule, such as `unexpected-value`.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// One sentence, lower case, no full stop; GitHub's words where GitHub has the same finding.
    pub message: String,
    /// Name of the file, as in [`SourceFile::name`].
    pub file: Arc<str>,
    /// The place; `None` for the file as a whole.
    pub primary: Option<Span>,
    /// Line from 1 of the place; 1 without one.
    pub line: usize,
    /// Column from 1 in code points; 1 without a place.
    pub column: usize,
    /// Further places.
    pub labels: Vec<Label>,
    /// The way out, where one is known.
    pub help: Option<String>,
    /// The one safe change that makes it good, where there is one.
    pub fix: Option<Fix>,
}

impl Diagnostic {
    /// A finding at a place of a file.
    #[must_use]
    pub fn new(
        code: &'static str,
        severity: Severity,
        file: &SourceFile,
        span: Option<Span>,
        message: impl Into<String>,
    ) -> Self {
        let position = file.position(span.unwrap_or_default().start);
        Self {
            code,
            severity,
            message: message.into(),
            file: file.name().clone(),
            primary: span,
            line: position.line,
            column: position.column,
            labels: Vec::new(),
            help: None,
            fix: None,
        }
    }

    /// Whether GitHub refuses the file for it.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The same finding with a way out.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same finding with the change that makes it good.
    #[must_use]
    pub fn with_fix(mut self, title: impl Into<String>, edits: Vec<Edit>) -> Self {
        self.fix = Some(Fix { title: title.into(), edits });
        self
    }

    /// The same finding with a further place.
    #[must_use]
    pub fn with_label(mut self, span: Span, message: impl Into<String>) -> Self {
        self.labels.push(Label { span, message: message.into() });
        self
    }
}

/// A result that always comes with what was found on the way.
#[derive(Clone, Debug)]
pub struct Parsed<T> {
    /// The value as far as it could be read; `None` where nothing could.
    pub value: Option<T>,
    /// Everything found, in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
}

impl<T> Parsed<T> {
    /// Whether a finding of error severity is among the diagnostics.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}
