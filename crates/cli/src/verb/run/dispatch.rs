//! The control plane of this process, as its runner sees it.

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use control::{Control, Labels, ReportError};
use run::event::Reported;
use run::id::LeaseId;
use run::lease::{Cancel, Lease};
use runner::dispatch::{Dispatch, DispatchError, LeaseRequest};
use tokio::sync::mpsc;

use crate::failure::{Exit, Failure};

/// Hands the runner's requests to the control plane in the same process. What the control plane cannot keep ends the
/// process: nobody else would ever end its runs.
#[derive(Debug)]
pub(super) struct InProcess {
    control: Control,
    failed: mpsc::Sender<Failure>,
}

impl InProcess {
    /// The runner's way to `control`, and the first failure to keep something.
    pub(super) fn new(control: Control) -> (Self, mpsc::Receiver<Failure>) {
        let (failed, failure) = mpsc::channel(1);
        (Self { control, failed }, failure)
    }

    fn fail(&self, operation: &'static str, error: impl Error + Send + Sync + 'static) -> DispatchError {
        let error = Arc::new(error);
        // One failure is enough to say; later ones have the same cause.
        drop(self.failed.try_send(Failure::new(Exit::Usage, Arc::clone(&error))));
        DispatchError::Unreachable { operation, source: Box::new(error) }
    }
}

#[async_trait]
impl Dispatch for InProcess {
    async fn lease(&self, request: &LeaseRequest) -> Result<Option<Lease>, DispatchError> {
        let labels = Labels::new(&request.labels);
        let request = control::LeaseRequest { runner: request.runner.clone(), labels };
        self.control.lease(&request).await.map_err(|error| self.fail("lease a job", error))
    }

    async fn report(&self, lease: &LeaseId, first: u64, events: Vec<Reported>) -> Result<(), DispatchError> {
        self.control.report(lease, first, events).await.map_err(|error| match error {
            ReportError::LeaseOver(lease) => DispatchError::LeaseOver(lease),
            other => self.fail("report what happened", other),
        })
    }

    async fn cancelled(&self, lease: &LeaseId, beyond: Option<Cancel>) -> Cancel {
        self.control.cancelled(lease, beyond).await
    }
}
