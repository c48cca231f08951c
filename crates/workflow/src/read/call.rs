//! Called workflows: found, read, checked against their callers and put into the calling jobs.
//!
//! A mistake in a called workflow is reported in the file of the call, at the `uses` that refers to it.

use indexmap::IndexMap;

use super::options::{MAX_FILES, ReadOptions, Strictness};
use super::report::{Report, quoted};
use super::template::typed;
use super::workflow;
use crate::diagnostic::{Diagnostic, Severity};
use crate::model::{Call, CallSecrets, InputType, Job, JobKind, Trigger, Workflow};
use crate::permissions::Permissions;
use crate::resolve::{RepositoryVersion, Resolution, WorkflowReference};
use crate::schema::workflow::{BOOLEAN_INPUT, NUMBER_INPUT, SCHEMA, STRING_INPUT};
use crate::source::{SourceFile, Span, Spanned};
use crate::template::{Entry, Token};

/// Reads the workflows that the jobs of the report's file call.
pub(crate) fn read_all(workflow: &mut Workflow, options: &ReadOptions<'_>, report: &mut Report<'_>) {
    let mut calls = Calls { options, jobs: 0, files: 1, findings: Vec::new() };
    if let Some(message) = calls.count(&workflow.jobs) {
        let first_beyond = workflow.jobs.get(options.max_jobs.unwrap_or_default());
        report.error(first_beyond.map_or(Span::default(), |job| job.id.span), "max-job-limit", message);
        return;
    }
    let around = workflow.permissions.as_ref().map(Permissions::of);
    calls.read_jobs(&mut workflow.jobs, around, report.file(), None, 1);
    calls.findings.into_iter().for_each(|finding| report.push(finding));
}

/// Where a call stands.
struct Site<'a> {
    file: &'a SourceFile,
    repository: Option<&'a RepositoryVersion>,
    /// 1 for a call of the first file.
    depth: usize,
    /// What the called workflow may ask for, where a file says so.
    allowed: Option<Permissions>,
    /// The id of the calling job.
    job: Span,
    /// The reference as it is written.
    uses: Spanned<String>,
}

struct Calls<'a> {
    options: &'a ReadOptions<'a>,
    /// Jobs of all files so far.
    jobs: usize,
    /// Files so far.
    files: usize,
    /// What was found, each in the file of the call.
    findings: Vec<Diagnostic>,
}

