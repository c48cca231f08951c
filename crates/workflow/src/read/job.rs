//! Jobs.

use super::condition::{self, Condition};
use super::identifier::Identifiers;
use super::report::{Report, quoted};
use super::{is_true, step, strategy, text_of, texts_of};
use crate::model::{Call, CallSecrets, Job, JobKind, Steps};
use crate::resolve::{CallRules, RepositoryVersion, WorkflowReference};
use crate::schema::workflow::{JOB_IF, SCHEMA, SNAPSHOT_IF, STEP_IF};
use crate::source::{Span, Spanned};
use crate::template::{Entry, Token, TokenKind};

/// Characters of the name of a concurrency group.
const MAX_CONCURRENCY_GROUP: usize = 400;

/// Reads the mapping `jobs` of a workflow in `repository`.
pub(crate) fn read_all(
    jobs: &Token,
    repository: Option<&RepositoryVersion>,
    rules: CallRules,
    report: &mut Report<'_>,
) -> Vec<Job> {
    jobs.entries().iter().filter_map(|entry| read(entry, repository, rules, report)).collect()
}

fn read(
    entry: &Entry,
    repository: Option<&RepositoryVersion>,
    rules: CallRules,
    report: &mut Report<'_>,
) -> Option<Job> {
    let id = Spanned { value: entry.name()?.to_owned(), span: entry.key_span };
    if let Err(message) = Identifiers::default().take(&id.value) {
        report.error(id.span, "job-id", message);
    }
    let job = &entry.value;
    let part = |name| job.entry(name).map(|entry| entry.value.clone());
    if let Some(token) = job.entry("strategy") {
        strategy::check(&token.value, report);
    }
    if let Some(token) = job.entry("concurrency") {
        check_concurrency(&token.value, report);
    }
    let condition = match job.entry("if") {
        Some(entry) => {
            condition::read(&entry.value, SCHEMA.definition(JOB_IF).allowed, Condition::Status, report)
        }
        None => condition::success(),
    };
    let kind = if let Some(uses) = job.entry("uses").and_then(|entry| text_of(&entry.value)) {
        JobKind::Call(Box::new(call(job, uses, repository, rules, report)))
    } else {
        JobKind::Steps(Box::new(steps(job, report)))
    };
    Some(Job {
        id,
        name: part("name").filter(|name| name.as_str() != Some("")),
        needs: job.entry("needs").map(|entry| texts_of(&entry.value)).unwrap_or_default(),
        condition,
        written_condition: part("if"),
        strategy: part("strategy"),
        permissions: part("permissions"),
        concurrency: part("concurrency"),
        kind,
    })
}

fn steps(job: &Token, report: &mut Report<'_>) -> Steps {
    let part = |name| job.entry(name).map(|entry| entry.value.clone());
    if let Some(entry) = job.entry("runs-on") {
        check_runs_on(&entry.value, report);
    }
    if let Some(entry) = job.entry("container") {
        check_container(&entry.value, false, report);
    }
    if let Some(entry) = job.entry("services").filter(|entry| !entry.value.has_expression()) {
        for service in entry.value.entries() {
            check_container(&service.value, true, report);
        }
    }
    if let Some(entry) = job.entry("snapshot") {
        check_snapshot(&entry.value, report);
    }
    let allowed = SCHEMA.definition(STEP_IF).allowed;
    Steps {
        runs_on: part("runs-on"),
        env: part("env"),
        defaults: part("defaults"),
        outputs: part("outputs"),
        environment: part("environment"),
        container: part("container"),
        services: part("services"),
        snapshot: part("snapshot"),
        continue_on_error: part("continue-on-error"),
        timeout_minutes: part("timeout-minutes"),
        cancel_timeout_minutes: part("cancel-timeout-minutes"),
        steps: job.entry("steps").map(|entry| step::read(&entry.value, allowed, report)).unwrap_or_default(),
    }
}

fn call(
    job: &Token,
    uses: Spanned<String>,
    from: Option<&RepositoryVersion>,
    rules: CallRules,
    report: &mut Report<'_>,
) -> Call {
    if let Err(failure) = WorkflowReference::parse(&uses.value, from, rules) {
        let message = format!("Invalid workflow reference {}: {failure}", quoted(&uses.value));
        report.error(uses.span, "uses-format", message);
    }
    let secrets = match job.entry("secrets").map(|entry| &entry.value) {
        None => CallSecrets::None,
        Some(token) if token.as_str() == Some("inherit") => CallSecrets::Inherit,
        Some(token) => CallSecrets::Map(token.clone()),
    };
    Call { uses, with: job.entry("with").map(|entry| entry.value.clone()), secrets, workflow: None }
}

