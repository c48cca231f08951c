//! What stands at a place, in words.

use workflow::expr::Function;
use workflow::model::InputType;
use workflow::source::Span;

use crate::completion::type_name;
use crate::cursor::{Cursor, Spot};
use crate::expression::{self, Chain};
use crate::repository::Repository;
use crate::{references, typing, words};

/// Words in Markdown, and what they are about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) span: Span,
    pub(crate) text: String,
}

/// The words about a place.
pub(crate) fn at(cursor: &Cursor<'_>, last_whole: Option<&str>, repository: Repository<'_>) -> Option<Words> {
    let (span, text) = if let Some(expression) = cursor.expression() {
        let chain = expression::chain(cursor.text, expression, cursor.offset)?;
        let span = chain.last()?.span;
        (span, of_expression(cursor, expression, &chain, last_whole, repository)?)
    } else {
        match cursor.spot? {
            Spot::Key { number, word } => (word, of_key(cursor, number, repository)?),
            Spot::Value { owner, word } | Spot::FlowItem { owner, word } => {
                (word, of_value(cursor, owner, word, repository)?)
            }
            Spot::Below { owner: Some(owner), word } => (word, of_value(cursor, owner, word, repository)?),
            Spot::Below { owner: None, .. } | Spot::NewKey { .. } | Spot::Script { .. } => return None,
        }
    };
    let has_words = span.start < span.end && !text.trim().is_empty();
    has_words.then_some(Words { span, text })
}

fn of_expression(
    cursor: &Cursor<'_>,
    expression: Span,
    chain: &Chain,
    last_whole: Option<&str>,
    repository: Repository<'_>,
) -> Option<String> {
    let name = &chain.last()?.text;
    if chain.is_call {
        let function = Function::all().find(|function| function.name().eq_ignore_ascii_case(name))?;
        let words = words::of_function(function);
        return Some(format!("```text\n{}\n```\n\n{}", words.signature, words.summary));
    }
    let ty = typing::of(cursor, expression, &chain.names, last_whole, repository)?;
    let path: Vec<&str> = chain.names.iter().map(|name| name.text.as_str()).collect();
    let summary = match path[..] {
        [context] => words::of_context(&context.to_lowercase()),
        _ => "",
    };
    Some(format!("```text\n{}: {ty}\n```\n\n{summary}", path.join(".")))
}

fn of_key(cursor: &Cursor<'_>, number: usize, repository: Repository<'_>) -> Option<String> {
    let name = cursor.outline.name(number)?;
    if let Some(words) = of_input(cursor, number, name, repository) {
        return Some(words);
    }
    let place = cursor.place(cursor.outline.entry(number).parent, Some(number))?;
    if let Some(key) = place.keys().into_iter().find(|key| key.name == name) {
        return Some(key.description.to_owned());
    }
    cursor.place(Some(number), None).map(|place| place.description().to_owned())
}

/// A key under `with` or `secrets`, as the called file describes it.
fn of_input(cursor: &Cursor<'_>, number: usize, name: &str, repository: Repository<'_>) -> Option<String> {
    let (uses, group) = references::used_by(cursor, cursor.outline.entry(number).parent?)?;
    let told = |kind: &str, required: bool, default: Option<String>, description: &Option<String>| {
        let required = if required { ", required" } else { "" };
        let default = default.map(|text| format!(", default `{text}`")).unwrap_or_default();
        format!("`{name}`: {kind}{required}{default}\n\n{}", description.as_deref().unwrap_or_default())
    };
    match group {
        references::Group::ActionInputs => {
            let action = references::action(uses, repository)?;
            let (_, input) = action.inputs.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
            let default = input.default.as_ref().and_then(|default| default.as_str()).map(str::to_owned);
            let words = told("input", input.required, default, &input.description);
            let deprecated = input.deprecation_message.as_ref().map(|text| format!("\n\nDeprecated: {text}"));
            Some(words + &deprecated.unwrap_or_default())
        }
        references::Group::WorkflowInputs => {
            let workflow = references::workflow(uses, repository)?;
            let inputs = &references::call(&workflow)?.call_inputs;
            let (_, input) = inputs.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
            let default = input.default.as_ref().and_then(|default| default.as_str()).map(str::to_owned);
            let kind: InputType = input.kind;
            Some(told(type_name(kind), input.required, default, &input.description))
        }
        references::Group::WorkflowSecrets => {
            let workflow = references::workflow(uses, repository)?;
            let secrets = &references::call(&workflow)?.call_secrets;
            let (_, secret) = secrets.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
            Some(told("secret", secret.required, None, &secret.description))
        }
    }
}

fn of_value(cursor: &Cursor<'_>, owner: usize, word: Span, repository: Repository<'_>) -> Option<String> {
    let written = cursor.text.get(word.start as usize..word.end as usize)?;
    let text = crate::outline::unquoted(written);
    // Of an item the key above tells what it is.
    let is_item = cursor.outline.entry(owner).kind == crate::outline::Kind::Item;
    let key = if is_item { cursor.outline.entry(owner).parent? } else { owner };
    let keys = cursor.keys_to(Some(key));
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    match keys[..] {
        ["jobs", _, "needs"] => of_job(cursor, text),
        ["jobs", _, "uses"] => {
            let workflow = references::workflow(text, repository)?;
            Some(format!("**{}**\n\n`{}`", workflow.name?.value, workflow.file))
        }
        [.., "steps", "*", "uses"] => {
            let action = references::action(text, repository)?;
            let name = action.name.unwrap_or_else(|| text.to_owned());
            Some(format!("**{name}**\n\n{}", action.description.unwrap_or_default()))
        }
        _ => {
            let places =
                [cursor.place(Some(key), None), cursor.place(Some(key), None).and_then(|place| place.item())];
            let values = places.into_iter().flatten().flat_map(|place| place.values());
            let mut known = values.filter(|value| value.text == text);
            known.next().map(|value| value.description.to_owned())
        }
    }
}

fn of_job(cursor: &Cursor<'_>, id: &str) -> Option<String> {
    let job = cursor.outline.find(cursor.outline.at(&["jobs"]), id)?;
    let value = |key: &str| {
        let number = cursor.outline.find(Some(job), key)?;
        let span = cursor.outline.entry(number).value;
        cursor.text.get(span.start as usize..span.end as usize).filter(|text| !text.is_empty())
    };
    let name = value("name").map(|name| format!(" ({name})")).unwrap_or_default();
    let runs_on = value("runs-on").map(|labels| format!("\n\nruns on `{labels}`")).unwrap_or_default();
    Some(format!("Job `{id}`{name}{runs_on}"))
}

#[cfg(test)]
mod tests;
