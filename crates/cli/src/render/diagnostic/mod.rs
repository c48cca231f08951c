//! Findings in files: for people with the lines that they are about, for programs as JSON, SARIF and workflow commands.

mod github;
mod place;
mod sarif;
mod text;

use serde_json::{Value, json};
use workflow::diagnostic::{Diagnostic, Severity};
use workflow::rule;

pub(crate) use github::to_command;
pub(crate) use place::Place;
pub(crate) use sarif::{Log, to_result};
pub(crate) use text::{mistake, to_text};

/// The name of a severity.
pub(crate) fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "info",
    }
}

/// A finding as the contract of the command line writes it.
pub(crate) fn to_json(diagnostic: &Diagnostic) -> Value {
    let mut object = json!({
        "file": &*diagnostic.file,
        "line": diagnostic.line,
        "column": diagnostic.column,
        "severity": severity_name(diagnostic.severity),
        "code": diagnostic.code,
        "message": diagnostic.message,
    });
    if let Some(kind) = rule::find(diagnostic.code).and_then(|rule| rule.actionlint) {
        object["actionlint_kind"] = json!(kind);
    }
    if let Some(help) = &diagnostic.help {
        object["help"] = json!(help);
    }
    if let Some(fix) = &diagnostic.fix {
        object["fix"] = json!(fix.title);
    }
    object
}

#[cfg(test)]
mod tests {
    use workflow::diagnostic::{Diagnostic, Severity};
    use workflow::source::{SourceFile, Span};

    use super::to_json;

    #[test]
    fn programs_see_the_contract() {
        let file = SourceFile::new("ci.yml", "on: push\njobs:\n  a:\n    run-on: x\n");
        let span = Some(Span::new(24, 30));
        let finding = Diagnostic::new("unexpected-key", Severity::Error, &file, span, "Unexpected value");
        let json = to_json(&finding);
        assert_eq!((&json["line"], &json["column"]), (&4.into(), &5.into()));
        assert_eq!((&json["severity"], &json["file"]), (&"error".into(), &"ci.yml".into()));
        assert!(json.get("help").is_none());
    }
}
