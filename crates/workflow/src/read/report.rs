//! Collects the findings in one file, at most [`MAX_DIAGNOSTICS`].

use super::options::Strictness;
use crate::diagnostic::{Diagnostic, Severity};
use crate::source::{SourceFile, Span};

/// Findings of one file that are kept; more of them help nobody.
pub(crate) const MAX_DIAGNOSTICS: usize = 500;
/// Characters of an author's text that a message repeats.
const MAX_QUOTED: usize = 500;

/// The findings so far.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    file: &'a SourceFile,
    strictness: Strictness,
    diagnostics: Vec<Diagnostic>,
}

impl<'a> Report<'a> {
    pub(crate) fn new(file: &'a SourceFile, strictness: Strictness) -> Self {
        Self { file, strictness, diagnostics: Vec::new() }
    }

    /// Whether mistakes are looked for that GitHub tells an author of, but runs.
    pub(crate) fn is_for_author(&self) -> bool {
        self.strictness == Strictness::Author
    }

    pub(crate) fn file(&self) -> &'a SourceFile {
        self.file
    }

    /// Adds an error at a place.
    pub(crate) fn error(&mut self, span: Span, code: &'static str, message: impl Into<String>) {
        self.push(self.describe(span, code, message));
    }

    /// An error at a place, to be completed and added with [`Report::push`].
    pub(crate) fn describe(&self, span: Span, code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(code, Severity::Error, self.file, Some(span), message)
    }

    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        if self.diagnostics.len() < MAX_DIAGNOSTICS {
            self.diagnostics.push(diagnostic);
        }
    }

    /// How many findings there are so far.
    pub(crate) fn len(&self) -> usize {
        self.diagnostics.len()
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Whether an error is inside of the place: what stands there may be missing in the token tree.
    pub(crate) fn has_errors_in(&self, span: Span) -> bool {
        self.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).any(
            |diagnostic| {
                diagnostic.primary.is_some_and(|inner| span.start <= inner.start && inner.end <= span.end)
            },
        )
    }

    /// The findings in the order of the file.
    pub(crate) fn finish(mut self) -> Vec<Diagnostic> {
        self.diagnostics.sort_by_key(|diagnostic| diagnostic.primary.map_or(0, |span| span.start));
        self.diagnostics.dedup_by(|later, earlier| {
            later.primary == earlier.primary && later.code == earlier.code && later.message == earlier.message
        });
        self.diagnostics
    }
}

/// Text of an author as part of a message: long text is cut.
pub(crate) fn quoted(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTED) {
        Some((end, _)) => format!("'{}[...]'", &text[..end]),
        None => format!("'{text}'"),
    }
}
