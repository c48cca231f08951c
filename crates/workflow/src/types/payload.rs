//! The type of `github.event`: the payloads of the events that start a workflow.

use super::ty::Type;
use crate::model::Triggers;

/// The type of `github.event` in a workflow that these events start.
pub(super) fn event(_on: &Triggers) -> Type {
    Type::loose::<&str>([])
}
