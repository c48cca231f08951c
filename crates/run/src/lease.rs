//! A runner's hold on a job.

use serde::{Deserialize, Serialize};

use crate::id::LeaseId;
use crate::job::JobSpec;

/// One leased job with everything that its runner needs, the secrets beside it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Lease {
    /// Names the hold; events under another id are refused.
    pub id: LeaseId,
    /// The job.
    pub spec: JobSpec,
    /// The job's `secrets` context: name to value. Never stored with the job, never printed.
    pub secrets: Vec<(String, String)>,
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Lease")
            .field("id", &self.id)
            .field("job", &self.spec.job)
            .finish_non_exhaustive()
    }
}

/// A request to end a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cancel {
    /// End the current step, then run what asks for `always()` or `cancelled()`, and the post steps.
    Graceful,
    /// End everything now.
    Now,
}
