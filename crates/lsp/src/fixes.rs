//! Changes that editors offer: each finding's fix, and all of them at once.

use lsp_types::{CodeAction, CodeActionKind, OneOf, Range, TextDocumentEdit, TextEdit, WorkspaceEdit};
use lsp_types::{DocumentChanges, OptionalVersionedTextDocumentIdentifier};
use workflow::diagnostic::{Diagnostic, Edit};

use crate::diagnostics;
use crate::document::Document;

/// What fixes everything in one document.
pub(crate) const FIX_ALL: CodeActionKind = CodeActionKind::SOURCE_FIX_ALL;

/// The changes for a range of a document; `only` names the kinds that are wanted, none for all.
pub(crate) fn of(
    document: &Document,
    found: &[Diagnostic],
    range: Range,
    only: Option<&[CodeActionKind]>,
) -> Vec<CodeAction> {
    let is_wanted = |kind: &CodeActionKind| {
        let covers = |wanted: &CodeActionKind| {
            let rest = kind.as_str().strip_prefix(wanted.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.') || wanted.as_str().is_empty())
        };
        only.is_none_or(|only| only.iter().any(covers))
    };
    let mut actions = Vec::new();
    if is_wanted(&CodeActionKind::QUICKFIX) {
        let touched = found.iter().filter(|finding| touches(document, finding, range));
        actions.extend(touched.filter_map(|finding| quick_fix(document, finding)));
    }
    // Editors that ask for no kind list changes for a place; a change of the whole document would be in the way.
    if only.is_some() && is_wanted(&FIX_ALL) {
        actions.extend(fix_all(document, found));
    }
    actions
}

fn touches(document: &Document, finding: &Diagnostic, range: Range) -> bool {
    let place = finding.primary.map_or(Range::default(), |span| document.range(span));
    place.start <= range.end && range.start <= place.end
}

fn quick_fix(document: &Document, finding: &Diagnostic) -> Option<CodeAction> {
    let fix = finding.fix.as_ref()?;
    Some(CodeAction {
        title: capitalised(&fix.title),
        kind: Some(CodeActionKind::QUICKFIX),
        diagnostics: Some(vec![diagnostics::convert(finding, document)]),
        edit: Some(workspace_edit(document, fix.edits.iter())),
        is_preferred: Some(true),
        ..CodeAction::default()
    })
}

/// All fixes whose changes do not overlap with those before them.
fn fix_all(document: &Document, found: &[Diagnostic]) -> Option<CodeAction> {
    let mut taken: Vec<&Edit> = Vec::new();
    for fix in found.iter().filter_map(|finding| finding.fix.as_ref()) {
        let is_free = |edit: &Edit| taken.iter().all(|other| !overlap(edit, other));
        if fix.edits.iter().all(is_free) {
            taken.extend(&fix.edits);
        }
    }
    if taken.is_empty() {
        return None;
    }
    Some(CodeAction {
        title: "Fix all that has one safe fix".into(),
        kind: Some(FIX_ALL),
        edit: Some(workspace_edit(document, taken.into_iter())),
        ..CodeAction::default()
    })
}

/// Two insertions at one place overlap, too: their order would matter.
fn overlap(one: &Edit, other: &Edit) -> bool {
    one.span == other.span || (one.span.start < other.span.end && other.span.start < one.span.end)
}

fn workspace_edit<'e>(document: &Document, edits: impl Iterator<Item = &'e Edit>) -> WorkspaceEdit {
    let edits = edits.map(|edit| TextEdit::new(document.range(edit.span), edit.text.clone()));
    of_text_edits(document, edits.collect())
}

/// Changes of the version of the document that they were made for.
pub(crate) fn of_text_edits(document: &Document, edits: Vec<TextEdit>) -> WorkspaceEdit {
    let uri = document.uri.clone();
    let text_document = OptionalVersionedTextDocumentIdentifier { uri, version: Some(document.version) };
    let edits = edits.into_iter().map(OneOf::Left).collect();
    let changes = DocumentChanges::Edits(vec![TextDocumentEdit { text_document, edits }]);
    WorkspaceEdit { document_changes: Some(changes), ..WorkspaceEdit::default() }
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    let first: String = characters.next().into_iter().flat_map(char::to_uppercase).collect();
    first + characters.as_str()
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use lsp_types::{CodeActionKind, DocumentChanges, OneOf, Position, Range, Uri};
    use workflow::diagnostic::{Diagnostic, Edit, Severity};
    use workflow::source::{SourceFile, Span};

    use super::of;
    use crate::document::Document;
    use crate::position::Encoding;

    const TEXT: &str = "a: b\nc: d\n";

    fn finding(span: Span, edits: &[(usize, usize, &str)]) -> Diagnostic {
        let file = SourceFile::new("w.yml", TEXT);
        let finding = Diagnostic::new("x", Severity::Warning, &file, Some(span), "m");
        let edit = |(start, end, text): &(usize, usize, &str)| Edit {
            span: Span::new(*start, *end),
            text: (*text).into(),
        };
        finding.with_fix("quote it", edits.iter().map(edit).collect())
    }

    /// Titles and the new texts of the changes for a line.
    fn check(found: &[Diagnostic], line: u32, only: Option<&[CodeActionKind]>, expected: &[(&str, &[&str])]) {
        let uri = Uri::from_str("file:///w.yml").expect("a URI");
        let document = Document::new(uri, "yaml".into(), 7, TEXT.into(), Encoding::Utf16);
        let range = Range::new(Position::new(line, 0), Position::new(line, 4));
        let actions = of(&document, found, range, only);
        let shown: Vec<(String, Vec<String>)> = actions
            .into_iter()
            .map(|action| {
                let Some(DocumentChanges::Edits(changes)) =
                    action.edit.and_then(|edit| edit.document_changes)
                else {
                    panic!("changes of a version");
                };
                assert_eq!(changes[0].text_document.version, Some(7));
                let texts = changes[0].edits.iter().map(|edit| match edit {
                    OneOf::Left(edit) => edit.new_text.clone(),
                    OneOf::Right(edit) => edit.text_edit.new_text.clone(),
                });
                (action.title, texts.collect())
            })
            .collect();
        let expected: Vec<(String, Vec<String>)> = expected
            .iter()
            .map(|(title, texts)| ((*title).into(), texts.iter().map(|text| (*text).into()).collect()))
            .collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn fixes_of_a_place_and_of_the_document() {
        let found = [finding(Span::new(3, 4), &[(3, 4, "'b'")]), finding(Span::new(8, 9), &[(8, 9, "'d'")])];
        check(&found, 0, None, &[("Quote it", &["'b'"])]);
        check(&found, 1, Some(&[CodeActionKind::QUICKFIX]), &[("Quote it", &["'d'"])]);
        check(&found, 1, Some(&[CodeActionKind::REFACTOR]), &[]);
        let all = "Fix all that has one safe fix";
        check(&found, 0, Some(&[CodeActionKind::SOURCE]), &[(all, &["'b'", "'d'"])]);
        check(&found, 0, Some(&[CodeActionKind::SOURCE_FIX_ALL]), &[(all, &["'b'", "'d'"])]);
        check(&[], 0, Some(&[CodeActionKind::SOURCE_FIX_ALL]), &[]);
    }

    #[test]
    fn fixes_that_overlap_are_not_done_at_once() {
        let found =
            [finding(Span::new(0, 4), &[(0, 4, "x")]), finding(Span::new(3, 4), &[(3, 4, "y"), (8, 9, "z")])];
        check(&found, 0, Some(&[super::FIX_ALL]), &[("Fix all that has one safe fix", &["x"])]);
    }
}