impl Calls<'_> {
    /// Counts the jobs of one more file. The message says that they are too many.
    fn count(&mut self, jobs: &[Job]) -> Option<String> {
        self.jobs += jobs.len();
        let limit = self.options.max_jobs.filter(|limit| self.jobs > *limit)?;
        Some(format!("Workflows may not contain more than {limit} jobs across all referenced files"))
    }

    fn refuse(&mut self, site: &Site<'_>, span: Span, code: &'static str, message: String) {
        self.findings.push(Diagnostic::new(code, Severity::Error, site.file, Some(span), message));
    }

    fn read_jobs(
        &mut self,
        jobs: &mut [Job],
        around: Option<Permissions>,
        file: &SourceFile,
        repository: Option<&RepositoryVersion>,
        depth: usize,
    ) {
        for job in jobs {
            let allowed = job.permissions.as_ref().map(Permissions::of).or(around);
            let JobKind::Call(call) = &mut job.kind else { continue };
            let site = Site { file, repository, depth, allowed, job: job.id.span, uses: call.uses.clone() };
            self.read(call, &site);
        }
    }

    fn read(&mut self, call: &mut Call, site: &Site<'_>) {
        let uses = site.uses.span;
        if site.depth > self.options.max_call_depth {
            let message = format!("Nested reusable workflow depth exceeded {}.", self.options.max_call_depth);
            return self.refuse(site, uses, "max-nested-reusable-workflows-depth", message);
        }
        // A reference of the wrong form is reported where the job is read.
        let Ok(reference) = WorkflowReference::parse(&site.uses.value, site.repository) else { return };
        let file = match self.options.resolver.resolve(&reference) {
            Resolution::Unknown => return,
            Resolution::Missing => {
                let message = format!("Unable to find reusable workflow {}", quoted(&reference.to_string()));
                return self.refuse(site, uses, "called-workflow-missing", message);
            }
            Resolution::Found(file) => file,
        };
        self.files += 1;
        if self.files > MAX_FILES {
            let message = format!("The maximum file count of {MAX_FILES} has been exceeded");
            return self.refuse(site, uses, "max-files", message);
        }
        let before = self.findings.len();
        let Some(mut called) = self.called(&file, &reference, site) else { return };
        match called.on.events.get("workflow_call") {
            None => {
                let message = "workflow_call key is not defined in the referenced workflow.".to_owned();
                self.refuse(site, uses, "not-callable", message);
            }
            Some(trigger) => {
                self.check_inputs(call, trigger, site);
                self.check_secrets(call, trigger, site);
            }
        }
        self.check_permissions(&called, site);
        if self.findings.len() == before {
            let around = called.permissions.as_ref().map(Permissions::of).or(site.allowed);
            self.read_jobs(&mut called.jobs, around, &file, reference.repository.as_ref(), site.depth + 1);
        }
        call.workflow = Some(Box::new(called));
    }

    /// The called workflow, if nothing is wrong with it by itself.
    fn called(
        &mut self,
        file: &SourceFile,
        reference: &WorkflowReference,
        site: &Site<'_>,
    ) -> Option<Workflow> {
        let mut report = Report::new(file);
        let options = ReadOptions { strictness: Strictness::Runner, ..*self.options };
        let called = workflow::read(&options, reference.repository.as_ref(), &mut report);
        let before = self.findings.len();
        for error in report.finish().into_iter().filter(|finding| finding.severity == Severity::Error) {
            let message = format!(
                "Error from called workflow {reference} (Line: {}, Col: {}): {}",
                error.line, error.column, error.message
            );
            self.refuse(site, site.uses.span, error.code, message);
        }
        let called = called.filter(|_| self.findings.len() == before)?;
        if let Some(message) = self.count(&called.jobs) {
            self.refuse(site, site.uses.span, "max-job-limit", message);
            return None;
        }
        Some(called)
    }

    /// What the called workflow and its jobs ask for must be allowed to the calling job.
    fn check_permissions(&mut self, called: &Workflow, site: &Site<'_>) {
        let uses = &site.uses.value;
        let is_trusted = uses.starts_with("./") || uses.starts_with("$/");
        let policy = self.options.permissions_policy.map(|policy| Permissions::of_policy(policy, is_trusted));
        let Some(allowed) = site.allowed.or(policy) else { return };
        let workflow = called.permissions.as_ref().map(|asked| ("The workflow".to_owned(), asked));
        let jobs = called.jobs.iter().filter_map(|job| {
            Some((format!("The nested job '{}'", job.id.value), job.permissions.as_ref()?))
        });
        for (who, asked) in workflow.into_iter().chain(jobs) {
            if let Some((asked, allowed)) = Permissions::of(asked).beyond(&allowed) {
                let message = format!(
                    "Error calling workflow '{uses}'. {who} is requesting '{asked}', but is only allowed '{allowed}'."
                );
                self.refuse(site, site.job, "called-workflow-permissions", message);
            }
        }
    }

    fn check_inputs(&mut self, call: &Call, trigger: &Trigger, site: &Site<'_>) {
        let code = "call-inputs";
        let given = call.with.as_ref().map(Token::entries).unwrap_or_default();
        for (name, input) in &trigger.call_inputs {
            let definition = match input.kind {
                InputType::Boolean => BOOLEAN_INPUT,
                InputType::Number => NUMBER_INPUT,
                InputType::String | InputType::Choice | InputType::Environment => STRING_INPUT,
            };
            let fits = |token: &Token| typed(&SCHEMA, definition, token.kind.clone());
            if let Some(Err(text)) = input.default.as_ref().map(fits) {
                let message =
                    format!("Unexpected value {} as the default of input {}", quoted(&text), quoted(name));
                self.refuse(site, site.uses.span, code, message);
            }
            match find(given, name) {
                Some(entry) => {
                    if let Err(text) = fits(&entry.value) {
                        self.refuse(
                            site,
                            entry.value.span,
                            code,
                            format!("Unexpected value {}", quoted(&text)),
                        );
                    }
                }
                None if input.required && given.iter().all(|entry| entry.name().is_some()) => {
                    let message = format!("Input {name} is required, but not provided while calling.");
                    self.refuse(site, site.uses.span, code, message);
                }
                None => {}
            }
        }
        self.check_known(given, &trigger.call_inputs, "input", site);
    }

    fn check_secrets(&mut self, call: &Call, trigger: &Trigger, site: &Site<'_>) {
        let given = match &call.secrets {
            CallSecrets::Inherit => return,
            CallSecrets::None => &[],
            CallSecrets::Map(token) => token.entries(),
        };
        let all_known = given.iter().all(|entry| entry.name().is_some());
        for (name, secret) in &trigger.call_secrets {
            if secret.required && all_known && find(given, name).is_none() {
                let message = format!("Secret {name} is required, but not provided while calling.");
                self.refuse(site, site.uses.span, "call-secrets", message);
            }
        }
        self.check_known(given, &trigger.call_secrets, "secret", site);
    }

    /// Nothing may be given that the called workflow does not define.
    fn check_known<T>(&mut self, given: &[Entry], known: &IndexMap<String, T>, noun: &str, site: &Site<'_>) {
        let code = if noun == "input" { "call-inputs" } else { "call-secrets" };
        for (entry, name) in given.iter().filter_map(|entry| Some((entry, entry.name()?))) {
            if !known.keys().any(|known| known.eq_ignore_ascii_case(name)) {
                let message = format!("Invalid {noun}, {name} is not defined in the referenced workflow.");
                self.refuse(site, entry.value.span, code, message);
            }
        }
    }
}

/// The entry with this name, in any case.
fn find<'a>(entries: &'a [Entry], name: &str) -> Option<&'a Entry> {
    entries.iter().find(|entry| entry.name().is_some_and(|given| given.eq_ignore_ascii_case(name)))
}
