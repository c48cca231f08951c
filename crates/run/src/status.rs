//! How things end.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The end of a step, a job or a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Conclusion {
    /// It did what it should.
    Success,
    /// It did not, or nobody knows: a missing exit code and a dead machine are failures.
    Failure,
    /// It was ended by request.
    Cancelled,
    /// Its condition was false.
    Skipped,
}

impl Conclusion {
    /// How several jobs end together: a failure outweighs a cancelled job, that one a success, and only skipped jobs
    /// are skipped together. No job at all is skipped.
    pub fn of_all(conclusions: impl IntoIterator<Item = Self>) -> Self {
        let rank = |conclusion: &Self| match conclusion {
            Self::Failure => 3,
            Self::Cancelled => 2,
            Self::Success => 1,
            Self::Skipped => 0,
        };
        conclusions.into_iter().max_by_key(rank).unwrap_or(Self::Skipped)
    }

    /// The word that GitHub uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
        }
    }
}

impl fmt::Display for Conclusion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
