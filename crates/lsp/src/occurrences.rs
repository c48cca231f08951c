//! Every place that names a job or a step, for references and renaming.

use workflow::source::Span;

use crate::cursor::{Cursor, Spot};
use crate::definition;
use crate::expression;
use crate::outline::{Kind, Segment, Style, unquoted};

/// Texts longer than this are not looked into; GitHub refuses expressions in them.
const MAX_TEXT: usize = 21_000;

/// What has a name that the file gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// The job with this key.
    Job(usize),
    /// The step with this value of `id`, in the steps of the entry.
    Step { id: usize, owner: usize },
}

/// The job or the step that the place names or is the name of, and the word that does.
pub(crate) fn named_at(cursor: &Cursor<'_>) -> Option<(Span, Named)> {
    let outline = &cursor.outline;
    let jobs = outline.at(&["jobs"]);
    let job = |id: &str| outline.find(jobs, id).filter(|_| jobs.is_some()).map(Named::Job);
    if let Some(expression) = cursor.expression() {
        let chain = expression::chain(cursor.text, expression, cursor.offset)?;
        let last = chain.last()?;
        let [context] = chain.before() else { return None };
        let named = match context.text.to_lowercase().as_str() {
            "needs" | "jobs" => job(&last.text)?,
            "steps" => step(cursor, definition::step(cursor, &last.text)?)?,
            _ => return None,
        };
        return Some((last.span, named));
    }
    match cursor.spot? {
        Spot::Key { number, word } if jobs.is_some() && outline.entry(number).parent == jobs => {
            Some((word, Named::Job(number)))
        }
        Spot::Value { owner, word } | Spot::FlowItem { owner, word } => of_value(cursor, owner, word),
        Spot::Below { owner: Some(owner), word } => of_value(cursor, owner, word),
        _ => None,
    }
}

fn of_value(cursor: &Cursor<'_>, owner: usize, word: Span) -> Option<(Span, Named)> {
    let outline = &cursor.outline;
    let key = match outline.entry(owner).kind {
        Kind::Item => outline.entry(owner).parent?,
        _ => owner,
    };
    let keys = cursor.keys_to(Some(key));
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let word = without_quotes(cursor.text, word);
    let text = cursor.text.get(word.start as usize..word.end as usize)?;
    match keys[..] {
        ["jobs", _, "needs"] => Some((word, Named::Job(outline.find(outline.at(&["jobs"]), text)?))),
        [.., "steps", "*", "id"] => Some((word, step(cursor, key)?)),
        _ => None,
    }
}

/// The step with this `id`.
fn step(cursor: &Cursor<'_>, id: usize) -> Option<Named> {
    let item = cursor.outline.entry(id).parent?;
    let steps = cursor.outline.entry(item).parent?;
    Some(Named::Step { id, owner: cursor.outline.entry(steps).parent? })
}

/// The text of a scalar without its quotes.
fn without_quotes(text: &str, span: Span) -> Span {
    let Some(written) = text.get(span.start as usize..span.end as usize) else { return span };
    let inner = unquoted(written);
    if inner.len() == written.len() {
        return span;
    }
    let start = span.start as usize + 1;
    Span::new(start, start + inner.len())
}

/// Where the name is given.
pub(crate) fn given(cursor: &Cursor<'_>, named: &Named) -> Span {
    let span = match named {
        Named::Job(key) => cursor.outline.entry(*key).mark,
        Named::Step { id, .. } => cursor.outline.entry(*id).value,
    };
    without_quotes(cursor.text, span)
}

/// Every place with the name, in the order of the file.
pub(crate) fn of(cursor: &Cursor<'_>, named: &Named) -> Vec<Span> {
    let id = match named {
        Named::Job(key) => cursor.outline.name(*key),
        Named::Step { id, .. } => cursor.outline.value(*id, cursor.text),
    };
    let Some(id) = id.filter(|id| !id.is_empty()) else { return Vec::new() };
    let mut found = vec![given(cursor, named)];
    for number in 0..cursor.outline.entries().len() {
        if let Named::Job(_) = named {
            found.extend(needed(cursor, number, id));
        }
        if is_in_scope(cursor, number, named) {
            found.extend(in_expressions(cursor, number, named, id));
        }
    }
    found.sort_by_key(|span| span.start);
    found.dedup();
    found
}

