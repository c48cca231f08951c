//! From a checked workflow and an event to a plan: inputs, the `github` context, called workflows.

use std::collections::HashMap;

use indexmap::IndexMap;

use super::{Plan, PlannedCall, PlannedWorkflow, Selection};
use crate::diagnostic::{Diagnostic, Severity};
use crate::event::{Event, github_context};
use crate::expr::{Object, Value};
use crate::inputs::{InputError, call_inputs, dispatch_inputs, given_call_inputs};
use crate::model::{Call, Job, JobKind, Workflow};
use crate::read::{ReadOptions, Strictness, parse};
use crate::resolve::{Resolution, ResolveNothing, WorkflowReference};
use crate::source::SourceFile;

/// The most jobs of a workflow and all that it calls, matrices not counted.
pub const MAX_PLANNED_JOBS: usize = 4096;

/// What only the run itself knows of the `github` context. All are texts, as GitHub has them.
#[derive(Clone, Debug, Default)]
pub struct RunFacts {
    /// `run_id`.
    pub run_id: String,
    /// `run_attempt`.
    pub run_attempt: String,
}

/// What a plan is made of.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The workflow's file.
    pub file: &'a SourceFile,
    /// The workflow as read from it, without errors.
    pub workflow: Workflow,
    /// The event that starts it.
    pub event: Event,
    /// Inputs given beside the payload; they win.
    pub inputs: Vec<(String, String)>,
    /// The `vars` context.
    pub vars: Value,
    /// Variables added to the `env` of every workflow.
    pub env: Vec<(String, String)>,
    /// Which jobs and legs run.
    pub selection: Selection,
    /// Names of the run.
    pub run: RunFacts,
}

/// Plans a run. Called workflows are found and read as `options` say.
///
/// # Errors
/// Every reason for which GitHub would refuse the run before a job starts: errors of called workflows, inputs that do not
/// fit, jobs that are selected but do not exist.
pub fn plan(request: Request<'_>, options: &ReadOptions<'_>) -> Result<Plan, Vec<Diagnostic>> {
    let Request { file, workflow, mut event, inputs, vars, env, selection, run } = request;
    let mut builder = Builder { options, known: HashMap::new(), jobs: 0, diagnostics: Vec::new() };
    for id in selection.jobs.iter().filter(|id| workflow.job(id).is_none()) {
        let message = format!("the workflow has no job '{id}'");
        builder.diagnostics.push(Diagnostic::new("unknown-job", Severity::Error, file, None, message));
    }
    let inputs = match root_inputs(&workflow, &event, &inputs) {
        Ok(inputs) => inputs,
        Err(errors) => {
            let span = workflow.on.events.get(&event.name).map(|trigger| trigger.span);
            builder.diagnostics.extend(errors.iter().map(|error| {
                Diagnostic::new("workflow-inputs", Severity::Error, file, span, error.to_string())
            }));
            RootInputs::default()
        }
    };
    if let Some(texts) = inputs.texts
        && let Some(payload) = event.payload.as_object()
    {
        let mut payload = payload.clone();
        payload.insert("inputs", texts);
        event.payload = payload.into();
    }
    fill_schedule(&workflow, &mut event);
    let github = run_context(&workflow, &event, &run);
    let root = builder.planned(file, workflow, None, &mut Vec::new());
    if !builder.diagnostics.is_empty() {
        return Err(builder.diagnostics);
    }
    Ok(Plan { root, event, github, inputs: inputs.values.into(), vars, env, selection })
}

/// A schedule's payload names the expression that fired; where it does not, and there is one only, it was that one.
fn fill_schedule(workflow: &Workflow, event: &mut Event) {
    let trigger = workflow.on.events.get("schedule").filter(|_| event.name == "schedule");
    if let Some([entry]) = trigger.map(|trigger| trigger.schedule.as_slice())
        && let Some(payload) = event.payload.as_object()
        && !payload.contains_key("schedule")
    {
        let mut payload = payload.clone();
        payload.insert("schedule", entry.cron.value.as_str());
        event.payload = payload.into();
    }
}

#[derive(Default)]
struct RootInputs {
    /// What `github.event.inputs` becomes.
    texts: Option<Object>,
    values: Object,
}

fn root_inputs(
    workflow: &Workflow,
    event: &Event,
    given: &[(String, String)],
) -> Result<RootInputs, Vec<InputError>> {
    let trigger = workflow.on.events.get(&event.name);
    match event.name.as_str() {
        "workflow_dispatch" => {
            let none = IndexMap::new();
            let declared = trigger.map_or(&none, |trigger| &trigger.dispatch_inputs);
            let inputs = dispatch_inputs(declared, &event.payload, given)?;
            Ok(RootInputs { texts: Some(inputs.texts), values: inputs.values })
        }
        "workflow_call" => {
            let none = IndexMap::new();
            let declared = trigger.map_or(&none, |trigger| &trigger.call_inputs);
            let mut with =
                event.payload.get("inputs").and_then(Value::as_object).cloned().unwrap_or_default();
            let given = given_call_inputs(declared, given);
            with.extend(given.iter().map(|(name, value)| (name, value.clone())));
            let literal = |token: &crate::template::Token| Ok(crate::inputs::literal(token));
            let values = call_inputs(declared, &with.into(), &literal)?;
            Ok(RootInputs { texts: None, values })
        }
        _ => match given.first() {
            Some((name, _)) => Err(vec![InputError::Unknown(name.clone())]),
            None => Ok(RootInputs::default()),
        },
    }
}

