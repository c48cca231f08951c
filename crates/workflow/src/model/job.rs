//! Jobs and steps.

use serde::{Deserialize, Serialize};

use super::Workflow;
use crate::expr::Expr;
use crate::source::{Span, Spanned};
use crate::template::Token;

/// One entry of `jobs`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// The key under `jobs`.
    pub id: Spanned<String>,
    /// `name`.
    pub name: Option<Token>,
    /// `needs`, in the order of the file.
    pub needs: Vec<Spanned<String>>,
    /// `if`, completed to a condition that has a status function.
    pub condition: Expr,
    /// `if` as it is written.
    #[serde(skip)]
    pub written_condition: Option<Token>,
    /// `strategy`.
    pub strategy: Option<Token>,
    /// `permissions`.
    pub permissions: Option<Token>,
    /// `concurrency`.
    pub concurrency: Option<Token>,
    /// What the job does.
    pub kind: JobKind,
}

/// A job has steps of its own or calls another workflow.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum JobKind {
    /// A job with `steps`.
    Steps(Box<Steps>),
    /// A job with `uses`.
    Call(Box<Call>),
}

/// The keys of a job that runs steps.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Steps {
    /// `runs-on`.
    pub runs_on: Option<Token>,
    /// `env`.
    pub env: Option<Token>,
    /// `defaults`.
    pub defaults: Option<Token>,
    /// `outputs`.
    pub outputs: Option<Token>,
    /// `environment`.
    pub environment: Option<Token>,
    /// `container`.
    pub container: Option<Token>,
    /// `services`.
    pub services: Option<Token>,
    /// `snapshot`.
    pub snapshot: Option<Token>,
    /// `continue-on-error`.
    pub continue_on_error: Option<Token>,
    /// `timeout-minutes`.
    pub timeout_minutes: Option<Token>,
    /// `cancel-timeout-minutes`.
    pub cancel_timeout_minutes: Option<Token>,
    /// `steps`.
    pub steps: Vec<Step>,
}

/// One entry of `steps`, of a job or of a composite action.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Step {
    /// The author's `id`, or the one that GitHub's parser would generate (`__run_2`).
    pub id: String,
    /// Whether `id` was generated.
    pub generated_id: bool,
    /// `name`.
    pub name: Option<Token>,
    /// `if`, completed to a condition that has a status function.
    pub condition: Expr,
    /// `if` as it is written.
    #[serde(skip)]
    pub written_condition: Option<Token>,
    /// `env`.
    pub env: Option<Token>,
    /// `continue-on-error`.
    pub continue_on_error: Option<Token>,
    /// `timeout-minutes`.
    pub timeout_minutes: Option<Token>,
    /// `background`: whether later steps run while this one does.
    pub background: Option<Token>,
    /// What the step does.
    pub kind: StepKind,
    /// The whole step.
    pub span: Span,
}

/// What a step does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum StepKind {
    /// `run`.
    Run {
        /// The script.
        run: Token,
        /// `shell`.
        shell: Option<Token>,
        /// `working-directory`.
        working_directory: Option<Token>,
    },
    /// `uses`.
    Uses {
        /// The action reference as written.
        uses: Spanned<String>,
        /// `with`.
        with: Option<Token>,
    },
    /// `wait`: until these background steps have ended.
    Wait {
        /// Ids of background steps.
        steps: Vec<Spanned<String>>,
    },
    /// `wait-all`: until all background steps have ended.
    WaitAll,
    /// `cancel`: end these background steps.
    Cancel {
        /// Ids of background steps.
        steps: Vec<Spanned<String>>,
    },
}

/// The keys of a job that calls a workflow.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Call {
    /// `uses`: the reference as written.
    pub uses: Spanned<String>,
    /// `with`.
    pub with: Option<Token>,
    /// `secrets`.
    pub secrets: CallSecrets,
    /// The called workflow, where its text is known.
    pub workflow: Option<Box<Workflow>>,
}

/// Which secrets a called workflow gets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum CallSecrets {
    /// None beside the token.
    None,
    /// `secrets: inherit`: all of the caller's.
    Inherit,
    /// A mapping that is evaluated with the caller's secrets.
    Map(Token),
}
