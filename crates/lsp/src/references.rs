//! What a document refers to: actions and workflows of its repository.

use workflow::model::{Action, Trigger, Workflow};
use workflow::read::{ReadOptions, Strictness, parse, parse_action};
use workflow::resolve::{CallRules, WorkflowReference};
use workflow::source::SourceFile;

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
