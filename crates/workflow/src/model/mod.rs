//! The typed model of a workflow and of an action: every key that GitHub's schema has, evaluated parts as tokens.

mod action;
mod job;
mod trigger;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::source::Spanned;
use crate::template::Token;

pub use action::{Action, ActionInput, ActionOutput, ActionRuns};
pub use job::{Call, CallSecrets, Job, JobKind, Step, StepKind, Steps};
pub use trigger::{
    CallInput, CallOutput, CallSecret, DispatchInput, InputType, ScheduleEntry, Trigger, Triggers,
};

/// A workflow file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Workflow {
    /// Name of the file as it was given.
    pub file: Arc<str>,
    /// `name`.
    pub name: Option<Spanned<String>>,
    /// `run-name`.
    pub run_name: Option<Token>,
    /// `on`.
    pub on: Triggers,
    /// `env`.
    pub env: Option<Token>,
    /// `defaults`.
    pub defaults: Option<Token>,
    /// `permissions`.
    pub permissions: Option<Token>,
    /// `concurrency`.
    pub concurrency: Option<Token>,
    /// `jobs`, in the order of the file.
    pub jobs: Vec<Job>,
}

impl Workflow {
    /// The job with this id, without regard to case as GitHub compares ids.
    #[must_use]
    pub fn job(&self, id: &str) -> Option<&Job> {
        self.jobs.iter().find(|job| job.id.value.eq_ignore_ascii_case(id))
    }
}
