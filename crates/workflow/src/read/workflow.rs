//! One workflow file, without those that it calls.

use super::options::{ReadOptions, Strictness};
use super::report::Report;
use super::template::TemplateReader;
use super::{job, needs, text_of, trigger};
use crate::model::{Triggers, Workflow};
use crate::resolve::RepositoryVersion;
use crate::schema::workflow::{ANY, ROOT, ROOT_STRICT, SCHEMA};
use crate::template::Token;
use crate::yaml;

/// Reads the report's file, a workflow of `repository` (`None`: the one whose workflow runs).
pub(crate) fn read(
    options: &ReadOptions<'_>,
    repository: Option<&RepositoryVersion>,
    report: &mut Report<'_>,
) -> Option<Workflow> {
    let root = tokens(options, report)?;
    Some(read_tokens(&root, options, repository, report))
}

/// Reads the model of a file's tokens.
pub(crate) fn read_tokens(
    root: &Token,
    options: &ReadOptions<'_>,
    repository: Option<&RepositoryVersion>,
    report: &mut Report<'_>,
) -> Workflow {
    let part = |name| root.entry(name).map(|entry| entry.value.clone());
    if let Some(concurrency) = part("concurrency") {
        job::check_concurrency(&concurrency, report);
    }
    let on = match root.entry("on") {
        Some(entry) => trigger::read(&entry.value, report),
        None => Triggers::default(),
    };
    let mut jobs = Vec::new();
    if let Some(entry) = root.entry("jobs") {
        jobs = job::read_all(&entry.value, repository, options.call_rules, report);
        needs::check(&jobs, entry.value.span, report);
        if jobs.is_empty() && !report.has_errors() {
            report.error(
                entry.value.span,
                "job-needs",
                "The workflow must contain at least one job with no dependencies.",
            );
        }
    }
    if report.is_for_author() {
        job::check_shared_concurrency(part("concurrency").as_ref(), &jobs, report);
    }
    Workflow {
        file: report.file().name().clone(),
        name: root.entry("name").and_then(|entry| text_of(&entry.value)),
        run_name: part("run-name"),
        on,
        env: part("env"),
        defaults: part("defaults"),
        permissions: part("permissions"),
        concurrency: part("concurrency"),
        jobs,
    }
}

/// The checked tokens of the report's file.
pub(crate) fn tokens(options: &ReadOptions<'_>, report: &mut Report<'_>) -> Option<Token> {
    let node = match yaml::parse(report.file(), options.yaml) {
        Ok(node) => node,
        Err(diagnostic) => {
            report.push(*diagnostic);
            return None;
        }
    };
    let root = match options.strictness {
        Strictness::Author => ROOT_STRICT,
        Strictness::Runner => ROOT,
    };
    let background_steps = options.background_steps;
    TemplateReader { schema: &SCHEMA, any: ANY, background_steps, report }.read(node, root)
}
