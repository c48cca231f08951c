//! Called workflows: found, read, checked against their callers and put into the calling jobs.
//!
//! A mistake in a called workflow is reported at the `uses` of the first file, through which it was reached.

use super::options::{MAX_FILES, ReadOptions, Strictness};
use super::permissions::Permissions;
use super::report::{Report, quoted};
use super::template::typed;
use super::workflow;
use crate::diagnostic::Severity;
use crate::model::{Call, CallSecrets, InputType, Job, JobKind, Trigger, Workflow};
use crate::resolve::{RepositoryVersion, Resolution, WorkflowReference};
use crate::schema::workflow::{BOOLEAN_INPUT, NUMBER_INPUT, SCHEMA, STRING_INPUT};
use crate::source::{SourceFile, Span};
use crate::template::Token;

/// Reads the workflows that the jobs of the report's file call.
pub(crate) fn read_all(workflow: &mut Workflow, options: &ReadOptions<'_>, report: &mut Report<'_>) {
    let mut calls = Calls { options, jobs: 0, files: 1 };
    if let Some(message) = calls.count(&workflow.jobs) {
        let span = workflow
            .jobs
            .get(options.max_jobs.unwrap_or_default())
            .map_or(Span::default(), |job| job.id.span);
        report.error(span, "max-job-limit", message);
        return;
    }
    let around = workflow.permissions.as_ref().map(Permissions::of);
    for job in &mut workflow.jobs {
        let allowed = job.permissions.as_ref().map(Permissions::of).or(around);
        let place = job.id.span;
        if let JobKind::Call(call) = &mut job.kind {
            let uses = call.uses.span;
            let caller = Caller { repository: None, depth: 1, allowed };
            let mut findings = Vec::new();
            calls.read(call, &caller, &mut findings);
            for finding in findings {
                let span = match finding.place {
                    Place::Uses => uses,
                    Place::Job => place,
                    Place::At(span) => span,
                };
                report.error(span, finding.code, finding.message);
            }
        }
    }
}

/// A mistake found at a call.
struct Finding {
    place: Place,
    code: &'static str,
    message: String,
}

/// Where, in the file of the call.
#[derive(Clone, Copy)]
enum Place {
    Uses,
    Job,
    At(Span),
}

/// What is known where a call stands.
struct Caller {
    repository: Option<RepositoryVersion>,
    /// 1 for a call of the first file.
    depth: usize,
    /// What the called workflow may ask for, where a file says so.
    allowed: Option<Permissions>,
}

struct Calls<'a> {
    options: &'a ReadOptions<'a>,
    /// Jobs of all files so far.
    jobs: usize,
    /// Files so far.
    files: usize,
}

impl Calls<'_> {
    /// Counts the jobs of one more file. The message says that they are too many.
    fn count(&mut self, jobs: &[Job]) -> Option<String> {
        self.jobs += jobs.len();
        let limit = self.options.max_jobs.filter(|limit| self.jobs > *limit)?;
        Some(format!("Workflows may not contain more than {limit} jobs across all referenced files"))
    }

    fn read(&mut self, call: &mut Call, caller: &Caller, findings: &mut Vec<Finding>) {
        let mut refuse = |code, message| findings.push(Finding { place: Place::Uses, code, message });
        if caller.depth > self.options.max_call_depth {
            let depth = self.options.max_call_depth;
            return refuse(
                "max-nested-reusable-workflows-depth",
                format!("Nested reusable workflow depth exceeded {depth}."),
            );
        }
        // A reference of the wrong form is reported where the job is read.
        let Ok(reference) = WorkflowReference::parse(&call.uses.value, caller.repository.as_ref()) else {
            return;
        };
        let file = match self.options.resolver.resolve(&reference) {
            Resolution::Unknown => return,
            Resolution::Missing => {
                let message = format!("Unable to find reusable workflow {}", quoted(&reference.to_string()));
                return refuse("called-workflow-missing", message);
            }
            Resolution::Found(file) => file,
        };
        self.files += 1;
        if self.files > MAX_FILES {
            return refuse("max-files", format!("The maximum file count of {MAX_FILES} has been exceeded"));
        }
        let before = findings.len();
        let Some(mut called) = self.called(&file, &reference, findings) else { return };
        match called.on.events.get("workflow_call") {
            None => findings.push(Finding {
                place: Place::Uses,
                code: "not-callable",
                message: "workflow_call key is not defined in the referenced workflow.".into(),
            }),
            Some(trigger) => {
                check_inputs(call, trigger, findings);
                check_secrets(call, trigger, findings);
            }
        }
        self.check_permissions(call, &called, caller, findings);
        if findings.len() == before {
            self.nested(&mut called, &reference, caller, findings);
        }
        call.workflow = Some(Box::new(called));
    }

    fn called(
        &mut self,
        file: &SourceFile,
        reference: &WorkflowReference,
        findings: &mut Vec<Finding>,
    ) -> Option<Workflow> {
        let mut report = Report::new(file);
        let options = ReadOptions { strictness: Strictness::Runner, ..*self.options };
        let called = workflow::read(&options, reference.repository.as_ref(), &mut report);
        let errors = report.finish().into_iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
        let before = findings.len();
        findings.extend(errors.map(|error| Finding {
            place: Place::Uses,
            code: error.code,
            message: format!(
                "Error from called workflow {reference} (Line: {}, Col: {}): {}",
                error.line, error.column, error.message
            ),
        }));
        let called = called.filter(|_| findings.len() == before)?;
        if let Some(message) = self.count(&called.jobs) {
            findings.push(Finding { place: Place::Uses, code: "max-job-limit", message });
            return None;
        }
        Some(called)
    }

    /// What the called workflow and its jobs ask for must be allowed to the calling job.
    fn check_permissions(
        &self,
        call: &Call,
        called: &Workflow,
        caller: &Caller,
        findings: &mut Vec<Finding>,
    ) {
        let is_trusted = call.uses.value.starts_with("./") || call.uses.value.starts_with("$/");
        let policy = self.options.permissions_policy.map(|policy| Permissions::of_policy(policy, is_trusted));
        let Some(allowed) = caller.allowed.or(policy) else { return };
        let mut check = |asked: &Token, who: String| {
            if let Some((asked, allowed)) = Permissions::of(asked).beyond(&allowed) {
                let message = format!(
                    "Error calling workflow '{}'. {who} is requesting '{asked}', but is only allowed '{allowed}'.",
                    call.uses.value
                );
                findings.push(Finding { place: Place::Job, code: "called-workflow-permissions", message });
            }
        };
        if let Some(asked) = &called.permissions {
            check(asked, "The workflow".into());
        }
        for job in &called.jobs {
            if let Some(asked) = &job.permissions {
                check(asked, format!("The nested job '{}'", job.id.value));
            }
        }
    }

    fn nested(
        &mut self,
        called: &mut Workflow,
        reference: &WorkflowReference,
        caller: &Caller,
        findings: &mut Vec<Finding>,
    ) {
        let around = called.permissions.as_ref().map(Permissions::of).or(caller.allowed);
        for job in &mut called.jobs {
            let allowed = job.permissions.as_ref().map(Permissions::of).or(around);
            let JobKind::Call(call) = &mut job.kind else { continue };
            let inside =
                Caller { repository: reference.repository.clone(), depth: caller.depth + 1, allowed };
            let mut inner = Vec::new();
            self.read(call, &inside, &mut inner);
            findings.extend(inner.into_iter().map(|finding| Finding {
                place: Place::Uses,
                code: finding.code,
                message: format!(
                    "Error from called workflow {reference}, job '{}': {}",
                    job.id.value, finding.message
                ),
            }));
        }
    }
}