/// Checks `concurrency` of a workflow or a job.
pub(crate) fn check_concurrency(token: &Token, report: &mut Report<'_>) {
    let group = token.as_str().or_else(|| token.entry("group").and_then(|entry| entry.value.as_str()));
    if group.is_some_and(|group| group.chars().count() > MAX_CONCURRENCY_GROUP) {
        let message = format!("Concurrency group name must be less than {MAX_CONCURRENCY_GROUP} characters");
        report.error(token.span, "concurrency", message);
    }
    let Some(queue) = token.entry("queue").filter(|entry| entry.value.as_str() == Some("max")) else {
        return;
    };
    if token.entry("cancel-in-progress").is_some_and(|entry| is_true(&entry.value)) {
        let message = "'queue: max' cannot be combined with 'cancel-in-progress: true'.";
        report.error(queue.key_span, "concurrency", message);
    }
}

fn check_runs_on(token: &Token, report: &mut Report<'_>) {
    let Some(entry) = token.entry("group") else { return };
    let Some(name) = entry.value.as_str() else { return };
    let parts: Vec<&str> = name.split('/').collect();
    let known = |prefix| matches!(prefix, "org" | "organization" | "ent" | "enterprise");
    let help = match parts[..] {
        [_] => return,
        [prefix, group] if known(prefix) && !group.is_empty() => return,
        [_, ""] => "",
        _ => " Please use 'organization/' or 'enterprise/' prefix to target a single runner group.",
    };
    let message = format!("Invalid runs-on group name {}.{help}", quoted(name));
    report.error(entry.value.span, "runner-group", message);
}

/// An image must be named, except that a job's container may be the empty text, which means none.
fn check_container(token: &Token, is_service: bool, report: &mut Report<'_>) {
    if token.has_expression() {
        return;
    }
    let image = match &token.kind {
        TokenKind::Mapping(_) => match token.entry("image") {
            Some(entry) => entry.value.as_str(),
            None => None,
        },
        _ => token.as_str(),
    };
    let missing = match image {
        None => true,
        Some(image) => match image.strip_prefix("docker://") {
            Some(rest) => rest.is_empty(),
            None => image.is_empty() && is_service,
        },
    };
    if missing {
        report.error(token.span, "container-image", "Container image cannot be empty");
    }
}

fn check_snapshot(token: &Token, report: &mut Report<'_>) {
    if let Some(entry) = token.entry("if") {
        let names = SCHEMA.definition(SNAPSHOT_IF).allowed;
        condition::read(&entry.value, names.with(crate::schema::STATUS_OF_STEPS), Condition::Status, report);
    }
    let Some(version) = token.entry("version").and_then(|entry| entry.value.as_str()) else { return };
    let valid = version
        .strip_suffix(".*")
        .is_some_and(|major| !major.is_empty() && major.bytes().all(|byte| byte.is_ascii_digit()));
    if !valid {
        let message = format!("Expected format '{{major-version}}.*' Actual {}", quoted(version));
        report.error(token.span, "snapshot-version", message);
    }
}

/// A workflow and one of its jobs in the same concurrency group would wait for each other for ever.
pub(crate) fn check_shared_concurrency(workflow: Option<&Token>, jobs: &[Job], report: &mut Report<'_>) {
    let literal_group = |token: &Token| -> Option<(String, Span)> {
        let group =
            if matches!(token.kind, TokenKind::Mapping(_)) { &token.entry("group")?.value } else { token };
        Some((group.as_str()?.to_owned(), group.span))
    };
    let Some((group, span)) = workflow.and_then(literal_group) else { return };
    for (job_group, job_span) in jobs.iter().filter_map(|job| literal_group(job.concurrency.as_ref()?)) {
        if job_group == group {
            let message = format!(
                "Concurrency group {} is also used by the workflow; this will deadlock",
                quoted(&group)
            );
            let diagnostic = report.describe(job_span, "concurrency", message);
            report.push(diagnostic.with_label(span, "the workflow's group"));
        }
    }
}
