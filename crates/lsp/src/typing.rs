//! Types of expressions at a place.
//!
//! Types come from the model of the file, and the file is usually broken at the place. So the expression there is blanked,
//! then its line; as a last resort the document's last text that could be read tells the types.

use std::sync::Arc;

use workflow::lint::known_actions;
use workflow::model::{Step, Workflow};
use workflow::read::{ReadOptions, parse, parse_action};
use workflow::source::{SourceFile, Span};
use workflow::types::{ActionOutputs, FileTypes, KnownActions, Scope, Type};

use crate::cursor::Cursor;
use crate::expression::Name;
use crate::outline::Segment;
use crate::references;
use crate::repository::{Kind, Repository};

/// Names of one context that are looked for.
const MAX_NAMES: usize = 1000;
/// The secret that every run has.
const GIVEN_SECRET: &str = "GITHUB_TOKEN";

impl KnownActions for Repository<'_> {
    fn outputs(&self, uses: &str) -> Option<ActionOutputs> {
        let names = match references::action(uses, *self) {
            Some(action) => action.outputs.keys().map(|name| Arc::from(name.as_str())).collect(),
            None => known_actions::find(uses, None)?.outputs().map(Arc::from).collect(),
        };
        Some(ActionOutputs { names, is_complete: false })
    }
}

/// Texts that tell the model of the file around a place, the truest first.
fn readings(cursor: &Cursor<'_>, expression: Span, last_whole: Option<&str>) -> Vec<String> {
    let text = cursor.text;
    let blanked = |start: usize, end: usize| {
        let blank = |character: char| match character {
            '\n' | '\r' => character.to_string(),
            _ => " ".repeat(character.len_utf8()),
        };
        let middle: String = text[start..end].chars().map(blank).collect();
        [&text[..start], &middle, &text[end..]].concat()
    };
    let (start, end) = (expression.start as usize, expression.end as usize);
    // What is blanked is a number, so that an expression is still there.
    let mut without_expression = blanked(start, end);
    if start < end {
        without_expression.replace_range(start..start + 1, "0");
    }
    let line_start = text[..cursor.offset].rfind('\n').map_or(0, |at| at + 1);
    let line_end = text[cursor.offset..].find('\n').map_or(text.len(), |length| cursor.offset + length);
    let mut readings = vec![without_expression, blanked(line_start, line_end)];
    readings.extend(last_whole.map(str::to_owned));
    readings
}

/// The type of a context, or of properties behind it, at the place of an expression.
pub(crate) fn of(
    cursor: &Cursor<'_>,
    expression: Span,
    names: &[Name],
    last_whole: Option<&str>,
    repository: Repository<'_>,
) -> Option<Type> {
    let (context, properties) = names.split_first()?;
    readings(cursor, expression, last_whole).into_iter().find_map(|text| {
        let file = SourceFile::new("", text);
        in_scope(&file, cursor, repository, |scope| {
            let mut ty = scope.context_type(&context.text)?;
            for property in properties {
                ty = property_of(&ty, &property.text)?;
            }
            Some(ty)
        })
    })
}

fn property_of(ty: &Type, name: &str) -> Option<Type> {
    match ty {
        Type::Object(object) if name == "*" => {
            Some(Type::any_of(object.properties().map(|(_, ty)| ty.clone())))
        }
        Type::Object(object) => object.property(name),
        Type::Array(item) if name == "*" => Some(Type::clone(item)),
        Type::Filtered(item) => property_of(item, name),
        Type::Any => Some(Type::Any),
        _ => None,
    }
}

/// Looks at the types where the place is; `None` where the file has no model.
fn in_scope<R>(
    file: &SourceFile,
    cursor: &Cursor<'_>,
    repository: Repository<'_>,
    look: impl FnOnce(Scope<'_>) -> Option<R>,
) -> Option<R> {
    let options = ReadOptions { resolver: &repository, ..ReadOptions::default() };
    let path = cursor.owner().map(|owner| cursor.outline.path(owner)).unwrap_or_default();
    match cursor.kind {
        Kind::Workflow => {
            let workflow = parse(file, &options).value?;
            let types = FileTypes::of_workflow(&workflow, &repository);
            look(scope_of_workflow(&types, &workflow, &path)?)
        }
        Kind::Action => {
            let action = parse_action(file, &options).value?;
            let types = FileTypes::of_action(&action, &repository);
            match path[..] {
                [Segment::Key(_), Segment::Key(_), Segment::Item(step), ..] => {
                    look(types.action_step_scope(step))
                }
                _ => look(types.action_scope()),
            }
        }
    }
}

fn scope_of_workflow<'t>(
    types: &'t FileTypes<'t>,
    workflow: &Workflow,
    path: &[Segment],
) -> Option<Scope<'t>> {
    let [Segment::Key(jobs), Segment::Key(id), rest @ ..] = path else { return Some(types.scope()) };
    if jobs != "jobs" {
        return Some(types.scope());
    }
    let job = workflow.jobs.iter().position(|job| job.id.value.eq_ignore_ascii_case(id))?;
    let steps: &[Step] = match &workflow.jobs[job].kind {
        workflow::model::JobKind::Steps(steps) => &steps.steps,
        workflow::model::JobKind::Call(_) => &[],
    };
    match rest {
        [Segment::Key(key), Segment::Item(step), ..] if key == "steps" && *step < steps.len() => {
            Some(types.step_scope(job, *step))
        }
        _ => Some(types.job_scope(job)),
    }
}

/// Names that the file gives to contexts whose names types do not know: variables of the environment that are set around
/// the place, and secrets and configuration variables that are used elsewhere.
pub(crate) fn names_in_file(cursor: &Cursor<'_>, context: &str) -> Vec<String> {
    let mut names: Vec<String> = match context {
        "env" => environments(cursor),
        "secrets" => [vec![GIVEN_SECRET.to_owned()], used(cursor, context)].concat(),
        "vars" => used(cursor, context),
        _ => Vec::new(),
    };
    names.sort();
    names.dedup();
    names
}

/// The keys of `env` of what is around the place.
fn environments(cursor: &Cursor<'_>) -> Vec<String> {
    let outline = &cursor.outline;
    let mut names = Vec::new();
    let mut next = cursor.owner();
    loop {
        let parent = next.and_then(|number| outline.entry(number).parent);
        if let Some(env) = outline.find(parent, "env") {
            names.extend(outline.keys(Some(env)).map(str::to_owned));
        }
        if parent.is_none() {
            return names;
        }
        next = parent;
    }
}

/// The names behind `context.` in the text, but the one that is being written.
fn used(cursor: &Cursor<'_>, context: &str) -> Vec<String> {
    let text = cursor.text;
    let prefix = format!("{context}.");
    let uses = text.match_indices(&prefix).filter_map(|(at, _)| {
        let start = at + prefix.len();
        let is_name = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-');
        let name = &text[start
            ..start + text[start..].find(|character| !is_name(character)).unwrap_or(text.len() - start)];
        let is_here = start <= cursor.offset && cursor.offset <= start + name.len();
        (!name.is_empty() && !is_here).then(|| name.to_owned())
    });
    uses.take(MAX_NAMES).collect()
}