fn check_inputs(call: &Call, trigger: &Trigger, findings: &mut Vec<Finding>) {
    let mut refuse = |place, message| findings.push(Finding { place, code: "call-inputs", message });
    let given = call.with.as_ref().map(Token::entries).unwrap_or_default();
    let value_of = |name: &str| {
        given.iter().find(|entry| entry.name().is_some_and(|given| given.eq_ignore_ascii_case(name)))
    };
    for (name, input) in &trigger.call_inputs {
        let definition = match input.kind {
            InputType::Boolean => BOOLEAN_INPUT,
            InputType::Number => NUMBER_INPUT,
            InputType::String | InputType::Choice | InputType::Environment => STRING_INPUT,
        };
        let fits = |token: &Token| typed(&SCHEMA, definition, token.kind.clone());
        if let Some(Err(text)) = input.default.as_ref().map(fits) {
            refuse(
                Place::Uses,
                format!("Unexpected value {} as the default of input {}", quoted(&text), quoted(name)),
            );
        }
        match value_of(name) {
            Some(entry) => {
                if let Err(text) = fits(&entry.value) {
                    refuse(Place::At(entry.value.span), format!("Unexpected value {}", quoted(&text)));
                }
            }
            None if input.required && given.iter().all(|entry| entry.name().is_some()) => {
                refuse(Place::Uses, format!("Input {name} is required, but not provided while calling."));
            }
            None => {}
        }
    }
    for entry in given {
        let Some(name) = entry.name() else { continue };
        if !trigger.call_inputs.keys().any(|known| known.eq_ignore_ascii_case(name)) {
            let message = format!("Invalid input, {name} is not defined in the referenced workflow.");
            refuse(Place::At(entry.value.span), message);
        }
    }
}

fn check_secrets(call: &Call, trigger: &Trigger, findings: &mut Vec<Finding>) {
    let given = match &call.secrets {
        CallSecrets::Inherit => return,
        CallSecrets::None => &[],
        CallSecrets::Map(token) => token.entries(),
    };
    let mut refuse = |place, message| findings.push(Finding { place, code: "call-secrets", message });
    let is_given = |name: &str| {
        given.iter().any(|entry| entry.name().is_none_or(|given| given.eq_ignore_ascii_case(name)))
    };
    for (name, secret) in &trigger.call_secrets {
        if secret.required && !is_given(name) {
            refuse(Place::Uses, format!("Secret {name} is required, but not provided while calling."));
        }
    }
    for entry in given {
        let Some(name) = entry.name() else { continue };
        if !trigger.call_secrets.keys().any(|known| known.eq_ignore_ascii_case(name)) {
            let message = format!("Invalid secret, {name} is not defined in the referenced workflow.");
            refuse(Place::At(entry.value.span), message);
        }
    }
}
