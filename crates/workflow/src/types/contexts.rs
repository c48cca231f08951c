//! What the contexts are at a place of a file.

use std::cell::OnceCell;
use std::sync::Arc;

use super::ty::{ObjectType, Rest, Type};
use super::{github, matrix, payload};
use crate::model::{Action, ActionRuns, InputType, Job, JobKind, Step, StepKind, Triggers, Workflow};
use crate::template::{Token, TokenKind};

/// Secrets that are there whether or not a caller gives them.
const GIVEN_SECRETS: [&str; 3] = ["GITHUB_TOKEN", "ACTIONS_STEP_DEBUG", "ACTIONS_RUNNER_DEBUG"];

/// What is known of the actions that steps use.
pub trait KnownActions {
    /// The outputs of the action at a `uses`; none where they are not known.
    fn outputs(&self, uses: &str) -> Option<ActionOutputs>;
}

/// The outputs of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionOutputs {
    /// The names that its metadata declares.
    pub names: Vec<Arc<str>>,
    /// Whether it can set no others. A program can: its metadata is only what its author says.
    pub is_complete: bool,
}

/// No action is known.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoActions;

impl KnownActions for NoActions {
    fn outputs(&self, _: &str) -> Option<ActionOutputs> {
        None
    }
}

/// The types of the contexts of one file.
pub struct FileTypes<'w> {
    file: File<'w>,
    actions: &'w dyn KnownActions,
    /// The names of the configuration variables, where they are known.
    variables: Option<&'w [String]>,
    event: OnceCell<Type>,
    inputs: OnceCell<Type>,
    secrets: OnceCell<Type>,
    called_jobs: OnceCell<Type>,
    jobs: Box<[JobTypes]>,
}

impl std::fmt::Debug for FileTypes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileTypes").field("jobs", &self.jobs.len()).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy)]
enum File<'w> {
    Workflow(&'w Workflow),
    Action(&'w Action),
}

/// The types of the contexts of one job; an action is like one job.
#[derive(Debug, Default)]
struct JobTypes {
    needs: OnceCell<Type>,
    matrix: OnceCell<Type>,
    job: OnceCell<Type>,
    steps: OnceCell<StepsTypes>,
}

/// `steps` behind the last step, and how many of its names there are before each step.
#[derive(Debug)]
struct StepsTypes {
    all: ObjectType,
    before: Vec<usize>,
}

impl<'w> FileTypes<'w> {
    /// The types of a workflow's contexts.
    #[must_use]
    pub fn of_workflow(workflow: &'w Workflow, actions: &'w dyn KnownActions) -> Self {
        Self::new(File::Workflow(workflow), workflow.jobs.len(), actions)
    }

    /// The types of an action's contexts.
    #[must_use]
    pub fn of_action(action: &'w Action, actions: &'w dyn KnownActions) -> Self {
        Self::new(File::Action(action), 1, actions)
    }

    fn new(file: File<'w>, jobs: usize, actions: &'w dyn KnownActions) -> Self {
        Self {
            file,
            actions,
            variables: None,
            event: OnceCell::new(),
            inputs: OnceCell::new(),
            secrets: OnceCell::new(),
            called_jobs: OnceCell::new(),
            jobs: std::iter::repeat_with(JobTypes::default).take(jobs).collect(),
        }
    }

    /// The same types with configuration variables of these names, and no others.
    #[must_use]
    pub fn with_variables(self, variables: Option<&'w [String]>) -> Self {
        Self { variables, ..self }
    }

    /// The place outside of jobs and steps.
    #[must_use]
    pub fn scope(&self) -> Scope<'_> {
        Scope { types: self, job: None, step: None, in_matrix: false }
    }

    /// The keys of the job with this index. Its steps are over there, as for `outputs`.
    #[must_use]
    pub fn job_scope(&self, job: usize) -> Scope<'_> {
        Scope { job: Some(job), ..self.scope() }
    }

    /// The keys of a step, by the indexes of its job and of itself.
    #[must_use]
    pub fn step_scope(&self, job: usize, step: usize) -> Scope<'_> {
        Scope { step: Some(step), ..self.job_scope(job) }
    }

    /// Behind the last step of an action.
    #[must_use]
    pub fn action_scope(&self) -> Scope<'_> {
        self.job_scope(0)
    }

    /// The keys of a step of an action.
    #[must_use]
    pub fn action_step_scope(&self, step: usize) -> Scope<'_> {
        self.step_scope(0, step)
    }
}

