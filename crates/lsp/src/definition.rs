//! Where what a place names is written: jobs, steps, inputs, outputs, variables, actions and workflows.

use workflow::source::{SourceFile, Span};

use crate::cursor::{Cursor, Spot};
use crate::expression::{self, Chain};
use crate::outline::{Kind, Outline, Segment, unquoted};
use crate::references::{self, Group};
use crate::repository::{self, Repository};

/// A place in the document, or in a file of the repository.
#[derive(Debug)]
pub(crate) enum Target {
    Here(Span),
    File(SourceFile, Span),
}

/// Where what stands at the place is written, and the word that names it.
pub(crate) fn at(cursor: &Cursor<'_>, repository: Repository<'_>) -> Option<(Span, Target)> {
    if let Some(expression) = cursor.expression() {
        let chain = expression::chain(cursor.text, expression, cursor.offset)?;
        let target = of_chain(cursor, &chain, repository)?;
        return Some((chain.last()?.span, target));
    }
    match cursor.spot? {
        Spot::Key { number, word } => Some((word, of_key(cursor, number, repository)?)),
        Spot::Value { owner, word } | Spot::FlowItem { owner, word } => {
            Some((word, of_value(cursor, owner, word, repository)?))
        }
        Spot::Below { owner: Some(owner), word } => Some((word, of_value(cursor, owner, word, repository)?)),
        Spot::Below { owner: None, .. } | Spot::NewKey { .. } | Spot::Script { .. } => None,
    }
}

/// The key of the job that a place is in.
pub(crate) fn job_of(cursor: &Cursor<'_>) -> Option<usize> {
    let path = cursor.outline.path(cursor.owner()?);
    match &path[..] {
        [Segment::Key(jobs), Segment::Key(id), ..] if jobs == "jobs" => {
            cursor.outline.find(cursor.outline.at(&["jobs"]), id)
        }
        _ => None,
    }
}

/// The value of the `id` of a step of the same job or action.
pub(crate) fn step(cursor: &Cursor<'_>, id: &str) -> Option<usize> {
    let outline = &cursor.outline;
    let parent = match cursor.kind {
        repository::Kind::Workflow => job_of(cursor)?,
        repository::Kind::Action => outline.at(&["runs"])?,
    };
    let steps = outline.find(Some(parent), "steps")?;
    outline.items(steps).find_map(|item| {
        let key = outline.find(Some(item), "id")?;
        outline.value(key, cursor.text).is_some_and(|text| text.eq_ignore_ascii_case(id)).then_some(key)
    })
}

fn of_chain(cursor: &Cursor<'_>, chain: &Chain, repository: Repository<'_>) -> Option<Target> {
    let outline = &cursor.outline;
    let names: Vec<&str> = chain.names.iter().map(|name| name.text.as_str()).collect();
    let context = names.first()?.to_lowercase();
    let key = match (context.as_str(), &names[1..]) {
        ("needs" | "jobs", [job]) => outline.find(outline.at(&["jobs"]), job)?,
        ("needs" | "jobs", [job, outputs, name]) if *outputs == "outputs" => {
            outline.at(&["jobs", job, "outputs", name])?
        }
        ("steps", [id]) => return Some(Target::Here(outline.entry(step(cursor, id)?).value)),
        ("steps", [id, outputs, name]) if *outputs == "outputs" => {
            return output_of_step(cursor, id, name, repository);
        }
        ("inputs", [name]) => input(cursor, name)?,
        ("secrets", [name]) => outline.at(&["on", "workflow_call", "secrets", name])?,
        ("matrix", [name, ..]) => matrix(cursor, name)?,
        ("env", [name]) => variable(cursor, name)?,
        _ => return None,
    };
    Some(Target::Here(outline.entry(key).mark))
}

/// What a step's action says of an output, otherwise the step.
fn output_of_step(cursor: &Cursor<'_>, id: &str, name: &str, repository: Repository<'_>) -> Option<Target> {
    let outline = &cursor.outline;
    let id = step(cursor, id)?;
    let uses =
        outline.find(outline.entry(id).parent, "uses").and_then(|uses| outline.value(uses, cursor.text));
    let file = uses.and_then(|uses| references::action_file(uses, repository));
    if let Some(file) = file
        && let Some(span) = key_in(&file, &["outputs", name])
    {
        return Some(Target::File(file, span));
    }
    Some(Target::Here(outline.entry(id).value))
}

fn input(cursor: &Cursor<'_>, name: &str) -> Option<usize> {
    let outline = &cursor.outline;
    match cursor.kind {
        repository::Kind::Action => outline.at(&["inputs", name]),
        repository::Kind::Workflow => {
            let events = ["workflow_dispatch", "workflow_call"];
            events.into_iter().find_map(|event| outline.at(&["on", event, "inputs", name]))
        }
    }
}

/// A key of the matrix, or the first leg that is added with it.
fn matrix(cursor: &Cursor<'_>, name: &str) -> Option<usize> {
    let outline = &cursor.outline;
    let matrix = outline.find(outline.find(Some(job_of(cursor)?), "strategy"), "matrix")?;
    outline.find(Some(matrix), name).or_else(|| {
        let include = outline.find(Some(matrix), "include")?;
        outline.items(include).find_map(|item| outline.find(Some(item), name))
    })
}

/// The innermost `env` around the place that has the variable.
fn variable(cursor: &Cursor<'_>, name: &str) -> Option<usize> {
    let mut next = cursor.owner();
    loop {
        let parent = next.and_then(|number| cursor.outline.entry(number).parent);
        let env = cursor.outline.find(parent, "env");
        if let Some(found) = env.and_then(|env| cursor.outline.find(Some(env), name)) {
            return Some(found);
        }
        parent?;
        next = parent;
    }
}

fn of_key(cursor: &Cursor<'_>, number: usize, repository: Repository<'_>) -> Option<Target> {
    let name = cursor.outline.name(number)?;
    let (uses, group) = references::used_by(cursor, cursor.outline.entry(number).parent?)?;
    let (file, path) = match group {
        Group::ActionInputs => (references::action_file(uses, repository)?, vec!["inputs", name]),
        Group::WorkflowInputs => {
            (references::workflow_file(uses, repository)?, vec!["on", "workflow_call", "inputs", name])
        }
        Group::WorkflowSecrets => {
            (references::workflow_file(uses, repository)?, vec!["on", "workflow_call", "secrets", name])
        }
    };
    let span = key_in(&file, &path)?;
    Some(Target::File(file, span))
}

/// The key behind a path of keys in another file.
fn key_in(file: &SourceFile, path: &[&str]) -> Option<Span> {
    let outline = Outline::of(file.text());
    outline.at(path).map(|number| outline.entry(number).mark)
}

fn of_value(cursor: &Cursor<'_>, owner: usize, word: Span, repository: Repository<'_>) -> Option<Target> {
    let text = unquoted(cursor.text.get(word.start as usize..word.end as usize)?);
    let is_item = cursor.outline.entry(owner).kind == Kind::Item;
    let key = if is_item { cursor.outline.entry(owner).parent? } else { owner };
    let keys = cursor.keys_to(Some(key));
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let beginning = Span::new(0, 0);
    match keys[..] {
        ["jobs", _, "needs"] => {
            let job = cursor.outline.find(cursor.outline.at(&["jobs"]), text)?;
            Some(Target::Here(cursor.outline.entry(job).mark))
        }
        ["jobs", _, "uses"] => Some(Target::File(references::workflow_file(text, repository)?, beginning)),
        [.., "steps", "*", "uses"] => {
            Some(Target::File(references::action_file(text, repository)?, beginning))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