/// The `github` context with what the workflow and the run add to the event's.
fn run_context(workflow: &Workflow, event: &Event, run: &RunFacts) -> Value {
    let mut github = github_context(event).as_object().cloned().unwrap_or_default();
    let name = workflow.name.as_ref().map_or(&*workflow.file, |name| name.value.as_str());
    let texts = [
        ("workflow", name.to_owned()),
        ("workflow_ref", format!("{}/{}@{}", event.repository, workflow.file, event.git_ref)),
        ("workflow_sha", event.sha.clone()),
        ("run_id", run.run_id.clone()),
        ("run_attempt", run.run_attempt.clone()),
    ];
    github.extend(texts);
    github.into()
}

struct Builder<'a> {
    options: &'a ReadOptions<'a>,
    known: HashMap<WorkflowReference, Option<(SourceFile, Workflow)>>,
    jobs: usize,
    diagnostics: Vec<Diagnostic>,
}

impl Builder<'_> {
    /// The workflow with what it calls. `at` is its own reference, `chain` the references on the way to it.
    fn planned(
        &mut self,
        file: &SourceFile,
        workflow: Workflow,
        at: Option<&WorkflowReference>,
        chain: &mut Vec<WorkflowReference>,
    ) -> PlannedWorkflow {
        self.jobs += workflow.jobs.len();
        let mut calls = IndexMap::new();
        for job in &workflow.jobs {
            if let JobKind::Call(call) = &job.kind
                && let Some(called) = self.called(file, job, call, at, chain)
            {
                calls.insert(job.id.value.clone(), called);
            }
        }
        PlannedWorkflow { workflow, text: file.text().clone(), calls }
    }

    fn called(
        &mut self,
        file: &SourceFile,
        job: &Job,
        call: &Call,
        at: Option<&WorkflowReference>,
        chain: &mut Vec<WorkflowReference>,
    ) -> Option<PlannedCall> {
        let repository = at.and_then(|at| at.repository.as_ref());
        let reference = match WorkflowReference::parse(&call.uses.value, repository, self.options.call_rules)
        {
            Ok(reference) => reference,
            Err(error) => return self.refuse(file, call, error.to_string()),
        };
        if chain.contains(&reference) {
            return self.refuse(file, call, format!("the workflow {reference} calls itself"));
        }
        let levels = self.options.max_call_depth;
        if chain.len() >= levels {
            let message = format!("workflows are called more than {levels} levels deep");
            return self.refuse(file, call, message);
        }
        if self.jobs >= MAX_PLANNED_JOBS {
            let message = format!("the workflow and those it calls have more than {MAX_PLANNED_JOBS} jobs");
            return self.refuse(file, call, message);
        }
        let Some((called_file, workflow)) = self.read(file, job, call, &reference)? else {
            return Some(PlannedCall::Unknown {
                reason: format!("the called workflow {reference} is not available here"),
            });
        };
        chain.push(reference.clone());
        let planned = self.planned(&called_file, workflow, Some(&reference), chain);
        chain.pop();
        Some(PlannedCall::Workflow(Box::new(planned)))
    }

    fn refuse<T>(&mut self, file: &SourceFile, call: &Call, message: String) -> Option<T> {
        let span = Some(call.uses.span);
        self.diagnostics.push(Diagnostic::new("workflow-call", Severity::Error, file, span, message));
        None
    }

    /// The called workflow; `Some(None)` where it is out of reach, `None` where it is wrong.
    #[expect(clippy::option_option, reason = "wrong and out of reach are different ends")]
    fn read(
        &mut self,
        file: &SourceFile,
        job: &Job,
        call: &Call,
        reference: &WorkflowReference,
    ) -> Option<Option<(SourceFile, Workflow)>> {
        if let Some(known) = self.known.get(reference) {
            return Some(known.clone());
        }
        let found = match self.options.resolver.resolve(reference) {
            Resolution::Unknown => None,
            Resolution::Missing => {
                let message =
                    format!("job '{}' calls the workflow {reference}, which does not exist", job.id.value);
                return self.refuse(file, call, message);
            }
            Resolution::Found(called) => {
                // The calls of the called workflow are followed here. Which features its repository has is not known.
                let alone = ReadOptions {
                    resolver: &ResolveNothing,
                    strictness: Strictness::Runner,
                    background_steps: true,
                    ..*self.options
                };
                let parsed = parse(&called, &alone);
                let wrong = parsed.has_errors();
                let errors = parsed.diagnostics.into_iter().filter(|one| one.severity == Severity::Error);
                self.diagnostics.extend(errors);
                let workflow = parsed.value.filter(|_| !wrong)?;
                if !workflow.on.events.contains_key("workflow_call") {
                    let message =
                        format!("the workflow {reference} cannot be called: it has no `on.workflow_call`");
                    return self.refuse(file, call, message);
                }
                Some((called, workflow))
            }
        };
        self.known.insert(reference.clone(), found.clone());
        Some(found)
    }
}