/// A place in a file.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'t> {
    types: &'t FileTypes<'t>,
    job: Option<usize>,
    step: Option<usize>,
    /// Whether the place is in the matrix itself, which its own expressions cannot use.
    in_matrix: bool,
}

impl<'t> Scope<'t> {
    /// The type of the context `name`, in any case, as it is here; none if GitHub knows no such context. Whether the key
    /// admits the context is another question.
    #[must_use]
    pub fn context_type(&self, name: &str) -> Option<Type> {
        let types = self.types;
        const CONTEXTS: [&str; 12] = [
            "github", "env", "vars", "secrets", "job", "jobs", "steps", "runner", "inputs", "matrix",
            "strategy", "needs",
        ];
        let known = CONTEXTS.into_iter().find(|known| known.eq_ignore_ascii_case(name))?;
        Some(match known {
            "github" => github::context(self.event_type()),
            "env" => Type::texts(),
            "vars" => types
                .variables
                .map_or_else(Type::texts, |names| Type::texts_named(names.iter().map(String::as_str))),
            "secrets" => types.secrets.get_or_init(|| self.secrets()).clone(),
            "job" => self.job_types(|job| &job.job, Self::job),
            "jobs" => types.called_jobs.get_or_init(|| self.called_jobs()).clone(),
            "steps" => self.steps(),
            "runner" => github::runner(),
            "inputs" => types.inputs.get_or_init(|| self.inputs()).clone(),
            "matrix" if self.in_matrix => Type::Any,
            "matrix" => self.job_types(|job| &job.matrix, Self::matrix),
            "strategy" => github::strategy(),
            _ => self.job_types(|job| &job.needs, Self::needs),
        })
    }

    /// The same place as the matrix of the job sees it.
    pub(super) fn inside_matrix(self) -> Self {
        Self { in_matrix: true, ..self }
    }

    fn job_types(&self, cell: fn(&JobTypes) -> &OnceCell<Type>, make: fn(&Self) -> Type) -> Type {
        match self.job.and_then(|job| self.types.jobs.get(job)) {
            Some(job) => cell(job).get_or_init(|| make(self)).clone(),
            None => Type::Any,
        }
    }

