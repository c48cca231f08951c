//! Shells that a runner cannot start.

use super::runner_label::{label_sets, labels_of};
use crate::diagnostic::Severity;
use crate::lint::runner_labels::{System, system};
use crate::lint::{Check, Findings, JobUnit, StepOwner, StepUnit, WorkflowUnit};
use crate::model::{Job, JobKind, StepKind};
use crate::read::nearest;
use crate::rule::{Group, Rule};
use crate::template::Token;

pub(super) static RULE: Rule = Rule {
    code: "shell-name",
    severity: Severity::Warning,
    group: Group::Correctness,
    summary: "a shell that a runner cannot start",
    actionlint: Some("shell-name"),
    page: include_str!("shell_name.md"),
    check: Some(Check { workflow: Some(workflow), job: Some(job), step: Some(step), ..Check::NOTHING }),
};

/// The shells that a runner knows how to start.
const SHELLS: [&str; 6] = ["bash", "sh", "pwsh", "python", "cmd", "powershell"];
/// Those of them that only Windows has.
const OF_WINDOWS: [&str; 2] = ["cmd", "powershell"];

fn workflow(unit: WorkflowUnit<'_>, findings: &mut Findings<'_>) {
    check(unit.workflow.defaults.as_ref().and_then(of_defaults), None, findings);
}

fn job(unit: JobUnit<'_>, findings: &mut Findings<'_>) {
    let JobKind::Steps(steps) = &unit.job.kind else { return };
    check(steps.defaults.as_ref().and_then(of_defaults), Some(unit.job), findings);
}

fn step(unit: StepUnit<'_>, findings: &mut Findings<'_>) {
    let StepKind::Run { shell, .. } = &unit.step().kind else { return };
    let job = match unit.owner {
        StepOwner::Job(job, _) => Some(job.job),
        StepOwner::Action(_) => None,
    };
    check(shell.as_ref(), job, findings);
}

fn of_defaults(defaults: &Token) -> Option<&Token> {
    Some(&defaults.entry("run")?.value.entry("shell")?.value)
}

fn check(shell: Option<&Token>, job: Option<&Job>, findings: &mut Findings<'_>) {
    let Some((token, shell)) = shell.and_then(|token| Some((token, token.as_str()?))) else { return };
    if shell.contains("{0}") || shell.contains("${{") {
        return;
    }
    let command = shell.trim().split(' ').next().unwrap_or_default();
    if command != shell.trim() {
        let message = format!("the shell `{shell}` does not say where the script goes");
        findings.push(findings.describe(token.span, message).with_help(format!("write `{shell} {{0}}`")));
    } else if !SHELLS.contains(&command) {
        let finding = findings.describe(token.span, format!("a runner knows no shell `{command}`"));
        findings.push(finding.with_help(match nearest(command, SHELLS) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("write how the script is run: `{command} {{0}}`"),
        }));
    } else if OF_WINDOWS.contains(&command) && job.is_some_and(is_never_windows) {
        let finding =
            findings.describe(token.span, format!("only runners with Windows have the shell `{command}`"));
        findings.push(finding.with_help("use `pwsh`, which all runners have, or `bash`"));
    }
}

/// Whether each leg of the job has a runner that is told to have another system.
fn is_never_windows(job: &Job) -> bool {
    let Some(labels) = labels_of(job) else { return false };
    let is_other = |set: Vec<&Token>| {
        let mut systems = set.iter().filter_map(|label| system(label.as_str()?)).peekable();
        systems.peek().is_some() && systems.all(|system| system != System::Windows)
    };
    label_sets(labels, job).into_iter().all(is_other)
}
