//! The loop of a runner: leases jobs while it has room, and runs them beside each other.

use std::collections::VecDeque;
use std::sync::Arc;

use run::id::RunId;
use run::lease::Lease;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::dispatch::{Dispatch, DispatchError, LeaseRequest};
use crate::job::{self, FoundTree};
use crate::options::Options;
use crate::sink::with_sources;
use crate::workspace::Tree;

/// How many runs' working trees are remembered.
const MAX_TREES: usize = 16;

/// Runs jobs until there will never be one again. Dropping the future ends all jobs at once.
///
/// # Errors
/// When the control plane cannot be reached or refuses the runner; jobs that run then are brought to their end first.
pub async fn serve(dispatch: Arc<dyn Dispatch>, options: Arc<Options>) -> Result<(), DispatchError> {
    let slots = Arc::new(Semaphore::new(options.capacity.max(1)));
    let request = LeaseRequest { runner: options.runner.clone(), labels: options.labels.clone() };
    let mut jobs = JoinSet::new();
    let mut trees = Trees::default();
    let result = loop {
        let slot = Arc::clone(&slots).acquire_owned().await.expect("the slots are never closed");
        while jobs.try_join_next().is_some() {}
        let lease = match dispatch.lease(&request).await {
            Ok(Some(lease)) => lease,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        };
        let tree = trees.of(&lease, &options).await;
        let (dispatch, options) = (Arc::clone(&dispatch), Arc::clone(&options));
        jobs.spawn(async move {
            job::execute(dispatch, options, tree, lease).await;
            drop(slot);
        });
    };
    while let Some(ended) = jobs.join_next().await {
        ended.expect("a job does not panic");
    }
    result
}

/// The working trees of the last runs.
#[derive(Default)]
struct Trees {
    known: VecDeque<(RunId, FoundTree)>,
}

impl Trees {
    async fn of(&mut self, lease: &Lease, options: &Options) -> FoundTree {
        if let Some((_, tree)) = self.known.iter().find(|(run, _)| *run == lease.spec.run) {
            return tree.clone();
        }
        let tree = Tree::read(options.root.clone()).await;
        let tree = tree.map(Arc::new).map_err(|error| with_sources(&error));
        if self.known.len() == MAX_TREES {
            self.known.pop_front();
        }
        self.known.push_back((lease.spec.run.clone(), tree.clone()));
        tree
    }
}
