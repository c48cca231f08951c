//! Variables and paths of later steps that others choose.

use crate::diagnostic::Severity;
use crate::lint::script::{self, Write};
use crate::lint::taint::{Scope, Taint};
use crate::lint::untrusted::Origin;
use crate::lint::{Check, Findings, StepUnit, events, head};
use crate::model::{Step, StepKind};
use crate::rule::{Group, Rule};
use crate::source::Span;

use crate::lint::uses::Remote;

pub(super) static RULE: Rule = Rule {
    code: "environment-injection",
    severity: Severity::Warning,
    group: Group::Security,
    summary: "what others choose is written to `GITHUB_ENV` or `GITHUB_PATH`",
    actionlint: None,
    page: include_str!("environment_injection.md"),
    check: Some(Check { step: Some(step), ..Check::NOTHING }),
};

/// Variables by which programs are told to run other code.
const LOADERS: [&str; 9] = [
    "BASH_ENV",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "NODE_OPTIONS",
    "PATH",
    "PERL5OPT",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "RUBYOPT",
];

fn step(unit: StepUnit<'_>, findings: &mut Findings<'_>) {
    let StepKind::Run { run, .. } = &unit.step().kind else { return };
    let text = findings.file().slice(run.span);
    for file in ["GITHUB_ENV", "GITHUB_PATH"].into_iter().filter(|file| text.contains(file)) {
        for write in script::writes(text, file) {
            let scope = Scope::of_step(unit, findings.file(), findings.budget());
            let taints = scope.trace_write(text, run.span, &write);
            let strangers = taints.into_iter().find(|taint| taint.value.origin == Origin::Strangers);
            if let Some(taint) = strangers {
                report(&taint, &write, file, run.span, findings);
            }
        }
        check_files(unit, text, file, run.span, findings);
    }
}

fn report(taint: &Taint, write: &Write<'_>, file: &str, run: Span, findings: &mut Findings<'_>) {
    let all = taint.value.multiline && !write.has_secret_delimiter();
    let loads = file == "GITHUB_PATH" || LOADERS.contains(&write.name);
    if !all && !loads && (taint.value.multiline || write.name.is_empty()) {
        return;
    }
    let source = &taint.source;
    let message = match (file, all) {
        ("GITHUB_PATH", _) => {
            format!("`{source}`, which anyone can choose, decides which programs later steps run")
        }
        (_, true) => format!(
            "`{source}`, which anyone can choose, can set any variable of later steps by a second line"
        ),
        _ => format!("`{source}`, which anyone can choose, is the variable `{}` of later steps", write.name),
    };
    let start = run.start as usize;
    let mut finding = findings.describe(run, message);
    for hop in &taint.way {
        if let Some(span) = hop.span {
            finding = finding.with_label(span, format!("passes into `{}` here", hop.name));
        }
    }
    let place = Span::new(start + write.value.start, start + write.value.end);
    finding = finding
        .with_label(place, format!("is written to `{file}` here"))
        .with_help("hand the value to the steps that need it, by an output and their `env`");
    if !all && !loads {
        finding.severity = Severity::Info;
    }
    findings.push(finding);
}

/// Files that strangers made, written to the environment in a workflow that has secrets.
fn check_files(unit: StepUnit<'_>, text: &str, file: &str, run: Span, findings: &mut Findings<'_>) {
    let Some(workflow) = unit.job().map(|job| job.workflow.workflow) else { return };
    let Some((event, event_span)) = events::privileged(workflow).next() else { return };
    let reads = |line: &&str| {
        line.contains(file) && ["cat ", "$(<", "$(cat", "Get-Content"].iter().any(|read| line.contains(read))
    };
    let Some(line) = text.lines().find(|line| reads(line) && !line.contains("<<")) else { return };
    let Some(source) = unit.earlier().iter().find_map(|step| brings_files(step, findings, event)) else {
        return;
    };
    let start = run.start as usize + (line.as_ptr() as usize - text.as_ptr() as usize);
    let indent = line.len() - line.trim_start().len();
    let place = Span::new(start + indent, start + line.trim_end().len());
    let message =
        format!("a file that strangers made can set variables of later steps, with the secrets of `{event}`");
    let finding = findings.describe(run, message).with_label(event_span, "strangers start the workflow");
    findings.push(
        finding
            .with_label(source, "their files come here")
            .with_label(place, format!("and go to `{file}` here"))
            .with_help("check what the file holds, such as that it is a number, and write an output"),
    );
}

/// Where a step brings files that strangers made.
fn brings_files(step: &Step, findings: &Findings<'_>, event: &str) -> Option<Span> {
    if let Some(head) = head::checked_out(step, findings.file(), event) {
        return Some(head.span);
    }
    match &step.kind {
        StepKind::Uses { uses, .. } => {
            let remote = Remote::parse(&uses.value)?;
            let loads = ["actions/download-artifact", "dawidd6/action-download-artifact"];
            loads.into_iter().any(|action| remote.is(action)).then_some(uses.span)
        }
        StepKind::Run { run, .. } => {
            findings.file().slice(run.span).contains("gh run download").then_some(run.span)
        }
        _ => None,
    }
}
