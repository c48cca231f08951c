//! A finding for people: the lines that it is about, with marks, and the way out.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};
use workflow::diagnostic::{Diagnostic, Severity};
use workflow::source::{SourceFile, Span};

use crate::render::style::Style;

/// Characters of a line that are shown around a place.
const LINE_WIDTH: usize = 140;
/// A line with more bytes is not shown: looking for the part that matters takes too long.
const MAX_LINE: usize = 64 * 1024;

/// A finding, with the lines of `file` that it is about; one in another file has its place only.
pub(crate) fn to_text(diagnostic: &Diagnostic, file: &SourceFile, style: Style) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Info => Level::NOTE,
    };
    let title = level.primary_title(diagnostic.message.as_str()).id(diagnostic.code);
    let renderer = if style.colours { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.decor_style(DecorStyle::Unicode).term_width(LINE_WIDTH);
    let primary = diagnostic.primary.unwrap_or_default();
    let labels: Vec<_> = diagnostic.labels.iter().filter(|label| label.span != primary).collect();
    let Some(lines) = (diagnostic.file == *file.name())
        .then(|| Lines::of(file, primary, labels.iter().map(|label| label.span)))
        .flatten()
    else {
        let place = Origin::path(&*diagnostic.file).line(diagnostic.line).char_column(diagnostic.column);
        let mut group = title.element(place);
        if let Some(help) = &diagnostic.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        return renderer.render(&[group]);
    };
    let mut snippet = Snippet::source(lines.text).path(&*diagnostic.file).line_start(lines.first);
    snippet = snippet.annotation(AnnotationKind::Primary.span(lines.first_line(primary)));
    if !lines.text.is_empty() {
        for label in labels {
            let annotation = AnnotationKind::Context.span(lines.first_line(label.span));
            snippet = snippet.annotation(annotation.label(label.message.as_str()));
        }
    }
    let mut group = title.element(snippet);
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    if let Some(fix) = &diagnostic.fix {
        let message = format!("`--fix` can do it: {}", fix.title);
        group = group.element(Level::NOTE.message(message));
    }
    renderer.render(&[group])
}

/// A mistake in a file that is no workflow, such as a configuration.
pub(crate) fn mistake(
    message: &str,
    file: &SourceFile,
    span: Span,
    help: Option<&str>,
    style: Style,
) -> String {
    let renderer = if style.colours { Renderer::styled() } else { Renderer::plain() };
    let title = Level::ERROR.primary_title(message);
    let mut group = match Lines::of(file, span, std::iter::empty()) {
        Some(lines) => title.element(
            Snippet::source(lines.text)
                .path(&**file.name())
                .line_start(lines.first)
                .annotation(AnnotationKind::Primary.span(lines.first_line(span))),
        ),
        None => title.element(Origin::path(&**file.name())),
    };
    if let Some(help) = help {
        group = group.element(Level::HELP.message(help));
    }
    renderer.decor_style(DecorStyle::Unicode).term_width(LINE_WIDTH).render(&[group])
}

/// The lines of a file that a finding is about, and those between them.
struct Lines<'a> {
    text: &'a str,
    /// The number of the first line.
    first: usize,
    /// The byte of the file at which they begin.
    start: usize,
}

impl<'a> Lines<'a> {
    /// The lines of all places; none where one of them is too long to be shown.
    fn of(file: &'a SourceFile, primary: Span, labels: impl Iterator<Item = Span>) -> Option<Self> {
        let text = &**file.text();
        let places = || std::iter::once(primary);
        let starts: Vec<usize> =
            places().chain(labels).map(|span| floor(text, span.start as usize)).collect();
        let (first, last) = (*starts.iter().min()?, *starts.iter().max()?);
        let start = text[..first].rfind('\n').map_or(0, |newline| newline + 1);
        let end = text[last..].find('\n').map_or(text.len(), |length| last + length);
        let text = text[start..end].trim_end_matches('\r');
        let shown = text.split('\n').all(|line| line.len() <= MAX_LINE);
        shown.then(|| Self { text, first: file.position(Span::new(start, start).start).line, start })
    }

    /// The bytes of a span on its first line, in these lines: a whole mapping is not marked.
    fn first_line(&self, span: Span) -> std::ops::Range<usize> {
        let inside = |offset: u32| floor(self.text, (offset as usize).saturating_sub(self.start));
        let start = inside(span.start);
        let end = inside(span.end).max(start);
        let line = self.text[start..end].find(['\n', '\r']).map_or(end, |length| start + length);
        start..line
    }
}

/// The nearest place at or before `offset` that does not cut a character.
fn floor(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

#[cfg(test)]
mod tests {
    use workflow::diagnostic::{Diagnostic, Severity};
    use workflow::source::{SourceFile, Span};

    use super::to_text;
    use crate::render::style::Style;

    const PLAIN: Style = Style { colours: false };

    fn file() -> SourceFile {
        SourceFile::new("ci.yml", "on: push\njobs:\n  a:\n    run-on: x\n    steps: []\n")
    }

    fn finding(span: Option<Span>) -> Diagnostic {
        Diagnostic::new("unexpected-key", Severity::Error, &file(), span, "Unexpected value 'run-on'")
    }

    #[test]
    fn people_see_the_line() {
        let diagnostic = finding(Some(Span::new(24, 30))).with_help("did you mean `runs-on`?");
        let text = to_text(&diagnostic, &file(), PLAIN);
        for part in [
            "error[unexpected-key]: Unexpected value 'run-on'",
            "ci.yml:4:5",
            "4 │     run-on: x",
            "did you mean",
        ] {
            assert!(text.contains(part), "{part}:\n{text}");
        }
        assert!(!text.contains("jobs:"), "{text}");
    }

    #[test]
    fn labels_show_their_lines_too() {
        let diagnostic = finding(Some(Span::new(24, 30))).with_label(Span::new(0, 2), "the event");
        let text = to_text(&diagnostic, &file(), PLAIN);
        assert!(text.contains("1 │ on: push") && text.contains("the event"), "{text}");
    }

    #[test]
    fn every_place_can_be_shown() {
        for span in [None, Some(Span::new(0, 999)), Some(Span::new(999, 9)), Some(Span::new(17, 60))] {
            let text = to_text(&finding(span), &file(), Style { colours: true });
            assert!(text.contains("Unexpected value"), "{span:?}");
            let empty = SourceFile::new("ci.yml", "");
            assert!(to_text(&finding(span), &empty, PLAIN).contains("Unexpected value"), "{span:?}");
        }
    }

    #[test]
    fn endless_lines_are_not_shown() {
        let file = SourceFile::new("ci.yml", "x".repeat(1_000_000));
        let text = to_text(&finding(Some(Span::new(24, 30))), &file, PLAIN);
        assert!(text.contains("Unexpected value") && text.len() < 1000, "{} bytes", text.len());
    }
}