    fn workflow(&self) -> Option<&'t Workflow> {
        if let File::Workflow(workflow) = self.types.file { Some(workflow) } else { None }
    }

    fn model_of_job(&self) -> Option<&'t Job> {
        self.workflow()?.jobs.get(self.job?)
    }

    fn model_of_steps(&self) -> &'t [Step] {
        match self.types.file {
            File::Workflow(_) => match self.model_of_job().map(|job| &job.kind) {
                Some(JobKind::Steps(steps)) => &steps.steps,
                _ => &[],
            },
            File::Action(action) => match &action.runs {
                ActionRuns::Composite { steps } => steps,
                _ => &[],
            },
        }
    }

    /// The type of `github.event`. An action has the event of whoever uses it.
    pub(super) fn event_type(&self) -> Type {
        let make = || match self.workflow() {
            Some(workflow) => payload::event(&workflow.on),
            None => Type::loose::<&str>([]),
        };
        self.types.event.get_or_init(make).clone()
    }

    fn inputs(&self) -> Type {
        match self.types.file {
            File::Workflow(workflow) => inputs_of_workflow(&workflow.on),
            File::Action(action) => Type::texts_named(action.inputs.keys().map(String::as_str)),
        }
    }

    /// Only a called workflow that says which secrets it takes is known not to get others.
    fn secrets(&self) -> Type {
        let Some(workflow) = self.workflow() else { return Type::texts() };
        match workflow.on.events.get("workflow_call") {
            Some(call) if call.declares_secrets && workflow.on.events.len() == 1 => {
                let declared = call.call_secrets.keys().map(String::as_str);
                Type::texts_named(declared.chain(GIVEN_SECRETS))
            }
            _ => Type::texts(),
        }
    }

    fn needs(&self) -> Type {
        let (Some(workflow), Some(job)) = (self.workflow(), self.model_of_job()) else { return Type::Any };
        Type::strict(job.needs.iter().filter_map(|id| {
            let needed = workflow.job(&id.value)?;
            let result = ("result", Type::String);
            Some((id.value.as_str(), Type::strict([("outputs", outputs_of_job(needed)), result])))
        }))
    }

    /// `jobs`, which the outputs of a called workflow are made of.
    fn called_jobs(&self) -> Type {
        let Some(workflow) = self.workflow() else { return Type::Any };
        Type::strict(workflow.jobs.iter().map(|job| {
            let result = ("result", Type::String);
            (job.id.value.as_str(), Type::strict([("outputs", outputs_of_job(job)), result]))
        }))
    }

    fn matrix(&self) -> Type {
        match (self.types.file, self.model_of_job()) {
            (File::Workflow(_), Some(job)) => matrix::matrix(job.strategy.as_ref(), &self.inside_matrix()),
            _ => Type::Any,
        }
    }

    fn job(&self) -> Type {
        let Some(JobKind::Steps(steps)) = self.model_of_job().map(|job| &job.kind) else {
            return github::job(Type::Any);
        };
        let Some(services) = &steps.services else { return github::job(Type::texts_named::<&str>([])) };
        let names = services.entries().iter().map(crate::template::Entry::name);
        let TokenKind::Mapping(entries) = &services.kind else { return github::job(Type::Any) };
        if names.clone().any(|name| name.is_none()) {
            return github::job(Type::Any);
        }
        let types =
            names.flatten().zip(entries.iter()).map(|(name, entry)| (name, github::service(&entry.value)));
        github::job(Type::strict(types))
    }

    fn steps(&self) -> Type {
        let Some(job) = self.job.and_then(|job| self.types.jobs.get(job)) else { return Type::Any };
        let steps = job.steps.get_or_init(|| self.all_steps());
        let visible = self.step.and_then(|step| steps.before.get(step)).copied();
        Type::Object(visible.map_or_else(|| steps.all.clone(), |count| steps.all.first(count)))
    }

    fn all_steps(&self) -> StepsTypes {
        let steps = self.model_of_steps();
        let mut before = Vec::with_capacity(steps.len());
        let mut types = Vec::new();
        for step in steps {
            before.push(types.len());
            if !step.generated_id {
                types.push((step.id.as_str(), self.step_type(step)));
            }
        }
        StepsTypes { all: ObjectType::new(types, Rest::Nothing), before }
    }

    fn step_type(&self, step: &Step) -> Type {
        let outputs = match &step.kind {
            StepKind::Uses { uses, .. } => match self.types.actions.outputs(&uses.value) {
                Some(outputs) => {
                    let rest = if outputs.is_complete { Rest::Nothing } else { Rest::String };
                    let names = outputs.names.iter().map(|name| (&**name, Type::String));
                    Type::Object(ObjectType::new(names, rest))
                }
                None => Type::texts(),
            },
            _ => Type::texts(),
        };
        Type::strict([("outputs", outputs), ("conclusion", Type::String), ("outcome", Type::String)])
    }
}

fn inputs_of_workflow(on: &Triggers) -> Type {
    let dispatch = on.events.get("workflow_dispatch").map(|trigger| &trigger.dispatch_inputs);
    let call = on.events.get("workflow_call").map(|trigger| &trigger.call_inputs);
    let dispatch =
        dispatch.into_iter().flatten().map(|(name, input)| (name.as_str(), type_of_input(input.kind)));
    let call = call.into_iter().flatten().map(|(name, input)| (name.as_str(), type_of_input(input.kind)));
    Type::strict(dispatch.chain(call))
}

/// The type of an input's value.
pub(super) fn type_of_input(kind: InputType) -> Type {
    match kind {
        InputType::Boolean => Type::Bool,
        InputType::Number => Type::Number,
        InputType::String | InputType::Choice | InputType::Environment => Type::String,
    }
}

/// The outputs that a job declares, or that the workflow declares that it calls.
fn outputs_of_job(job: &Job) -> Type {
    match &job.kind {
        JobKind::Steps(steps) => match &steps.outputs {
            None => Type::texts_named::<&str>([]),
            Some(outputs) => names_of(outputs).map_or_else(Type::texts, Type::texts_named),
        },
        JobKind::Call(call) => {
            let called = call.workflow.as_ref().and_then(|called| called.on.events.get("workflow_call"));
            match called {
                Some(trigger) => Type::texts_named(trigger.call_outputs.keys().map(String::as_str)),
                None => Type::texts(),
            }
        }
    }
}

/// The keys of a mapping; none if one of them is an expression, or the whole is.
fn names_of(token: &Token) -> Option<Vec<&str>> {
    match &token.kind {
        TokenKind::Mapping(entries) => entries.iter().map(|entry| entry.name()).collect(),
        _ => None,
    }
}
