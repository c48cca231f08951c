//! The parts of a file as rules see them.

use super::Settings;
use crate::expr::Expr;
use crate::model::{Action, Job, Step, Steps, Workflow};
use crate::source::{SourceFile, Span};
use crate::template::Token;

/// A workflow.
#[derive(Clone, Copy, Debug)]
pub struct WorkflowUnit<'a> {
    /// The file.
    pub file: &'a SourceFile,
    /// Its model.
    pub workflow: &'a Workflow,
    /// The tokens of the whole file, without what could not be read.
    pub root: &'a Token,
    /// What the rules know beside it.
    pub settings: &'a Settings<'a>,
}

/// A job of a workflow.
#[derive(Clone, Copy, Debug)]
pub struct JobUnit<'a> {
    /// The workflow.
    pub workflow: WorkflowUnit<'a>,
    /// The job.
    pub job: &'a Job,
}

/// The metadata of an action.
#[derive(Clone, Copy, Debug)]
pub struct ActionUnit<'a> {
    /// The file.
    pub file: &'a SourceFile,
    /// Its model.
    pub action: &'a Action,
    /// The tokens of the whole file, without what could not be read.
    pub root: &'a Token,
    /// What the rules know beside it.
    pub settings: &'a Settings<'a>,
}

/// What a step belongs to.
#[derive(Clone, Copy, Debug)]
pub enum StepOwner<'a> {
    /// A job, with the keys of jobs that have steps.
    Job(JobUnit<'a>, &'a Steps),
    /// A composite action.
    Action(ActionUnit<'a>),
}

/// A step.
#[derive(Clone, Copy, Debug)]
pub struct StepUnit<'a> {
    /// What it belongs to.
    pub owner: StepOwner<'a>,
    /// All steps of the owner.
    pub steps: &'a [Step],
    /// Its index in them.
    pub index: usize,
}

impl<'a> StepUnit<'a> {
    /// The step itself.
    #[must_use]
    pub fn step(&self) -> &'a Step {
        &self.steps[self.index]
    }

    /// The steps before it.
    #[must_use]
    pub fn earlier(&self) -> &'a [Step] {
        &self.steps[..self.index]
    }

    /// Its job; none in a composite action.
    #[must_use]
    pub fn job(&self) -> Option<JobUnit<'a>> {
        if let StepOwner::Job(job, _) = self.owner { Some(job) } else { None }
    }

    /// What the rules know beside the file.
    #[must_use]
    pub fn settings(&self) -> &'a Settings<'a> {
        match self.owner {
            StepOwner::Job(job, _) => job.workflow.settings,
            StepOwner::Action(action) => action.settings,
        }
    }
}

/// An expression and where it stands.
#[derive(Clone, Copy, Debug)]
pub struct ExpressionSite<'a> {
    /// The expression: of text around `${{ }}` one call of `format`, of a condition what GitHub completes it to.
    pub expression: &'a Expr,
    /// The scalar that holds it.
    pub span: Span,
    /// The key that it belongs to, of a workflow, a job or a step: `run`, `if`, `env`, `with`, `runs-on`, …
    pub key: &'static str,
    /// The name below that key, such as the variable below `env`.
    pub entry: Option<&'a str>,
    /// The workflow; none in an action.
    pub workflow: Option<WorkflowUnit<'a>>,
    /// The job, where it stands in one.
    pub job: Option<JobUnit<'a>>,
    /// The step, where it stands in one.
    pub step: Option<StepUnit<'a>>,
    /// The action; none in a workflow.
    pub action: Option<ActionUnit<'a>>,
}
