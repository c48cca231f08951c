//! What may be written at a place.

mod expressions;
mod keys;
mod values;

pub(crate) use keys::type_name;
use lsp_types::{
    CompletionItem, CompletionItemKind, CompletionTextEdit, Documentation, MarkupContent, MarkupKind,
    TextEdit,
};
use workflow::source::Span;

use crate::cursor::{Cursor, Spot};
use crate::document::Document;
use crate::repository::Repository;

/// The most proposals of one answer.
const MAX_PROPOSALS: usize = 500;

/// One proposal.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Proposal {
    /// As it is listed and filtered.
    pub(crate) label: String,
    pub(crate) kind: CompletionItemKind,
    /// A few words beside the label.
    pub(crate) detail: Option<String>,
    /// More of it, in Markdown; may be empty.
    pub(crate) documentation: String,
    /// What is written.
    pub(crate) insert: String,
}

impl Proposal {
    fn new(label: impl Into<String>, kind: CompletionItemKind) -> Self {
        let label = label.into();
        Self { insert: label.clone(), label, kind, detail: None, documentation: String::new() }
    }

    fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into()).filter(|detail| !detail.is_empty());
        self
    }

    fn documentation(mut self, documentation: impl Into<String>) -> Self {
        self.documentation = documentation.into();
        self
    }

    fn insert(mut self, insert: impl Into<String>) -> Self {
        self.insert = insert.into();
        self
    }
}

/// The proposals at a place, and the word that they replace.
pub(crate) fn at(
    cursor: &Cursor<'_>,
    last_whole: Option<&str>,
    repository: Repository<'_>,
) -> Option<(Span, Vec<Proposal>)> {
    let (word, mut proposals) = if let Some(expression) = cursor.expression() {
        expressions::at(cursor, expression, last_whole, repository)?
    } else {
        match cursor.spot? {
            Spot::Key { number, word } => {
                let owner = cursor.outline.entry(number).parent;
                // The colon is there already.
                let names = keys::of(cursor, owner, Some(number), repository).into_iter();
                (word, names.map(|key| Proposal { insert: key.label.clone(), ..key }).collect())
            }
            Spot::NewKey { owner, word } => (word, keys::of(cursor, owner, None, repository)),
            Spot::Value { owner, word } => (word, values::of_key(cursor, owner, repository)),
            Spot::FlowItem { owner, word } => (word, values::of_item(cursor, owner, repository)),
            Spot::Below { owner, word } => (word, below(cursor, owner, repository)),
            Spot::Script { .. } => return None,
        }
    };
    proposals.truncate(MAX_PROPOSALS);
    Some((word, proposals))
}

/// Below a key there may be keys, items or a value.
fn below(cursor: &Cursor<'_>, owner: Option<usize>, repository: Repository<'_>) -> Vec<Proposal> {
    let Some(number) = owner else { return keys::of(cursor, None, None, repository) };
    let is_item = cursor.outline.entry(number).kind == crate::outline::Kind::Item;
    let mut found = keys::of(cursor, owner, None, repository);
    if is_item {
        let has_keys = cursor.outline.keys(owner).next().is_some();
        if let Some(parent) = cursor.outline.entry(number).parent.filter(|_| !has_keys) {
            found.extend(values::of_item(cursor, parent, repository));
        }
        return found;
    }
    if cursor.outline.keys(owner).next().is_none() {
        let items =
            values::of_item(cursor, number, repository).into_iter().chain(keys::of_item(cursor, number));
        found.extend(items.map(|item| Proposal { insert: format!("- {}", item.insert), ..item }));
        if cursor.outline.items(number).next().is_none() {
            found.extend(values::of_key(cursor, number, repository));
        }
    }
    found
}

/// Proposals as the protocol has them.
pub(crate) fn convert(document: &Document, word: Span, proposals: Vec<Proposal>) -> Vec<CompletionItem> {
    let range = document.range(word);
    let convert_one = |(number, proposal): (usize, Proposal)| CompletionItem {
        kind: Some(proposal.kind),
        detail: proposal.detail,
        documentation: (!proposal.documentation.is_empty()).then(|| {
            let content = MarkupContent { kind: MarkupKind::Markdown, value: proposal.documentation };
            Documentation::MarkupContent(content)
        }),
        // Editors compare the filter with what is in the range.
        filter_text: Some(proposal.insert.clone()),
        sort_text: Some(format!("{number:04}")),
        text_edit: Some(CompletionTextEdit::Edit(TextEdit::new(range, proposal.insert))),
        label: proposal.label,
        ..CompletionItem::default()
    };
    proposals.into_iter().enumerate().map(convert_one).collect()
}

#[cfg(test)]
mod tests;
