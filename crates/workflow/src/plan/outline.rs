//! Which jobs and legs a plan has, as far as that is known before the run.

use indexmap::IndexSet;
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::evaluate::mentions;
use super::known::Known;
use super::order::{Placed, place};
use super::{Plan, PlannedWorkflow};
use crate::expr::{Contexts, Object, Value};
use crate::matrix::{Leg, Strategy, leg_name};
use crate::model::{Call, Job, JobKind};
use crate::template::Token;

/// The most jobs that one outline lists, those of called workflows included; further ones are left out.
const MAX_OUTLINED_JOBS: usize = 10_000;

/// The jobs of a plan.
#[derive(Clone, Debug, Serialize)]
pub struct Outline {
    /// In the order of the file, one for each leg.
    pub jobs: Vec<JobOutline>,
    /// Whether there are more jobs than an outline lists.
    pub is_cut: bool,
}

/// One leg of a job.
#[derive(Clone, Debug, Serialize)]
pub struct JobOutline {
    /// The job's key.
    pub id: String,
    /// The evaluated name; the key where it depends on what only the run knows.
    pub name: String,
    /// The keys of the jobs that it needs.
    pub needs: Vec<String>,
    /// The leg's values; none without a matrix, and where the matrix is dynamic.
    pub matrix: Option<Value>,
    /// Whether the legs depend on what only the run knows; they are one here.
    pub dynamic: bool,
    /// The labels of the runner; none where they depend on what only the run knows.
    pub runs_on: Vec<String>,
    /// The reference of the called workflow.
    pub uses: Option<String>,
    /// 0 for a job that needs none, else one more than the largest stage that it needs.
    pub stage: usize,
    /// Why the job is sure to be skipped; none where it may run.
    pub skipped: Option<String>,
    /// Why the job is sure to fail before it has legs or jobs; none where it may have them.
    pub fails: Option<String>,
    /// Whether it calls a workflow that is not at hand.
    pub is_unknown: bool,
    /// The jobs of the called workflow.
    pub jobs: Vec<JobOutline>,
}

/// The jobs that the plan starts, those too that are sure to be skipped.
#[must_use]
pub fn outline(plan: &Plan) -> Outline {
    let mut outliner = Outliner { plan, left: MAX_OUTLINED_JOBS, is_cut: false };
    let jobs = outliner.workflow(&plan.root, &plan.selected_jobs(), &plan.inputs, &[]);
    Outline { jobs, is_cut: outliner.is_cut }
}

/// The keys that legs of a plan have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatrixKeys {
    /// The keys, in the order in which they are found.
    pub keys: IndexSet<String>,
    /// Whether there may be others: some legs show only during the run.
    pub may_be_more: bool,
}

/// The keys of the matrices of the plan's jobs, those of called workflows too, whatever the selection says of legs.
#[must_use]
pub fn matrix_keys(plan: &Plan) -> MatrixKeys {
    let mut whole = plan.clone();
    whole.selection.matrix.clear();
    let outline = outline(&whole);
    let mut found = MatrixKeys { keys: IndexSet::new(), may_be_more: outline.is_cut };
    let mut open: Vec<&JobOutline> = outline.jobs.iter().rev().collect();
    while let Some(job) = open.pop() {
        found.may_be_more |= job.dynamic || job.is_unknown;
        let keys = job.matrix.as_ref().and_then(Value::as_object).map(Object::keys);
        found.keys.extend(keys.into_iter().flatten().map(str::to_owned));
        open.extend(job.jobs.iter().rev());
    }
    found
}

impl Outline {
    /// The value of `jobs` in machine-readable output.
    #[must_use]
    pub fn to_json(&self) -> Json {
        self.jobs.iter().map(JobOutline::to_json).collect()
    }

    /// For people: stages, in each its jobs with what they need and where they run.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        push_stages(&mut text, &self.jobs, 0);
        if self.is_cut {
            text.push_str(&format!("and more: only {MAX_OUTLINED_JOBS} jobs are listed\n"));
        }
        text
    }
}

impl JobOutline {
    fn to_json(&self) -> Json {
        let mut json = json!({
            "id": self.id,
            "name": self.name,
            "needs": self.needs,
            "matrix": self.matrix.as_ref().map(Value::to_json),
            "dynamic": self.dynamic,
            "runs_on": self.runs_on,
            "uses": self.uses,
            "stage": self.stage,
            "skipped": self.skipped,
            "fails": self.fails,
            "unknown": self.is_unknown,
        });
        if !self.jobs.is_empty() {
            json["jobs"] = self.jobs.iter().map(Self::to_json).collect();
        }
        json
    }
}

fn push_stages(text: &mut String, jobs: &[JobOutline], depth: usize) {
    let indent = "  ".repeat(depth);
    let last = jobs.iter().map(|job| job.stage).max().unwrap_or(0);
    for stage in 0..=last {
        let of_stage = jobs.iter().filter(|job| job.stage == stage);
        text.push_str(&format!("{indent}stage {}\n", stage + 1));
        for job in of_stage {
            text.push_str(&format!("{indent}  {}", job.name));
            if job.name != job.id && !job.name.starts_with(&format!("{} (", job.id)) {
                text.push_str(&format!(" [{}]", job.id));
            }
            if job.dynamic {
                text.push_str("  (its legs show during the run)");
            }
            if !job.runs_on.is_empty() {
                text.push_str(&format!("  on {}", job.runs_on.join(", ")));
            }
            if let Some(uses) = &job.uses {
                text.push_str(&format!("  calls {uses}"));
            }
            if job.is_unknown {
                text.push_str(" (not at hand)");
            }
            if !job.needs.is_empty() {
                text.push_str(&format!("  needs {}", job.needs.join(", ")));
            }
            if let Some(reason) = &job.skipped {
                text.push_str(&format!("  skipped: {reason}"));
            }
            if let Some(reason) = &job.fails {
                text.push_str(&format!("  fails: {reason}"));
            }
            text.push('\n');
            if !job.jobs.is_empty() {
                push_stages(text, &job.jobs, depth + 2);
            }
        }
    }
}

