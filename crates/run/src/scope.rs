//! One workflow of a run, the root or a called one: its jobs' ids, contexts and statuses.

use workflow::expr::{Contexts, HashFilesError, HostFunctions, JobStatus, Object, Value, eval};
use workflow::matrix::Strategy;
use workflow::model::{Job, Workflow};
use workflow::plan::{EvaluationError, Plan, PlannedWorkflow};

use crate::id::JobId;
use crate::lease::Cancel;
use crate::state::{GroupResult, JobPhase, JobState, RunState};
use crate::status::Conclusion;

/// A workflow in its place in the run.
#[derive(Clone, Debug)]
pub(crate) struct Scope<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) state: &'a RunState,
    pub(crate) planned: &'a PlannedWorkflow,
    /// The calling leg; none at the root.
    pub(crate) caller: Option<JobId>,
    inputs: Value,
    /// How hard the workflow as a whole is to end.
    pub(crate) cancel: Option<Cancel>,
}

impl<'a> Scope<'a> {
    pub(crate) fn root(plan: &'a Plan, state: &'a RunState) -> Self {
        let cancel = state.cancel().map(|request| request.cancel);
        Self { plan, state, planned: &plan.root, caller: None, inputs: plan.inputs.clone(), cancel }
    }

    /// The workflow that an open leg of `job` calls.
    pub(crate) fn called(&self, job: &Job, leg: &JobId) -> Option<Self> {
        let state = self.state.job(leg)?;
        let JobPhase::Open { inputs } = &state.phase else { return None };
        Some(Self {
            plan: self.plan,
            state: self.state,
            planned: self.planned.called(job)?,
            caller: Some(leg.clone()),
            inputs: inputs.clone(),
            cancel: state.cancel.as_ref().map(|request| request.cancel),
        })
    }

    pub(crate) fn workflow(&self) -> &'a Workflow {
        &self.planned.workflow
    }

    /// The jobs that run, in the order of the file.
    pub(crate) fn jobs(&self) -> Vec<&'a Job> {
        match self.caller {
            None => self.plan.selected_jobs(),
            Some(_) => self.workflow().jobs.iter().collect(),
        }
    }

    /// The id of a job of this workflow, without a leg.
    pub(crate) fn group_id(&self, job: &Job) -> JobId {
        match &self.caller {
            None => JobId(job.id.value.clone()),
            Some(caller) => JobId(format!("{caller}/{}", job.id.value)),
        }
    }

    /// How a job of this workflow ended.
    pub(crate) fn result(&self, job: &Job) -> Option<GroupResult> {
        self.state.result(&self.group_id(job))
    }

    /// How all jobs that run ended; none while one is not over.
    pub(crate) fn results(&self) -> Option<Vec<(&'a Job, GroupResult)>> {
        self.jobs().into_iter().map(|job| Some((job, self.result(job)?))).collect()
    }

    /// Whether all that the job needs is over.
    pub(crate) fn is_ready(&self, job: &Job) -> bool {
        self.planned.needs(job).into_iter().all(|need| self.result(need).is_some())
    }

    fn needs(&self, job: &Job) -> Value {
        let ended = |need: &'a Job| Some((need.id.value.as_str(), result_context(self.result(need)?)));
        self.planned.needs(job).into_iter().filter_map(ended).collect::<Object>().into()
    }

    /// What the keys of a job see before its legs are known.
    pub(crate) fn contexts(&self, job: &Job) -> Contexts {
        Contexts::new()
            .with("github", self.plan.github.clone())
            .with("needs", self.needs(job))
            .with("vars", self.plan.vars.clone())
            .with("inputs", self.inputs.clone())
    }

    /// What the outputs of a called workflow see.
    pub(crate) fn output_contexts(&self, results: &[(&Job, GroupResult)]) -> Contexts {
        let jobs =
            results.iter().map(|(job, result)| (job.id.value.as_str(), result_context(result.clone())));
        Contexts::new()
            .with("github", self.plan.github.clone())
            .with("jobs", jobs.collect::<Object>())
            .with("vars", self.plan.vars.clone())
            .with("inputs", self.inputs.clone())
    }

    /// Whether the job's `if` holds, with a workflow that is to end as hard as `cancel`.
    pub(crate) fn condition_holds(
        &self,
        job: &Job,
        contexts: &Contexts,
        cancel: Option<Cancel>,
    ) -> Result<bool, EvaluationError> {
        let statuses = Statuses { scope: self, job, cancelled: cancel.is_some() };
        eval(&job.condition, contexts, &statuses)
            .map(|value| value.is_truthy())
            .map_err(|error| self.planned.error(job.id.span, format!("the `if` of the job fails: {error}")))
    }
}

