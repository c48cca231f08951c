//! What the events of a workflow mean for who can start it, and with what.

use crate::model::Workflow;
use crate::source::Span;

/// Events that strangers start, and whose workflows nevertheless have secrets and a token that may write.
const PRIVILEGED: [&str; 3] = ["pull_request_target", "workflow_run", "issue_comment"];

/// Events that strangers start.
const OPEN: [&str; 13] = [
    "pull_request",
    "pull_request_target",
    "pull_request_review",
    "pull_request_review_comment",
    "pull_request_comment",
    "issue_comment",
    "issues",
    "discussion",
    "discussion_comment",
    "workflow_run",
    "fork",
    "watch",
    "gollum",
];

/// The events of a workflow that strangers start and that have secrets, with their places.
pub(crate) fn privileged(workflow: &Workflow) -> impl Iterator<Item = (&str, Span)> {
    let events = workflow.on.events.iter();
    events
        .filter(|(name, _)| PRIVILEGED.contains(&name.as_str()))
        .map(|(name, event)| (name.as_str(), event.span))
}

/// The first event of a workflow that strangers start, with its place.
pub(crate) fn open(workflow: &Workflow) -> Option<(&str, Span)> {
    let mut events = workflow.on.events.iter();
    events.find(|(name, _)| OPEN.contains(&name.as_str())).map(|(name, event)| (name.as_str(), event.span))
}

/// Whether the workflow is only called by others.
pub(crate) fn is_only_called(workflow: &Workflow) -> bool {
    workflow.on.events.len() == 1 && workflow.on.events.contains_key("workflow_call")
}