struct Outliner<'a> {
    plan: &'a Plan,
    left: usize,
    is_cut: bool,
}

/// What all legs of a job have in common.
struct Common<'a> {
    stage: usize,
    unknown_inputs: &'a [String],
    skipped: Option<String>,
    fails: Option<String>,
}

impl Outliner<'_> {
    fn workflow(
        &mut self,
        planned: &PlannedWorkflow,
        jobs: &[&Job],
        inputs: &Value,
        unknown_inputs: &[String],
    ) -> Vec<JobOutline> {
        let contexts = Contexts::new()
            .with("github", self.plan.github.clone())
            .with("vars", self.plan.vars.clone())
            .with("inputs", inputs.clone());
        let known = Known { contexts: &contexts, unknown_inputs };
        let mut outlines = Vec::new();
        for Placed { job, stage, skipped } in place(jobs, known) {
            let common = Common { stage, unknown_inputs, skipped, fails: None };
            self.job(planned, job, common, &contexts, &mut outlines);
        }
        outlines
    }

    fn job(
        &mut self,
        planned: &PlannedWorkflow,
        job: &Job,
        mut common: Common<'_>,
        contexts: &Contexts,
        outlines: &mut Vec<JobOutline>,
    ) {
        let is_static = job.strategy.as_ref().is_none_or(|token| !depends_on_run(token));
        let strategy = is_static.then(|| planned.strategy(job, contexts));
        let Strategy { legs, fail_fast, max_parallel } = match strategy {
            Some(Ok(strategy)) => strategy,
            failed => {
                let known = Known { contexts, unknown_inputs: common.unknown_inputs };
                let is_sure = job.strategy.as_ref().is_some_and(|token| known.has_token(token));
                let error = failed.and_then(Result::err).filter(|_| is_sure);
                common.fails = error.map(|error| error.to_string());
                outlines.extend(self.leg(planned, job, &common, None, contexts));
                return;
            }
        };
        for (index, leg) in legs.iter().enumerate() {
            if self.plan.selection.keeps(&leg.matrix) {
                let strategy = Strategy::context(fail_fast, max_parallel, index, legs.len());
                let contexts = contexts.clone().with("matrix", leg.matrix.clone()).with("strategy", strategy);
                outlines.extend(self.leg(planned, job, &common, Some(leg), &contexts));
            }
        }
    }

    fn leg(
        &mut self,
        planned: &PlannedWorkflow,
        job: &Job,
        common: &Common<'_>,
        leg: Option<&Leg>,
        contexts: &Contexts,
    ) -> Option<JobOutline> {
        let Some(left) = self.left.checked_sub(1) else {
            self.is_cut = true;
            return None;
        };
        self.left = left;
        let parts = leg.map_or(&[][..], |leg| &leg.name_parts);
        let runs_on = match &job.kind {
            JobKind::Steps(steps) if steps.runs_on.as_ref().is_some_and(|token| !depends_on_run(token)) => {
                planned.labels(job, contexts).unwrap_or_default()
            }
            _ => Vec::new(),
        };
        let name = match &job.name {
            Some(token) if depends_on_run(token) || leg.is_none() && mentions(token, &["matrix"]) => None,
            _ => planned.job_name(job, parts, contexts).ok(),
        };
        let mut fails = common.fails.clone();
        let (uses, jobs) = match &job.kind {
            JobKind::Steps(_) => (None, None),
            JobKind::Call(call) => {
                let known = Known { contexts, unknown_inputs: common.unknown_inputs };
                let called = planned.called(job);
                let jobs = called.map(|called| self.called(planned, call, called, known, &mut fails));
                (Some(call.uses.value.clone()), jobs)
            }
        };
        Some(JobOutline {
            id: job.id.value.clone(),
            name: name.unwrap_or_else(|| leg_name(&job.id.value, parts)),
            needs: job.needs.iter().map(|need| need.value.clone()).collect(),
            matrix: leg.map(|leg| leg.matrix.clone()).filter(|matrix| *matrix != Value::Null),
            dynamic: leg.is_none() && fails.is_none(),
            runs_on,
            stage: common.stage,
            skipped: common.skipped.clone(),
            fails,
            is_unknown: uses.is_some() && jobs.is_none(),
            uses,
            jobs: jobs.unwrap_or_default(),
        })
    }
    /// The jobs of a called workflow; sets why the call is sure to fail, where it is.
    fn called(
        &mut self,
        planned: &PlannedWorkflow,
        call: &Call,
        called: &PlannedWorkflow,
        known: Known<'_>,
        fails: &mut Option<String>,
    ) -> Vec<JobOutline> {
        let mut unknown = call.with.as_ref().map(|with| known.lacks(with)).unwrap_or_default();
        let inputs = planned.call_inputs(call, called, known.contexts).unwrap_or_else(|error| {
            *fails = fails.take().or_else(|| unknown.is_empty().then(|| error.to_string()));
            let trigger = called.workflow.on.events.get("workflow_call");
            unknown.extend(trigger.into_iter().flat_map(|trigger| trigger.call_inputs.keys()).cloned());
            Value::Null
        });
        let jobs: Vec<&Job> = called.workflow.jobs.iter().collect();
        self.workflow(called, &jobs, &inputs, &unknown)
    }
}

/// Whether the value depends on jobs that ran before.
fn depends_on_run(token: &Token) -> bool {
    mentions(token, &["needs", "secrets", "steps", "env", "job", "runner"])
}
