//! A finding as a workflow command: in a job, GitHub shows it at its line.

use workflow::diagnostic::{Diagnostic, Severity};
use workflow::source::SourceFile;

use super::Place;

/// `::error file=F,line=1,endLine=1,col=2,endColumn=5,title=CODE::MESSAGE` with a newline.
pub(crate) fn to_command(diagnostic: &Diagnostic, file: &SourceFile) -> String {
    let command = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "notice",
    };
    let Place { start, end } = Place::of(diagnostic, file);
    let mut properties = format!("file={},line={}", property(&diagnostic.file), start.line);
    // GitHub takes columns only of places on one line.
    if end.line == start.line {
        let behind = end.column.max(start.column + 1);
        properties.push_str(&format!(",endLine={},col={},endColumn={behind}", end.line, start.column));
    } else {
        properties.push_str(&format!(",endLine={}", end.line));
    }
    let mut message = diagnostic.message.clone();
    if let Some(help) = &diagnostic.help {
        message.push_str(&format!("\nhelp: {help}"));
    }
    format!("::{command} {properties},title={}::{}\n", property(diagnostic.code), data(&message))
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use workflow::diagnostic::{Diagnostic, Severity};
    use workflow::source::{SourceFile, Span};

    use super::to_command;

    fn check(name: &str, span: Span, message: &str, expected: &str) {
        let file = SourceFile::new(name, "on: push\njöbs: 1\n");
        let finding = Diagnostic::new("code", Severity::Warning, &file, Some(span), message);
        assert_eq!(to_command(&finding, &file), expected);
    }

    #[test]
    fn commands_are_escaped() {
        check(
            "a,b:c%.yml",
            Span::new(9, 14),
            "100%: a,b\r\nc",
            "::warning file=a%2Cb%3Ac%25.yml,line=2,endLine=2,col=1,endColumn=5,title=code::100%25: a,b%0D%0Ac\n",
        );
    }

    #[test]
    fn a_place_over_several_lines_has_no_columns() {
        check("a.yml", Span::new(4, 12), "m", "::warning file=a.yml,line=1,endLine=2,title=code::m\n");
        check(
            "a.yml",
            Span::new(4, 4),
            "m",
            "::warning file=a.yml,line=1,endLine=1,col=5,endColumn=6,title=code::m\n",
        );
    }
}
