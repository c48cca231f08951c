//! The control plane of this process, as its runner sees it.

use async_trait::async_trait;
use control::{Control, Labels, LeaseError, ReportError};
use run::event::Reported;
use run::id::LeaseId;
use run::lease::{Cancel, Lease};
use runner::dispatch::{Dispatch, DispatchError, LeaseRequest};

/// Hands the runner's requests to the control plane in the same process.
#[derive(Debug)]
pub(super) struct InProcess(pub(super) Control);

#[async_trait]
impl Dispatch for InProcess {
    async fn lease(&self, request: &LeaseRequest) -> Result<Option<Lease>, DispatchError> {
        let labels = Labels::new(&request.labels);
        let request = control::LeaseRequest { runner: request.runner.clone(), labels };
        self.0.lease(&request).await.map_err(|error: LeaseError| unreachable_for("lease a job", error))
    }

    async fn report(&self, lease: &LeaseId, first: u64, events: Vec<Reported>) -> Result<(), DispatchError> {
        self.0.report(lease, first, events).await.map_err(|error| match error {
            ReportError::LeaseOver(lease) => DispatchError::LeaseOver(lease),
            other => unreachable_for("report what happened", other),
        })
    }

    async fn cancelled(&self, lease: &LeaseId, beyond: Option<Cancel>) -> Cancel {
        self.0.cancelled(lease, beyond).await
    }
}

fn unreachable_for(
    operation: &'static str,
    error: impl std::error::Error + Send + Sync + 'static,
) -> DispatchError {
    DispatchError::Unreachable { operation, source: Box::new(error) }
}
