//! Where a finding begins and ends, as programs count: lines and columns from 1, columns in code points.

use workflow::diagnostic::Diagnostic;
use workflow::rule::{self, Rule};
use workflow::source::{Position, SourceFile, Span};

/// A range of a file. The end is the place behind the last character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) start: Position,
    pub(crate) end: Position,
}

impl Place {
    /// The place of a span.
    pub(crate) fn of_span(file: &SourceFile, span: Span) -> Self {
        let start = file.position(span.start);
        Self { start, end: file.position(span.end.max(span.start)) }
    }

    /// The place of a finding, of which only the beginning is known where it is in another file.
    ///
    /// What a tool finds in a script is at its place in the script.
    pub(crate) fn of(diagnostic: &Diagnostic, file: &SourceFile) -> Self {
        let is_of_tool = || rule::find(diagnostic.code).is_some_and(Rule::is_of_tool);
        if let Some(label) = diagnostic.labels.first().filter(|_| is_of_tool()) {
            return Self::of_span(file, label.span);
        }
        let start = Position { line: diagnostic.line, column: diagnostic.column };
        match diagnostic.primary.filter(|_| diagnostic.file == *file.name()) {
            Some(span) => Self { start, ..Self::of_span(file, span) },
            None => Self { start, end: start },
        }
    }
}
