//! The loop of a runner: leases jobs while it has room, and runs them beside each other.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::dispatch::{Dispatch, DispatchError, LeaseRequest};
use crate::job;
use crate::options::Options;

/// Runs jobs until there will never be one again. Dropping the future ends all jobs at once.
///
/// # Errors
/// When the control plane cannot be reached or refuses the runner; jobs that run then are brought to their end first.
pub async fn serve(dispatch: Arc<dyn Dispatch>, options: Arc<Options>) -> Result<(), DispatchError> {
    let slots = Arc::new(Semaphore::new(options.capacity.max(1)));
    let request = LeaseRequest { runner: options.runner.clone(), labels: options.labels.clone() };
    let mut jobs = JoinSet::new();
    let result = loop {
        let slot = Arc::clone(&slots).acquire_owned().await.expect("the slots are never closed");
        while jobs.try_join_next().is_some() {}
        let lease = match dispatch.lease(&request).await {
            Ok(Some(lease)) => lease,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        };
        let (dispatch, options) = (Arc::clone(&dispatch), Arc::clone(&options));
        jobs.spawn(async move {
            job::execute(dispatch, options, lease).await;
            drop(slot);
        });
    };
    while let Some(ended) = jobs.join_next().await {
        ended.expect("a job does not panic");
    }
    result
}
