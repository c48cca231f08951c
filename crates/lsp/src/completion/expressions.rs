//! Inside of expressions: contexts and functions.

use lsp_types::CompletionItemKind;
use workflow::source::Span;

use super::Proposal;
use crate::cursor::Cursor;
use crate::expression;
use crate::repository::Repository;
use crate::words;

pub(super) fn at(cursor: &Cursor<'_>, expression: Span, _: Repository<'_>) -> Option<(Span, Vec<Proposal>)> {
    let chain = expression::chain(cursor.text, expression, cursor.offset)?;
    let word = chain.last()?.span;
    if !chain.before().is_empty() {
        return None;
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
