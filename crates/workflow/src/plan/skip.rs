//! Which jobs of a plan are skipped whatever happens before them.
//!
//! A condition is tried with every status that the jobs before may leave; a job is sure to be skipped when it holds with
//! none. What depends on the results of other jobs, or cannot be evaluated here, is not sure.

use indexmap::IndexMap;

use super::PlannedWorkflow;
use super::known::Known;
use crate::expr::{Expr, Function, HashFilesError, HostFunctions, JobStatus, Node, NodeKind, eval};
use crate::model::Job;

/// Why the job is sure to be skipped; none where it may run. `skipped` are the jobs, by id, that are known to be.
pub(super) fn reason(
    planned: &PlannedWorkflow,
    job: &Job,
    known: Known<'_>,
    skipped: &IndexMap<&str, String>,
) -> Option<String> {
    let ancestors = planned.ancestors(job);
    let lost = ancestors.iter().copied().find(|id| skipped.contains_key(id));
    let statuses: &[JobStatus] = match (ancestors.is_empty(), lost) {
        (true, _) => &[JobStatus::Success, JobStatus::Cancelled],
        (false, None) => &[JobStatus::Success, JobStatus::Failure, JobStatus::Cancelled, JobStatus::Skipped],
        (false, Some(_)) => &[JobStatus::Failure, JobStatus::Cancelled, JobStatus::Skipped],
    };
    if statuses.iter().any(|status| may_hold(&job.condition, known, *status)) {
        return None;
    }
    let direct = job.needs.iter().map(|need| need.value.as_str()).find(|id| skipped.contains_key(id));
    Some(match direct.or(lost) {
        Some(id) => format!("it needs `{id}`, which is skipped"),
        None => format!("its condition never holds: `{}`", written(&job.condition)),
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
