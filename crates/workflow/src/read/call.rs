//! Called workflows: found, read, checked against their callers and put into the calling jobs.
//!
//! A mistake in a called workflow is reported in the file of the call, at the `uses` that refers to it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indexmap::IndexMap;

use super::options::{MAX_FILES, ReadOptions, Strictness};
use super::report::{Report, quoted};
use super::template::typed;
use super::workflow;
use crate::diagnostic::{Diagnostic, Severity};
use crate::model::{Call, CallSecrets, InputType, Job, JobKind, Trigger, Workflow};
use crate::permissions::Permissions;
use crate::resolve::{CallRules, RepositoryVersion, Resolution, WorkflowReference};
use crate::schema::workflow::{BOOLEAN_INPUT, NUMBER_INPUT, SCHEMA, STRING_INPUT};
use crate::source::{SourceFile, Span, Spanned};
use crate::template::{Entry, Token};

/// Calls of one run, one inside another: files that call each other many times multiply.
const MAX_CALLS: usize = 1000;
/// Bytes of all called files, each counted as often as it is called.
const MAX_CALLED_BYTES: usize = 32 * 1024 * 1024;

/// Reads the workflows that the jobs of the report's file call.
pub(crate) fn read_all(workflow: &mut Workflow, options: &ReadOptions<'_>, report: &mut Report<'_>) {
    let mut calls =
        Calls { options, jobs: 0, calls: 0, bytes: 0, files: HashMap::new(), findings: Vec::new() };
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

/// The called workflows of a repository, read once for all files that call them.
#[derive(Debug, Default)]
pub struct CalledFiles(Mutex<HashMap<String, Arc<CalledFile>>>);

impl CalledFiles {
    /// The most files that are kept.
    const MAX: usize = 1000;

    fn files(&self) -> MutexGuard<'_, HashMap<String, Arc<CalledFile>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, name: &str) -> Option<Arc<CalledFile>> {
        self.files().get(name).cloned()
    }

    fn keep(&self, name: &str, file: &Arc<CalledFile>) {
        let mut files = self.files();
        if files.len() < Self::MAX {
            files.insert(name.to_owned(), file.clone());
        }
    }
}

/// A called file by itself.
#[derive(Debug)]
struct CalledFile {
    file: SourceFile,
    workflow: Option<Workflow>,
    /// Codes and texts of its mistakes, which are told at the first call.
    errors: Vec<(&'static str, String)>,
    /// Whether there are mistakes in it.
    is_refused: bool,
}

struct Calls<'a> {
    options: &'a ReadOptions<'a>,
    /// Jobs of all files so far.
    jobs: usize,
    /// Calls so far, those of the same file again included.
    calls: usize,
    /// Bytes of the called files, counted with the calls.
    bytes: usize,
    /// The called files, read once each.
    files: HashMap<String, Arc<CalledFile>>,
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
        let before = self.findings.len();
        for job in jobs {
            // Inside of called files the first mistake is enough: files that call each other many times repeat it.
            if depth > 1 && self.findings.len() > before {
                return;
            }
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
        // A reference of the wrong form is reported where the job is read; a file elsewhere in the repository is known.
        let parse = |rules| WorkflowReference::parse(&site.uses.value, site.repository, rules);
        let Ok(reference) = parse(self.options.call_rules).or_else(|_| parse(CallRules::Local)) else {
            return;
        };
        self.calls += 1;
        if self.calls > MAX_CALLS {
            let message =
                format!("Workflows may not call more than {MAX_CALLS} workflows, one inside another");
            return self.refuse(site, uses, "max-calls", message);
        }
        let Some((file, is_first)) = self.file(&reference, site) else { return };
        self.bytes += file.file.text().len();
        if self.bytes > MAX_CALLED_BYTES {
            let message = format!("The called workflows have more than {MAX_CALLED_BYTES} bytes");
            return self.refuse(site, uses, "max-files", message);
        }
        let before = self.findings.len();
        let errors = if is_first { file.errors.as_slice() } else { &[] };
        let Some(mut called) = self.called(file.workflow.as_ref(), errors, site) else { return };
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
        if !file.is_refused {
            self.check_permissions(&called, site);
        }
        if !file.is_refused && self.findings.len() == before {
            let around = called.permissions.as_ref().map(Permissions::of).or(site.allowed);
            self.read_jobs(
                &mut called.jobs,
                around,
                &file.file,
                reference.repository.as_ref(),
                site.depth + 1,
            );
        }
        call.workflow = Some(Box::new(called));
    }