fn result_context(result: GroupResult) -> Object {
    let mut context = Object::new();
    context.insert("result", result.conclusion.as_str());
    context.insert("outputs", result.outputs);
    context
}

/// What the keys of a job see of one leg.
pub(crate) fn leg_contexts(
    base: &Contexts,
    matrix: &Value,
    (fail_fast, max_parallel): (bool, Option<u32>),
    (index, total): (u32, u32),
) -> Contexts {
    let strategy = Strategy::context(fail_fast, max_parallel, index as usize, total as usize);
    base.clone().with("matrix", matrix.clone()).with("strategy", strategy)
}

/// The place of a leg: the workflow that it is a job of, the job, its group's and its own contexts.
pub(crate) struct Place<'a> {
    pub(crate) scope: Scope<'a>,
    pub(crate) job: &'a Job,
    pub(crate) contexts: Contexts,
}

/// Every leg on the way from the root to this one, itself included, each in its place. Empty for an unknown leg.
pub(crate) fn path<'a>(plan: &'a Plan, state: &'a RunState, leg: &JobId) -> Vec<Place<'a>> {
    let mut places = Vec::new();
    let mut scope = Scope::root(plan, state);
    let mut ends: Vec<usize> = leg.0.match_indices('/').map(|(end, _)| end).collect();
    ends.push(leg.0.len());
    for end in ends {
        let id = JobId(leg.0[..end].to_owned());
        let Some((job, known)) = scope.workflow().job(id.own_key()).zip(state.job(&id)) else {
            return Vec::new();
        };
        let contexts = scope.contexts_of_leg(job, known);
        let called = scope.called(job, &id);
        places.push(Place { scope: scope.clone(), job, contexts });
        match called {
            Some(called) => scope = called,
            None if end == leg.0.len() => {}
            None => return Vec::new(),
        }
    }
    places
}

impl Scope<'_> {
    /// What the keys of a job see of a known leg.
    pub(crate) fn contexts_of_leg(&self, job: &Job, leg: &JobState) -> Contexts {
        let base = self.contexts(job);
        match self.state.group(&self.group_id(job)) {
            Some(group) => {
                let strategy = (group.fail_fast, group.max_parallel);
                leg_contexts(&base, &leg.matrix, strategy, (leg.index, group.total))
            }
            None => base,
        }
    }
}

/// The status functions of a job's `if`: over all jobs that it needs, and those that they need.
struct Statuses<'a> {
    scope: &'a Scope<'a>,
    job: &'a Job,
    cancelled: bool,
}

impl Statuses<'_> {
    fn of<'j>(&self, ids: impl IntoIterator<Item = &'j str>) -> JobStatus {
        if self.cancelled {
            return JobStatus::Cancelled;
        }
        let jobs = ids.into_iter().filter_map(|id| self.scope.workflow().job(id));
        let conclusions = jobs.filter_map(|job| Some(self.scope.result(job)?.conclusion));
        let mut status = JobStatus::Success;
        for conclusion in conclusions {
            match conclusion {
                Conclusion::Failure => return JobStatus::Failure,
                Conclusion::Cancelled | Conclusion::Skipped => status = JobStatus::Skipped,
                Conclusion::Success => {}
            }
        }
        status
    }
}

impl HostFunctions for Statuses<'_> {
    fn status(&self) -> Option<JobStatus> {
        Some(self.of(self.scope.planned.ancestors(self.job)))
    }

    fn status_of(&self, jobs: &[String]) -> Option<JobStatus> {
        Some(self.of(jobs.iter().map(String::as_str)))
    }

    fn hash_files(&self, _patterns: &[String]) -> Result<String, HashFilesError> {
        Err(HashFilesError::Unavailable)
    }
}
