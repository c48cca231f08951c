//! What is wrong with a document.

use std::path::Path;
use std::str::FromStr;

use lsp_types::{
    CodeDescription, Diagnostic, DiagnosticRelatedInformation, DiagnosticSeverity, Location, NumberOrString,
    Range, Uri,
};
use workflow::diagnostic::{self, Severity};
use workflow::lint::{check_action, check_workflow};
use workflow::read::ReadOptions;
use workflow::source::SourceFile;

use crate::document::{Document, MAX_DOCUMENT};
use crate::repository::{Documents, Kind, NoSettings, Place, ReadSettings, Repository, RepositorySettings};

/// Who says it.
const SOURCE: &str = "firedog";
/// The page that explains all rules, each under its code.
const RULES: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/docs/rules.md");
/// The most findings of one document that are shown.
const MAX_FINDINGS: usize = 1000;

/// The findings of a document, in the order of the file, as the editor shows them.
pub(crate) fn of(
    document: &Document,
    place: &Place,
    documents: &Documents,
    settings: &dyn ReadSettings,
) -> Vec<Diagnostic> {
    let (found, refused) = find(document, place, documents, settings);
    let found = match found {
        None => vec![on_the_whole("document-size", too_long())],
        Some(found) => found.iter().map(|finding| convert(finding, document)).collect(),
    };
    let refused = refused.map(|why| on_the_whole("configuration", why));
    refused.into_iter().chain(found).collect()
}

/// The findings of a document, in the order of the file, `None` when it is too long to be kept; and why the repository's
/// configuration does not count.
pub(crate) fn find(
    document: &Document,
    place: &Place,
    documents: &Documents,
    settings: &dyn ReadSettings,
) -> (Option<Vec<diagnostic::Diagnostic>>, Option<String>) {
    let Some(text) = document.text() else { return (None, None) };
    let (said, refused) = match settings.read(place.root.as_deref()) {
        Ok(said) => (said, None),
        Err(why) => (Box::new(NoSettings) as Box<dyn RepositorySettings>, Some(why)),
    };
    let repository = Repository { root: place.root.as_deref(), documents, settings: &*said };
    let file = SourceFile::new(place.name.as_str(), text.clone());
    let options = ReadOptions { resolver: &repository, ..ReadOptions::default() };
    let settings = said.settings(&repository);
    let mut found = match place.kind {
        Kind::Workflow => check_workflow(&file, &options, &settings).diagnostics,
        Kind::Action => check_action(&file, &options, &settings).diagnostics,
    };
    found.retain(|finding| finding.file == *file.name());
    said.retain(Path::new(&place.name), &mut found);
    found.truncate(MAX_FINDINGS);
    (Some(found), refused)
}

/// Whether the text could not be read as YAML, so that nothing else is known of it.
pub(crate) fn has_broken_yaml(findings: &[Diagnostic]) -> bool {
    let is_of_yaml =
        |code: &NumberOrString| matches!(code, NumberOrString::String(code) if code.starts_with("yaml-"));
    findings.iter().any(|finding| finding.code.as_ref().is_some_and(is_of_yaml))
}

fn too_long() -> String {
    format!("the document has more than {MAX_DOCUMENT} bytes and is not checked")
}

/// A finding without a place.
fn on_the_whole(code: &str, message: String) -> Diagnostic {
    Diagnostic {
        severity: Some(DiagnosticSeverity::ERROR),
        code: Some(NumberOrString::String(code.into())),
        source: Some(SOURCE.into()),
        message,
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
