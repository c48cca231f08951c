//! Keys: those of the schema, the inputs of actions and workflows, and the secrets of workflows.

use lsp_types::CompletionItemKind;
use workflow::lint::known_actions;
use workflow::model::InputType;
use workflow::schema::{Place, Shape};

use super::Proposal;
use crate::cursor::Cursor;
use crate::references::{self, Group};
use crate::repository::Repository;

/// The keys that may be below `owner` and are not; `but` is the entry that is being written.
pub(super) fn of(
    cursor: &Cursor<'_>,
    owner: Option<usize>,
    but: Option<usize>,
    repository: Repository<'_>,
) -> Vec<Proposal> {
    let Some(place) = cursor.place(owner, but) else { return Vec::new() };
    let mut found = of_place(&place);
    if let Some(owner) = owner {
        found.extend(named_elsewhere(cursor, owner, repository));
    }
    let others = cursor.outline.children(owner).filter(|number| Some(*number) != but);
    let there: Vec<_> = others.filter_map(|number| cursor.outline.name(number)).collect();
    found.retain(|key| !there.iter().any(|name| name.eq_ignore_ascii_case(&key.label)));
    found
}

/// The keys of an item of a sequence that is still to be begun.
pub(super) fn of_item(cursor: &Cursor<'_>, owner: usize) -> Vec<Proposal> {
    let item = cursor.place(Some(owner), None).and_then(|place| place.item());
    item.map(|item| of_place(&item)).unwrap_or_default()
}

fn of_place(place: &Place) -> Vec<Proposal> {
    let keys = place.keys().into_iter().map(|key| {
        // Below a mapping or a sequence the next line begins as the editor indents it.
        let space = if key.shape == Shape::Scalar { " " } else { "" };
        let proposal = Proposal::new(key.name, CompletionItemKind::PROPERTY);
        let proposal = proposal.documentation(key.description).insert(format!("{}:{space}", key.name));
        if key.required { proposal.detail("required") } else { proposal }
    });
    let mut keys: Vec<_> = keys.collect();
    keys.sort_by_key(|key| key.detail.is_none());
    keys
}

/// Names that another file gives: the inputs of an action, the inputs and secrets of a workflow.
fn named_elsewhere(cursor: &Cursor<'_>, owner: usize, repository: Repository<'_>) -> Vec<Proposal> {
    match references::used_by(cursor, owner) {
        Some((uses, Group::ActionInputs)) => inputs_of_action(uses, repository),
        Some((uses, Group::WorkflowInputs)) => inputs_of_workflow(uses, repository),
        Some((uses, Group::WorkflowSecrets)) => secrets_of_workflow(uses, repository),
        None => Vec::new(),
    }
}

fn named(name: &str, required: bool, detail: &str, description: Option<&str>) -> Proposal {
    let required = if required { "required" } else { "" };
    let separator = if required.is_empty() || detail.is_empty() { "" } else { ", " };
    Proposal::new(name, CompletionItemKind::PROPERTY)
        .insert(format!("{name}: "))
        .detail(format!("{required}{separator}{detail}"))
        .documentation(description.unwrap_or_default())
}

fn inputs_of_action(uses: &str, repository: Repository<'_>) -> Vec<Proposal> {
    let Some(action) = references::action(uses, repository) else { return inputs_of_known(uses) };
    let inputs = action.inputs.iter().map(|(name, input)| {
        let description = match (&input.deprecation_message, &input.description) {
            (Some(message), _) => Some(format!("Deprecated: {message}")),
            (None, description) => description.clone(),
        };
        named(name, input.required && input.default.is_none(), "", description.as_deref())
    });
    inputs.collect()
}

/// Inputs of a public action that many workflows use; those that its author advises against are last.
fn inputs_of_known(uses: &str) -> Vec<Proposal> {
    let mut inputs: Vec<_> =
        known_actions::find(uses, None).into_iter().flat_map(|action| action.inputs()).collect();
    inputs.sort_by_key(|input| input.deprecated);
    let inputs = inputs.into_iter().map(|input| {
        let detail = if input.deprecated { "deprecated" } else { "" };
        named(input.name, input.required, detail, None)
    });
    inputs.collect()
}

fn inputs_of_workflow(uses: &str, repository: Repository<'_>) -> Vec<Proposal> {
    let Some(workflow) = references::workflow(uses, repository) else { return Vec::new() };
    let Some(call) = references::call(&workflow) else { return Vec::new() };
    let inputs = call.call_inputs.iter().map(|(name, input)| {
        named(name, input.required, type_name(input.kind), input.description.as_deref())
    });
    inputs.collect()
}

fn secrets_of_workflow(uses: &str, repository: Repository<'_>) -> Vec<Proposal> {
    let Some(workflow) = references::workflow(uses, repository) else { return Vec::new() };
    let Some(call) = references::call(&workflow) else { return Vec::new() };
    let secrets = call
        .call_secrets
        .iter()
        .map(|(name, secret)| named(name, secret.required, "secret", secret.description.as_deref()));
    secrets.collect()
}

/// A type of inputs as it is written.
pub(crate) fn type_name(kind: InputType) -> &'static str {
    match kind {
        InputType::String => "string",
        InputType::Boolean => "boolean",
        InputType::Number => "number",
        InputType::Choice => "choice",
        InputType::Environment => "environment",
    }
}
