//! What is wrong with a document.

use lsp_types::{
    Diagnostic, DiagnosticRelatedInformation, DiagnosticSeverity, Location, NumberOrString, Range,
};
use workflow::diagnostic::{self, Severity};
use workflow::read::{ReadOptions, parse, parse_action};
use workflow::source::SourceFile;

use crate::document::{Document, MAX_DOCUMENT};
use crate::repository::{Kind, Place, Repository};

/// Who says it.
const SOURCE: &str = "firedog";
/// The most findings of one document that are shown.
const MAX_FINDINGS: usize = 1000;

/// The findings of a document, in the order of the file.
pub(crate) fn of(document: &Document, place: &Place, repository: Repository<'_>) -> Vec<Diagnostic> {
    let Some(text) = document.text() else { return vec![too_long()] };
    let file = SourceFile::new(place.name.as_str(), text.clone());
    let options = ReadOptions { resolver: &repository, ..ReadOptions::default() };
    let found = match place.kind {
        Kind::Workflow => parse(&file, &options).diagnostics,
        Kind::Action => parse_action(&file, &options).diagnostics,
    };
    let here = found.iter().filter(|finding| finding.file == *file.name());
    here.take(MAX_FINDINGS).map(|finding| convert(finding, document)).collect()
}

fn too_long() -> Diagnostic {
    Diagnostic {
        severity: Some(DiagnosticSeverity::ERROR),
        source: Some(SOURCE.into()),
        message: format!("the document has more than {MAX_DOCUMENT} bytes and is not checked"),
        ..Diagnostic::default()
    }
}

fn convert(finding: &diagnostic::Diagnostic, document: &Document) -> Diagnostic {
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
        source: Some(SOURCE.into()),
        message,
        related_information: if related.is_empty() { None } else { Some(related) },
        ..Diagnostic::default()
    }
}
