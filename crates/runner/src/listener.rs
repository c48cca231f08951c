//! The loop of a runner: leases jobs while it has room, and runs them beside each other.

use std::sync::Arc;

use run::lease::Lease;
use tokio::task::{JoinError, JoinSet};

use crate::dispatch::{Dispatch, DispatchError, LeaseRequest};
use crate::job;
use crate::options::Options;

/// Runs jobs until there will never be one again. Dropping the future ends all jobs at once.
///
/// # Errors
/// When the control plane cannot be reached, also by a job's reports, or refuses the runner; jobs that run then are
/// brought to their end first.
pub async fn serve(dispatch: Arc<dyn Dispatch>, options: Arc<Options>) -> Result<(), DispatchError> {
    let capacity = options.capacity.max(1);
    let request = LeaseRequest { runner: options.runner.clone(), labels: options.labels.clone() };
    let mut jobs = JoinSet::new();
    let result = loop {
        let lease = match next_lease(dispatch.as_ref(), &request, &mut jobs, capacity).await {
            Ok(Some(lease)) => lease,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        };
        jobs.spawn(job::execute(Arc::clone(&dispatch), Arc::clone(&options), lease));
    };
    let mut reports = Ok(());
    while let Some(ended) = jobs.join_next().await {
        reports = reports.and(reported(ended));
    }
    result.and(reports)
}

/// Waits for room and then for a job, as long as the control plane takes what the jobs that run report.
async fn next_lease(
    dispatch: &dyn Dispatch,
    request: &LeaseRequest,
    jobs: &mut JoinSet<Result<(), DispatchError>>,
    capacity: usize,
) -> Result<Option<Lease>, DispatchError> {
    while jobs.len() >= capacity {
        let ended = jobs.join_next().await.expect("there are jobs");
        reported(ended)?;
    }
    let mut leasing = dispatch.lease(request);
    loop {
        tokio::select! {
            biased;
            Some(ended) = jobs.join_next() => reported(ended)?,
            lease = &mut leasing => return lease,
        }
    }
}

/// Whether a job could report to its end. One whose lease was over had no more to say, and the next may fare better.
fn reported(ended: Result<Result<(), DispatchError>, JoinError>) -> Result<(), DispatchError> {
    match ended.expect("what watches over a job does not panic") {
        Err(DispatchError::LeaseOver(_)) => Ok(()),
        result => result,
    }
}
