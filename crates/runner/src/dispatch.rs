//! The runner's only way to the control plane.

use async_trait::async_trait;
use run::event::Reported;
use run::id::{LeaseId, RunnerId};
use run::lease::{Cancel, Lease};

/// What a runner can take.
#[derive(Clone, Debug)]
pub struct LeaseRequest {
    /// Who asks.
    pub runner: RunnerId,
    /// The labels that it serves, in lower case; `*` serves every job.
    pub labels: Vec<String>,
}

/// The control plane, as a runner sees it.
#[async_trait]
pub trait Dispatch: Send + Sync {
    /// Waits for a job that fits and holds it for the caller. `None` when there will never be one again.
    ///
    /// # Errors
    /// When the control plane cannot be reached or refuses the runner.
    async fn lease(&self, request: &LeaseRequest) -> Result<Option<Lease>, DispatchError>;

    /// Appends events of a held job. `first` numbers the first of `events` among all that were reported under this
    /// lease, from 0: what was taken before is skipped, so that a repeated call does no harm. Returns when they are
    /// kept. Waits while the control plane has too much to do.
    ///
    /// # Errors
    /// When the lease is over, or the control plane cannot be reached.
    async fn report(&self, lease: &LeaseId, first: u64, events: Vec<Reported>) -> Result<(), DispatchError>;

    /// Waits until the job must end at least as hard as `beyond` was not yet: `None` waits for any request.
    async fn cancelled(&self, lease: &LeaseId, beyond: Option<Cancel>) -> Cancel;
}

/// Why the control plane did not do what a runner asked.
#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    /// Another runner holds the job, or the run is over.
    #[error("lease `{0}` is over")]
    LeaseOver(LeaseId),
    /// No answer.
    #[error("cannot {operation} at the control plane")]
    Unreachable {
        /// What was asked for.
        operation: &'static str,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
