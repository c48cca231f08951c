//! All that a runner needs to execute one job.

use serde::{Deserialize, Serialize};
use workflow::expr::Value;
use workflow::model::Steps;
use workflow::template::Token;

use crate::id::{JobId, RunId};

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
