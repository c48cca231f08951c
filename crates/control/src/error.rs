//! Why the control plane did not do what it was asked for.

use std::sync::Arc;

use run::id::{LeaseId, RunId};
use store::StoreError;

/// A run was not made.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// There is no room for another run that has not ended.
    #[error("cannot start the run: {limit} runs have not ended yet")]
    TooMany {
        /// How many there may be.
        limit: usize,
    },
    /// The control plane takes no more runs.
    #[error("cannot start the run: no more runs are taken")]
    Draining,
    /// The plan cannot be written down.
    #[error("cannot start the run: its plan cannot be written down")]
    Encode(#[source] serde_json::Error),
    /// The run cannot be kept.
    #[error("cannot start the run")]
    Store(#[source] Arc<StoreError>),
}

/// No job was leased.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The lease cannot be kept.
    #[error("cannot lease a job of run `{run}`")]
    Store {
        /// The run.
        run: RunId,
        /// Why not.
        #[source]
        source: Arc<StoreError>,
    },
}

/// Reports were not taken.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// Another runner holds the job, or it or the run is over.
    #[error("lease `{0}` is over")]
    LeaseOver(LeaseId),
    /// Events before these have not been reported.
    #[error(
        "cannot take events from {first} on under the lease `{lease}`: only {taken} were reported before"
    )]
    Gap {
        /// The lease.
        lease: LeaseId,
        /// How many events there are so far.
        taken: u64,
        /// The number of the first event of the report.
        first: u64,
    },
    /// They cannot be kept.
    #[error("cannot keep what was reported under the lease `{lease}`")]
    Store {
        /// The lease.
        lease: LeaseId,
        /// Why not.
        #[source]
        source: Arc<StoreError>,
    },
}

/// A run was not cancelled.
#[derive(Debug, thiserror::Error)]
pub enum CancelError {
    /// It has ended, or this control plane does not own it.
    #[error("cannot cancel the run `{0}`: it is not running here")]
    NotRunning(RunId),
    /// The request cannot be kept.
    #[error("cannot cancel the run `{run}`")]
    Store {
        /// The run.
        run: RunId,
        /// Why not.
        #[source]
        source: Arc<StoreError>,
    },
}

/// A run cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// There is no such run.
    #[error("there is no run `{0}`")]
    Unknown(RunId),
    /// Its events cannot be read.
    #[error("cannot read the events of the run `{run}`")]
    Store {
        /// The run.
        run: RunId,
        /// Why not.
        #[source]
        source: StoreError,
    },
}
