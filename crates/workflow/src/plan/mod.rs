//! A plan: everything that a run is made of before it starts. Self-contained and serialisable, stored with the run.
//!
//! [`plan`] resolves called workflows, inputs and the selection of jobs. [`evaluate`] turns the evaluated keys of a job
//! into values, [`outline`] shows which jobs and legs a plan has as far as that is known before the run, and [`to_dot`] and
//! [`to_mermaid`] draw that.
//!
//! Invariants: a plan holds no secret and needs no file; its depth, and the number of its jobs, are bounded.

mod build;
mod dot;
mod evaluate;
mod graph;
mod known;
mod mermaid;
mod order;
mod outline;
mod skip;

use std::sync::Arc;

use indexmap::{IndexMap, IndexSet};
use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::expr::{Contexts, Value};
use crate::model::{Job, JobKind, Workflow};
use crate::source::{SourceFile, Span};

pub use build::{MAX_PLANNED_JOBS, Request, RunFacts, plan};
pub use dot::to_dot;
pub use evaluate::{Concurrency, EvaluationError, Queue};
pub use graph::Sheet;
pub use mermaid::to_mermaid;
pub use outline::{JobOutline, MatrixKeys, Outline, matrix_keys, outline};

/// One run of one workflow, planned.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// The workflow that the event starts.
    pub root: PlannedWorkflow,
    /// The event.
    pub event: Event,
    /// The `github` context, without what only a runner knows.
    pub github: Value,
    /// The `inputs` context of the root workflow.
    pub inputs: Value,
    /// The `vars` context.
    pub vars: Value,
    /// Variables that are added to the `env` of every workflow; they win.
    pub env: Vec<(String, String)>,
    /// Which jobs and legs run.
    pub selection: Selection,
}

/// A workflow with the workflows that it calls.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PlannedWorkflow {
    /// The model.
    pub workflow: Workflow,
    /// The text that the model's spans point into.
    pub text: Arc<str>,
    /// By the id of the calling job.
    pub calls: IndexMap<String, PlannedCall>,
}

/// What a `uses` of a job leads to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum PlannedCall {
    /// The called workflow.
    Workflow(Box<PlannedWorkflow>),
    /// A workflow that cannot be had here; its caller fails when it runs.
    Unknown {
        /// Why, for people.
        reason: String,
    },
}

impl PlannedWorkflow {
    /// The place of a span for people: `file:line:column`.
    #[must_use]
    pub fn place(&self, span: Span) -> String {
        let file = SourceFile::new(self.workflow.file.clone(), self.text.clone());
        let position = file.position(span.start);
        format!("{}:{}:{}", file.name(), position.line, position.column)
    }

    /// The workflow that the job calls; `None` for a job with steps and for one that cannot be had.
    #[must_use]
    pub fn called(&self, job: &Job) -> Option<&PlannedWorkflow> {
        match self.calls.get(&job.id.value)? {
            PlannedCall::Workflow(called) => Some(called),
            PlannedCall::Unknown { .. } => None,
        }
    }

    /// The jobs of this workflow that the job names in `needs`.
    #[must_use]
    pub fn needs(&self, job: &Job) -> Vec<&Job> {
        job.needs.iter().filter_map(|need| self.workflow.job(&need.value)).collect()
    }

    /// Ids of the jobs of this workflow that the job needs, and that those need.
    #[must_use]
    pub fn ancestors(&self, job: &Job) -> IndexSet<&str> {
        let mut found: IndexSet<&str> = IndexSet::new();
        let mut open = self.needs(job);
        while let Some(need) = open.pop() {
            if found.insert(&need.id.value) {
                open.extend(self.needs(need));
            }
        }
        found
    }

    /// Whether the job calls a workflow.
    #[must_use]
    pub fn is_call(job: &Job) -> bool {
        matches!(job.kind, JobKind::Call(_))
    }
}

/// Which jobs and legs of a plan run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// Ids of jobs of the root workflow; with what they need. All where there is none.
    pub jobs: Vec<String>,
    /// Keys of matrices with the texts that are kept. Several values of one key mean any of them.
    pub matrix: IndexMap<String, Vec<String>>,
}

impl Selection {
    /// Whether the selection keeps a leg: every key that the leg has must have one of the kept texts.
    #[must_use]
    pub fn keeps(&self, matrix: &Value) -> bool {
        self.matrix.iter().all(|(key, texts)| {
            matrix.get(key).is_none_or(|value| texts.iter().any(|text| *text == value.to_text()))
        })
    }
}

impl Plan {
    /// Sets `github.run_number`, which is known only when the run is submitted: it counts the runs of the workflow.
    pub fn set_run_number(&mut self, number: u64) {
        if let Some(mut github) = self.github.as_object().cloned() {
            github.insert("run_number", number.to_string());
            self.github = github.into();
        }
    }

    /// Sets `github.run_attempt`: a run that goes on from another one is a later attempt of it.
    pub fn set_run_attempt(&mut self, attempt: u64) {
        if let Some(mut github) = self.github.as_object().cloned() {
            github.insert("run_attempt", attempt.to_string());
            self.github = github.into();
        }
    }

    /// The evaluated `run-name`; `None` where the workflow has none, or it has no value.
    #[must_use]
    pub fn run_name(&self) -> Option<String> {
        let contexts = Contexts::new()
            .with("github", self.github.clone())
            .with("vars", self.vars.clone())
            .with("inputs", self.inputs.clone());
        let name = self.root.evaluate(self.root.workflow.run_name.as_ref()?, &contexts).ok()?;
        Some(name.to_text().into_owned()).filter(|name| !name.is_empty())
    }

    /// The jobs of the root workflow that run, in the order of the file.
    #[must_use]
    pub fn selected_jobs(&self) -> Vec<&Job> {
        let root = &self.root.workflow;
        if self.selection.jobs.is_empty() {
            return root.jobs.iter().collect();
        }
        let mut wanted: IndexSet<&str> = IndexSet::new();
        for job in self.selection.jobs.iter().filter_map(|id| root.job(id)) {
            wanted.insert(&job.id.value);
            wanted.extend(self.root.ancestors(job));
        }
        root.jobs.iter().filter(|job| wanted.contains(job.id.value.as_str())).collect()
    }
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;

    use super::Selection;
    use crate::expr::Value;

    #[test]
    fn selections_keep_legs_without_the_key() {
        let kept = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
        let selection = Selection {
            jobs: Vec::new(),
            matrix: IndexMap::from([("os".to_owned(), kept(&["a", "b"])), ("v".to_owned(), kept(&["1"]))]),
        };
        let check = |json: &str, expected: bool| {
            let leg = Value::from_json(&serde_json::from_str(json).expect("a test's leg is JSON"));
            assert_eq!(selection.keeps(&leg), expected, "{json}");
        };
        check(r#"{"os":"a","v":1}"#, true);
        check(r#"{"os":"b"}"#, true);
        check(r#"{"os":"c","v":1}"#, false);
        check(r#"{"os":"a","v":2}"#, false);
        check("null", true);
    }
}
