//! What a document refers to: actions and workflows of its repository.

use workflow::model::{Action, Trigger, Workflow};
use workflow::read::{ReadOptions, Strictness, parse, parse_action};
use workflow::resolve::{CallRules, WorkflowReference};
use workflow::source::SourceFile;

use crate::cursor::Cursor;
use crate::repository::Repository;

/// Names that an action's metadata may have.
pub(crate) const ACTION_FILES: [&str; 2] = ["action.yml", "action.yaml"];

/// The metadata of the action of the repository that a step uses, as a file.
pub(crate) fn action_file(uses: &str, repository: Repository<'_>) -> Option<SourceFile> {
    let folder = uses.strip_prefix("./")?.trim_end_matches('/');
    let name = |file: &str| if folder.is_empty() { file.to_owned() } else { format!("{folder}/{file}") };
    ACTION_FILES.iter().find_map(|file| repository.read(&name(file)))
}

/// The metadata of the action of the repository that a step uses.
pub(crate) fn action(uses: &str, repository: Repository<'_>) -> Option<Action> {
    let file = action_file(uses, repository)?;
    let options = ReadOptions { strictness: Strictness::Runner, ..ReadOptions::default() };
    parse_action(&file, &options).value
}

/// The workflow of the repository that a job calls, as a file.
pub(crate) fn workflow_file(uses: &str, repository: Repository<'_>) -> Option<SourceFile> {
    let reference = WorkflowReference::parse(uses, None, CallRules::GitHub).ok()?;
    if reference.repository.is_some() { None } else { repository.read(&reference.path) }
}

/// The workflow of the repository that a job calls; workflows that it calls itself are not read.
pub(crate) fn workflow(uses: &str, repository: Repository<'_>) -> Option<Workflow> {
    parse(&workflow_file(uses, repository)?, &ReadOptions::default()).value
}

/// What a workflow says of being called.
pub(crate) fn call(workflow: &Workflow) -> Option<&Trigger> {
    workflow.on.events.get("workflow_call")
}

/// What a mapping gives to what a step or a job uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    ActionInputs,
    WorkflowInputs,
    WorkflowSecrets,
}

/// What is used by the step or the job whose `with` or `secrets` the entry `mapping` is.
pub(crate) fn used_by<'t>(cursor: &Cursor<'t>, mapping: usize) -> Option<(&'t str, Group)> {
    let keys = cursor.keys_to(Some(mapping));
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let group = match keys[..] {
        ["jobs", _, "with"] => Group::WorkflowInputs,
        ["jobs", _, "secrets"] => Group::WorkflowSecrets,
        [.., "steps", "*", "with"] => Group::ActionInputs,
        _ => return None,
    };
    let uses = cursor.outline.find(cursor.outline.entry(mapping).parent, "uses")?;
    Some((cursor.outline.value(uses, cursor.text)?, group))
}
