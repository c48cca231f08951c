//! Inside of expressions: contexts, functions and properties.

use lsp_types::CompletionItemKind;
use workflow::source::Span;
use workflow::types::Type;

use super::Proposal;
use crate::cursor::Cursor;
use crate::expression::{self, Name};
use crate::repository::Repository;
use crate::{typing, words};

pub(super) fn at(
    cursor: &Cursor<'_>,
    expression: Span,
    last_whole: Option<&str>,
    repository: Repository<'_>,
) -> Option<(Span, Vec<Proposal>)> {
    let chain = expression::chain(cursor.text, expression, cursor.offset)?;
    let word = chain.last()?.span;
    if !chain.before().is_empty() {
        let is_dotted = cursor.text[..word.start as usize].trim_end().ends_with('.');
        return Some((
            word,
            properties(cursor, expression, chain.before(), is_dotted, last_whole, repository),
        ));
    }
    let place = cursor.place(cursor.owner(), None)?;
    let contexts = place.contexts().into_iter().map(|name| {
        Proposal::new(name, CompletionItemKind::VARIABLE)
            .detail("context")
            .documentation(words::of_context(name))
    });
    let functions = place.functions().into_iter().map(|function| {
        let words = words::of_function(function);
        let insert =
            if words.takes_nothing { format!("{}()", function.name()) } else { function.name().to_owned() };
        Proposal::new(function.name(), CompletionItemKind::FUNCTION)
            .detail(words.signature)
            .documentation(words.summary)
            .insert(insert)
    });
    Some((word, contexts.chain(functions).collect()))
}

/// The properties of what the names before stand for.
fn properties(
    cursor: &Cursor<'_>,
    expression: Span,
    names: &[Name],
    is_dotted: bool,
    last_whole: Option<&str>,
    repository: Repository<'_>,
) -> Vec<Proposal> {
    let ty = typing::of(cursor, expression, names, last_whole, repository);
    let object = match &ty {
        Some(Type::Object(object)) => Some(object),
        Some(Type::Filtered(item)) => item.as_object(),
        _ => None,
    };
    let known = object.into_iter().flat_map(|object| object.properties());
    let mut found: Vec<_> = known
        .map(|(name, ty)| Proposal::new(name, CompletionItemKind::PROPERTY).detail(ty.to_string()))
        .collect();
    if let [context] = names {
        for name in typing::names_in_file(cursor, &context.text.to_lowercase()) {
            if !found.iter().any(|proposal| proposal.label.eq_ignore_ascii_case(&name)) {
                found.push(Proposal::new(name, CompletionItemKind::PROPERTY).detail("string"));
            }
        }
    }
    // Only such names can follow a period; others stand in an index.
    let is_name = |name: &str| {
        let starts = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
        starts && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    };
    found.retain(|proposal| !is_dotted || is_name(&proposal.insert));
    found
}
