//! What is wrong with a document.

use std::collections::HashMap;
use std::str::FromStr;

use lsp_types::{
    CodeDescription, Diagnostic, DiagnosticRelatedInformation, DiagnosticSeverity, Location, NumberOrString,
    Range, Uri,
};
use workflow::diagnostic::{self, Severity};
use workflow::lint::{Settings, check_action, check_workflow};
use workflow::read::ReadOptions;
use workflow::source::SourceFile;

use crate::document::{Document, MAX_DOCUMENT};
use crate::repository::{Kind, Place, Repository};

/// Who says it.
const SOURCE: &str = "firedog";
/// The page that explains all rules, each under its code.
const RULES: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/docs/rules.md");
/// The most findings of one document that are shown.
const MAX_FINDINGS: usize = 1000;

/// The findings of a document, in the order of the file, as the editor shows them.
pub(crate) fn of(document: &Document, place: &Place, repository: Repository<'_>) -> Vec<Diagnostic> {
    match find(document, place, repository) {
        None => vec![too_long()],
        Some(found) => found.iter().map(|finding| convert(finding, document)).collect(),
    }
}

/// The findings of a document, in the order of the file; `None` when it is too long to be kept.
pub(crate) fn find(
    document: &Document,
    place: &Place,
    repository: Repository<'_>,
) -> Option<Vec<diagnostic::Diagnostic>> {
    let file = SourceFile::new(place.name.as_str(), document.text()?.clone());
    let options = ReadOptions { resolver: &repository, ..ReadOptions::default() };
    let levels = HashMap::new();
    let settings = Settings { levels: &levels, runner_labels: &[], variables: None, actions: &repository };
    let mut found = match place.kind {
        Kind::Workflow => check_workflow(&file, &options, &settings).diagnostics,
        Kind::Action => check_action(&file, &options, &settings).diagnostics,
    };
    found.retain(|finding| finding.file == *file.name());
    found.truncate(MAX_FINDINGS);
    Some(found)
}

/// Whether the text could not be read as YAML, so that nothing else is known of it.
pub(crate) fn has_broken_yaml(findings: &[Diagnostic]) -> bool {
    let is_of_yaml =
        |code: &NumberOrString| matches!(code, NumberOrString::String(code) if code.starts_with("yaml-"));
    findings.iter().any(|finding| finding.code.as_ref().is_some_and(is_of_yaml))
}

fn too_long() -> Diagnostic {
    Diagnostic {
        severity: Some(DiagnosticSeverity::ERROR),
        source: Some(SOURCE.into()),
        message: format!("the document has more than {MAX_DOCUMENT} bytes and is not checked"),
        ..Diagnostic::default()
    }
}

/// A finding as the editor shows it.
pub(crate) fn convert(finding: &diagnostic::Diagnostic, document: &Document) -> Diagnostic {
    let related = finding.labels.iter().map(|label| DiagnosticRelatedInformation {
        location: Location::new(document.uri.clone(), document.range(label.span)),
        message: label.message.clone(),
    });
    let related: Vec<_> = related.collect();
    let message = match &finding.help {
        Some(help) => format!("{}\nhelp: {help}", finding.message),
        None => finding.message.clone(),
    };
    Diagnostic {
        range: finding.primary.map_or(Range::default(), |span| document.range(span)),
        severity: Some(match finding.severity {
            Severity::Error => DiagnosticSeverity::ERROR,
            Severity::Warning => DiagnosticSeverity::WARNING,
            Severity::Info => DiagnosticSeverity::INFORMATION,
        }),
        code: Some(NumberOrString::String(finding.code.into())),
        code_description: Uri::from_str(&format!("{RULES}#{}", finding.code))
            .ok()
            .map(|href| CodeDescription { href }),
        source: Some(SOURCE.into()),
        message,
        related_information: if related.is_empty() { None } else { Some(related) },
        ..Diagnostic::default()
    }
}
