//! The jobs of all runs that wait for a runner: an index in memory of what the store's queue keeps.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use run::id::{JobId, RunId};
use tokio::sync::Notify;

use crate::labels::Labels;

/// A job that no runner of this control plane serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unserved {
    /// The run.
    pub run: RunId,
    /// The job.
    pub job: JobId,
    /// Its labels.
    pub labels: Vec<String>,
}

/// A job that waits for a runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) run: RunId,
    pub(crate) job: JobId,
    pub(crate) labels: Vec<String>,
}

/// The jobs in the order in which they are to be served.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    jobs: Mutex<VecDeque<Waiting>>,
    pub(crate) changed: Notify,
}

/// A job that somebody is about to lease. It goes back to its place if it is dropped before it is settled.
#[derive(Debug)]
pub(crate) struct Candidate {
    queue: Arc<Queue>,
    waiting: Option<Waiting>,
}

impl Queue {
    fn jobs(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, waiting: impl IntoIterator<Item = Waiting>) {
        self.jobs().extend(waiting);
        self.changed.notify_waiters();
    }

    pub(crate) fn remove(&self, run: &RunId, job: &JobId) {
        self.jobs().retain(|waiting| waiting.run != *run || waiting.job != *job);
    }

    /// Forgets all jobs of a run.
    pub(crate) fn forget(&self, run: &RunId) {
        self.jobs().retain(|waiting| waiting.run != *run);
    }

    /// Takes out the first job that these labels serve.
    pub(crate) fn take(self: &Arc<Self>, labels: &Labels) -> Option<Candidate> {
        let mut jobs = self.jobs();
        let place = jobs.iter().position(|waiting| labels.serve(&waiting.labels))?;
        let waiting = jobs.remove(place);
        Some(Candidate { queue: self.clone(), waiting })
    }
}

impl Candidate {
    pub(crate) fn job(&self) -> &Waiting {
        self.waiting.as_ref().expect("a candidate has its job until it is settled")
    }

    /// The job does not wait any more.
    pub(crate) fn settle(mut self) {
        self.waiting = None;
    }
}

impl Drop for Candidate {
    fn drop(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            self.queue.jobs().push_front(waiting);
            self.queue.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Queue, Waiting};
    use crate::labels::Labels;

    fn waiting(job: &str, label: &str) -> Waiting {
        Waiting { run: "r".into(), job: job.into(), labels: vec![label.into()] }
    }

    #[test]
    fn the_first_job_that_fits_is_taken_and_comes_back_to_its_place() {
        let queue = Arc::new(Queue::default());
        queue.add([waiting("a", "mac"), waiting("b", "linux"), waiting("c", "linux")]);
        let linux = Labels::new(["linux"]);
        let job = |queue: &Arc<Queue>| queue.take(&linux).map(|candidate| candidate.job().job.to_string());
        assert_eq!(job(&queue).as_deref(), Some("b"));
        queue.take(&linux).expect("`b` is back").settle();
        assert_eq!(job(&queue).as_deref(), Some("c"));
        queue.remove(&"r".into(), &"c".into());
        assert_eq!(job(&queue), None);
        queue.forget(&"r".into());
        assert!(queue.take(&Labels::new(["*"])).is_none());
    }
}
