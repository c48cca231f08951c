//! The code of strangers, checked out and run where there are secrets.

use crate::diagnostic::Severity;
use crate::lint::guard::{self, Guard};
use crate::lint::head::{self, Head};
use crate::lint::{Check, Findings, JobUnit, events};
use crate::model::{Job, JobKind, Step, Workflow};
use crate::rule::{Group, Rule};
use crate::source::Span;

pub(super) static RULE: Rule = Rule {
    code: "dangerous-checkout",
    severity: Severity::Warning,
    group: Group::Security,
    summary: "code of strangers is checked out, and run, where there are secrets",
    actionlint: None,
    page: include_str!("dangerous_checkout.md"),
    check: Some(Check { job: Some(job), ..Check::NOTHING }),
};

const HELP: &str =
    "run the code in a workflow of `pull_request`, which has no secrets, and hand over what it makes";

fn job(unit: JobUnit<'_>, findings: &mut Findings<'_>) {
    let JobKind::Steps(kind) = &unit.job.kind else { return };
    let workflow = unit.workflow.workflow;
    for (event, event_span) in events::privileged(workflow) {
        let job_guard = guard::of(&unit.job.condition, event);
        if job_guard == Guard::Safe {
            continue;
        }
        let checkout = kind.steps.iter().enumerate().find_map(|(index, step)| {
            let head = head::checked_out(step, findings.file(), event)?;
            let guard = guard::of(&step.condition, event);
            (guard != Guard::Safe).then_some((index, head, guard))
        });
        let Some((index, head, step_guard)) = checkout else { continue };
        let run = first_run(&kind.steps[index + 1..], &head, event, findings);
        let is_approved = kind.environment.is_some() || waits_for_approval(workflow, unit.job, event);
        let is_guarded = [job_guard, step_guard].contains(&Guard::Partial) || is_approved;
        report((event, event_span), &head, run, is_guarded, findings);
        return;
    }
}

/// The first of `steps` that runs what was checked out.
fn first_run(steps: &[Step], head: &Head<'_>, event: &str, findings: &Findings<'_>) -> Option<Span> {
    let mut steps = steps.iter().filter(|step| guard::of(&step.condition, event) != Guard::Safe);
    steps.find_map(|step| head::runs_code(step, findings.file(), head.path))
}

/// Whether somebody must have looked before the job starts: only labels start it, or a job before has an environment.
fn waits_for_approval(workflow: &Workflow, job: &Job, event: &str) -> bool {
    let types = workflow.on.events.get(event).and_then(|trigger| trigger.types.as_ref());
    let only_labels = types.is_some_and(|types| {
        !types.is_empty()
            && types.iter().all(|kind| matches!(kind.value.as_str(), "labeled" | "unlabeled" | "closed"))
    });
    only_labels
        || job.needs.iter().filter_map(|id| workflow.job(&id.value)).any(|needed| match &needed.kind {
            JobKind::Steps(kind) => kind.environment.is_some(),
            JobKind::Call(_) => false,
        })
}

fn report(
    (event, event_span): (&str, Span),
    head: &Head<'_>,
    run: Option<Span>,
    is_guarded: bool,
    findings: &mut Findings<'_>,
) {
    let message = match run {
        Some(_) => format!(
            "the code of strangers, `{}`, is checked out and run with the secrets of `{event}`",
            head.source
        ),
        None => {
            format!("the code of strangers, `{}`, is checked out with the secrets of `{event}`", head.source)
        }
    };
    let mut finding = findings
        .describe(head.span, message)
        .with_label(event_span, "strangers start the workflow")
        .with_label(head.span, "their code comes here")
        .with_help(HELP);
    match run {
        Some(span) => finding = finding.with_label(span, "and runs here"),
        None => finding.severity = Severity::Info,
    }
    if is_guarded {
        finding.severity = Severity::Info;
    }
    findings.push(finding);
}
