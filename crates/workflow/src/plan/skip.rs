//! Which jobs of a plan are skipped whatever happens before them.
//!
//! A condition is tried with every status that the jobs before may leave; a job is sure to be skipped when it holds with
//! none. What depends on the results of other jobs, or cannot be evaluated here, is not sure.

use super::known::Known;
use crate::expr::{Expr, Function, HashFilesError, HostFunctions, JobStatus, Node, NodeKind, eval};
use crate::model::Job;

/// What a job needs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Needs<'a> {
    /// No job.
    Nothing,
    /// Jobs that may all run.
    Others,
    /// Jobs of which this one is sure to be skipped.
    Skipped(&'a str),
}

/// Why the job is sure to be skipped; none where it may run.
pub(super) fn reason(job: &Job, known: Known<'_>, needs: Needs<'_>) -> Option<String> {
    let statuses: &[JobStatus] = match needs {
        Needs::Nothing => &[JobStatus::Success, JobStatus::Cancelled],
        Needs::Others => &[JobStatus::Success, JobStatus::Failure, JobStatus::Cancelled, JobStatus::Skipped],
        Needs::Skipped(_) => &[JobStatus::Failure, JobStatus::Cancelled, JobStatus::Skipped],
    };
    if statuses.iter().any(|status| may_hold(&job.condition, known, *status)) {
        return None;
    }
    Some(match needs {
        Needs::Skipped(id) => format!("it needs `{id}`, which is skipped"),
        Needs::Nothing | Needs::Others => format!("its condition never holds: `{}`", written(&job.condition)),
    })
}

fn may_hold(condition: &Expr, known: Known<'_>, status: JobStatus) -> bool {
    // `success() && (…)` is false without a look at what follows.
    if status != JobStatus::Success && condition.root().is_some_and(is_of_success) {
        return false;
    }
    !known.has(condition)
        || eval(condition, known.contexts, &Status(status)).map_or(true, |value| value.is_truthy())
}

/// Whether the node is `success()`, or holds only when that does.
fn is_of_success(node: Node<'_>) -> bool {
    match node.kind() {
        NodeKind::Call(Function::Success, mut arguments) => arguments.next().is_none(),
        NodeKind::And(mut operands) => operands.any(is_of_success),
        _ => false,
    }
}

/// The condition as its author wrote it, without what completed it.
fn written(condition: &Expr) -> &str {
    let source = condition.source();
    source.strip_prefix("success() && (").and_then(|rest| rest.strip_suffix(')')).unwrap_or(source)
}

struct Status(JobStatus);

impl HostFunctions for Status {
    fn status(&self) -> Option<JobStatus> {
        Some(self.0)
    }

    fn hash_files(&self, _: &[String]) -> Result<String, HashFilesError> {
        Err(HashFilesError::Unavailable)
    }
}