/// The values of `needs` of a job that are this id.
fn needed(cursor: &Cursor<'_>, number: usize, id: &str) -> Vec<Span> {
    if cursor.outline.name(number) != Some("needs") {
        return Vec::new();
    }
    let is_of_job = match &cursor.outline.path(number)[..] {
        [Segment::Key(jobs), Segment::Key(_), Segment::Key(_)] => jobs == "jobs",
        _ => false,
    };
    if !is_of_job {
        return Vec::new();
    }
    let values = cursor.outline.values(number, cursor.text).into_iter();
    let same = values.filter(|(text, _)| text.eq_ignore_ascii_case(id));
    same.map(|(_, span)| without_quotes(cursor.text, span)).collect()
}

/// Steps are known only inside of their job or action.
fn is_in_scope(cursor: &Cursor<'_>, number: usize, named: &Named) -> bool {
    let Named::Step { owner, .. } = named else { return true };
    let owner = cursor.outline.entry(*owner);
    let start = cursor.outline.entry(number).mark.start as usize;
    // An action's outputs stand outside of what runs.
    cursor.kind == crate::repository::Kind::Action
        || (owner.mark.start as usize <= start && start < owner.end)
}

/// The places in the expressions of one scalar.
fn in_expressions(cursor: &Cursor<'_>, number: usize, named: &Named, id: &str) -> Vec<Span> {
    let entry = cursor.outline.entry(number);
    if !matches!(entry.style, Style::Plain | Style::Quoted | Style::Block) {
        return Vec::new();
    }
    let contexts: &[&str] = match named {
        Named::Job(_) => &["needs", "jobs"],
        Named::Step { .. } => &["steps"],
    };
    let is_condition = cursor.outline.name(number) == Some("if");
    let (start, end) = (entry.value.start as usize, entry.value.end as usize);
    let Some(written) = cursor.text.get(start..end).filter(|text| text.len() <= MAX_TEXT) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (at, _) in written.to_ascii_lowercase().match_indices(&id.to_ascii_lowercase()) {
        let offset = start + at + id.len();
        let expression = expression::around(cursor.text, entry.value, offset, is_condition);
        let Some(expression) = expression else { continue };
        let Some(chain) = expression::chain(cursor.text, expression, offset) else { continue };
        let Some(last) = chain.last().filter(|last| last.text.eq_ignore_ascii_case(id)) else { continue };
        let is_meant =
            matches!(chain.before(), [context] if contexts.contains(&&*context.text.to_lowercase()));
        if is_meant {
            found.push(last.span);
        }
    }
    found
}

/// Whether a text may be the id of a job or a step.
pub(crate) fn is_id(text: &str) -> bool {
    let starts = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    let rest = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    starts && rest && text.len() <= 100 && !text.starts_with("__")
}

/// Whether another job, or another step of the same job, has the id.
pub(crate) fn is_taken(cursor: &Cursor<'_>, named: &Named, id: &str) -> bool {
    let outline = &cursor.outline;
    match named {
        Named::Job(key) => outline.find(outline.entry(*key).parent, id).is_some_and(|other| other != *key),
        Named::Step { id: own, owner } => {
            let steps = outline.find(Some(*owner), "steps");
            let ids = steps.into_iter().flat_map(|steps| outline.items(steps));
            let ids = ids.filter_map(|item| outline.find(Some(item), "id"));
            let mut others = ids.filter(|other| other != own);
            others.any(|other| {
                outline.value(other, cursor.text).is_some_and(|text| text.eq_ignore_ascii_case(id))
            })
        }
    }
}

#[cfg(test)]
mod tests;