    /// The file at a reference, where its text is known, and whether this is its first call.
    fn file(&mut self, reference: &WorkflowReference, site: &Site<'_>) -> Option<(Arc<CalledFile>, bool)> {
        let name = reference.to_string();
        if let Some(known) = self.files.get(&name) {
            return Some((known.clone(), false));
        }
        let called = match self.options.called.and_then(|called| called.get(&name)) {
            Some(kept) => kept,
            None => match self.options.resolver.resolve(reference) {
                Resolution::Unknown => return None,
                Resolution::Missing => {
                    let message = format!("Unable to find reusable workflow {}", quoted(&name));
                    self.refuse(site, site.uses.span, "called-workflow-missing", message);
                    return None;
                }
                Resolution::Found(file) => Arc::new(self.read_file(&name, reference, file)),
            },
        };
        // The first file is one of them.
        if self.files.len() + 1 >= MAX_FILES {
            let message = format!("The maximum file count of {MAX_FILES} has been exceeded");
            self.refuse(site, site.uses.span, "max-files", message);
            return None;
        }
        if let Some(kept) = self.options.called {
            kept.keep(&name, &called);
        }
        self.files.insert(name, called.clone());
        Some((called, true))
    }

    fn read_file(&self, name: &str, reference: &WorkflowReference, file: SourceFile) -> CalledFile {
        let mut report = Report::new(&file, Strictness::Runner);
        // Which features the repository of a called workflow has is not known here.
        let options = ReadOptions { strictness: Strictness::Runner, background_steps: true, ..*self.options };
        let workflow = workflow::read(&options, reference.repository.as_ref(), &mut report);
        let text = |error: Diagnostic| {
            let Diagnostic { code, line, column, message, .. } = error;
            (code, format!("Error from called workflow {name} (Line: {line}, Col: {column}): {message}"))
        };
        let errors = report.finish().into_iter().filter(|finding| finding.severity == Severity::Error);
        let errors: Vec<_> = errors.map(text).collect();
        CalledFile { workflow, is_refused: !errors.is_empty(), errors, file }
    }

    /// The called workflow as far as it can be read; its mistakes are told.
    fn called(
        &mut self,
        workflow: Option<&Workflow>,
        errors: &[(&'static str, String)],
        site: &Site<'_>,
    ) -> Option<Workflow> {
        for (code, message) in errors {
            self.refuse(site, site.uses.span, code, message.clone());
        }
        let workflow = workflow?;
        if let Some(message) = self.count(&workflow.jobs) {
            self.refuse(site, site.uses.span, "max-job-limit", message);
            return None;
        }
        Some(workflow.clone())
    }

    /// What the called workflow and its jobs ask for must be allowed to the calling job.
    fn check_permissions(&mut self, called: &Workflow, site: &Site<'_>) {
        let uses = &site.uses.value;
        let is_trusted = uses.starts_with("./") || uses.starts_with("$/");
        let policy = self.options.permissions_policy.map(|policy| Permissions::of_policy(policy, is_trusted));
        let Some(allowed) = site.allowed.or(policy) else { return };
        let workflow = called.permissions.as_ref().map(|asked| ("The workflow".to_owned(), asked));
        let jobs = called.jobs.iter().filter_map(|job| {
            Some((format!("The nested job '{}'", display_name(job)), job.permissions.as_ref()?))
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
        if self.options.call_rules == CallRules::GitHub {
            self.check_known(given, &trigger.call_secrets, "secret", site);
        }
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

/// What people call a job: its name where that is known before a run, else its id.
fn display_name(job: &Job) -> &str {
    job.name.as_ref().and_then(Token::as_str).unwrap_or(&job.id.value)
}

/// The entry with this name, in any case.
fn find<'a>(entries: &'a [Entry], name: &str) -> Option<&'a Entry> {
    entries.iter().find(|entry| entry.name().is_some_and(|given| given.eq_ignore_ascii_case(name)))
}
