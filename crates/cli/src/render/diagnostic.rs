//! Findings in workflow files: for people with the lines they are about, for programs as JSON.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};
use serde_json::{Value, json};
use workflow::diagnostic::{Diagnostic, Severity};
use workflow::rule;
use workflow::source::{SourceFile, Span};

use super::style::Style;

/// Characters of a line that are shown around a place.
const LINE_WIDTH: usize = 140;

/// A finding as the contract of the command line writes it.
pub(crate) fn to_json(diagnostic: &Diagnostic) -> Value {
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "info",
    };
    let mut object = json!({
        "file": &*diagnostic.file,
        "line": diagnostic.line,
        "column": diagnostic.column,
        "severity": severity,
        "code": diagnostic.code,
        "message": diagnostic.message,
    });
    if let Some(kind) = rule::find(diagnostic.code).and_then(|rule| rule.actionlint) {
        object["actionlint_kind"] = json!(kind);
    }
    if let Some(help) = &diagnostic.help {
        object["help"] = json!(help);
    }
    object
}

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
    if diagnostic.file != *file.name() {
        let place = Origin::path(&*diagnostic.file).line(diagnostic.line).char_column(diagnostic.column);
        return renderer.render(&[title.element(place)]);
    }
    let text = &**file.text();
    let mut snippet = Snippet::source(text).path(&*diagnostic.file);
    let primary = diagnostic.primary.unwrap_or_default();
    snippet = snippet.annotation(AnnotationKind::Primary.span(first_line(text, primary)));
    for label in diagnostic.labels.iter().filter(|label| !text.is_empty() && label.span != primary) {
        let annotation = AnnotationKind::Context.span(first_line(text, label.span));
        snippet = snippet.annotation(annotation.label(label.message.as_str()));
    }
    let mut group = title.element(snippet);
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    renderer.render(&[group])
}

/// The bytes of a span on its first line: a whole mapping is not marked.
fn first_line(text: &str, span: Span) -> std::ops::Range<usize> {
    let start = floor(text, span.start as usize);
    let end = floor(text, (span.end as usize).max(start));
    let line = text[start..end].find(['\n', '\r']).map_or(end, |length| start + length);
    start..line
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

    use super::{to_json, to_text};
    use crate::render::style::Style;

    fn file() -> SourceFile {
        SourceFile::new("ci.yml", "on: push\njobs:\n  a:\n    run-on: x\n    steps: []\n")
    }

    fn finding(span: Option<Span>) -> Diagnostic {
        Diagnostic::new("unexpected-key", Severity::Error, &file(), span, "Unexpected value 'run-on'")
    }

    #[test]
    fn people_see_the_line() {
        let diagnostic = finding(Some(Span::new(24, 30))).with_help("did you mean `runs-on`?");
        let text = to_text(&diagnostic, &file(), Style { colours: false });
        for part in
            ["error[unexpected-key]: Unexpected value 'run-on'", "ci.yml:4:5", "run-on: x", "did you mean"]
        {
            assert!(text.contains(part), "{part}:\n{text}");
        }
    }

    #[test]
    fn every_place_can_be_shown() {
        for span in [None, Some(Span::new(0, 999)), Some(Span::new(999, 9)), Some(Span::new(17, 60))] {
            let text = to_text(&finding(span), &file(), Style { colours: true });
            assert!(text.contains("Unexpected value"), "{span:?}");
            let empty = SourceFile::new("ci.yml", "");
            assert!(
                to_text(&finding(span), &empty, Style { colours: false }).contains("Unexpected value"),
                "{span:?}"
            );
        }
    }

    #[test]
    fn programs_see_the_contract() {
        let json = to_json(&finding(Some(Span::new(24, 30))));
        assert_eq!(json["line"], 4);
        assert_eq!(json["column"], 5);
        assert_eq!(json["severity"], "error");
        assert!(json.get("help").is_none());
    }
}
