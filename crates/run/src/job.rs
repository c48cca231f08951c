//! All that a runner needs to execute one job.

use serde::{Deserialize, Serialize};
use workflow::expr::Value;
use workflow::model::Steps;
use workflow::template::Token;

use crate::id::{CheckpointId, JobId, RunId};

/// One job, ready to run: everything about it that could be decided before it started is decided, the rest is
/// templates for the runner. Holds no secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobSpec {
    /// The run.
    pub run: RunId,
    /// The job in the run.
    pub job: JobId,
    /// The evaluated name, as people see it.
    pub name: String,
    /// The evaluated `runs-on` labels; empty where the job names none.
    pub labels: Vec<String>,
    /// The job's definition.
    pub definition: Steps,
    /// `env` of the workflow and of the command line, later ones win; evaluated by the runner.
    pub workflow_env: Vec<Token>,
    /// `defaults` of the workflow.
    pub workflow_defaults: Option<Token>,
    /// The evaluated `continue-on-error` of the job.
    pub continue_on_error: bool,
    /// The contexts that are known before the job starts.
    pub contexts: JobContexts,
    /// Where the job begins, if not at its beginning.
    #[serde(default)]
    pub resume: Option<Resume>,
}

/// A step of a job that goes on from what was kept before that step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// The job whose step it was.
    pub job: JobId,
    /// The 0-based index of the step.
    pub step: u32,
    /// What was kept.
    pub checkpoint: CheckpointId,
    /// How much of the job runs.
    pub extent: Extent,
}

impl Resume {
    /// Whether the job is the one that is resumed, or an attempt of its step.
    #[must_use]
    pub fn covers(&self, job: &JobId) -> bool {
        match self.extent {
            Extent::Rest => *job == self.job,
            Extent::Step => job.0.strip_prefix(&self.job.0).is_some_and(|rest| rest.starts_with('[')),
        }
    }

    /// The id of an attempt of the step, from 0.
    #[must_use]
    pub fn attempt(&self, number: u32) -> JobId {
        JobId(format!("{}[{number}]", self.job))
    }
}

/// How much of a job that is resumed runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Extent {
    /// The step and all that follows.
    Rest,
    /// The step alone: what it comes to is compared with other attempts.
    Step,
}

/// The named values that a job starts with. Each is an object, or null where the context is empty.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct JobContexts {
    /// `github`, without what only the runner knows (workspace, token, paths of command files).
    pub github: Value,
    /// `vars`.
    pub vars: Value,
    /// `inputs`.
    pub inputs: Value,
    /// `matrix`.
    pub matrix: Value,
    /// `strategy`.
    pub strategy: Value,
    /// `needs`.
    pub needs: Value,
}
