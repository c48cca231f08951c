//! Jobs that are needed twice.

use crate::diagnostic::Severity;
use crate::lint::{Check, Findings, JobUnit};
use crate::rule::{Group, Rule};

pub(super) static RULE: Rule = Rule {
    code: "duplicate-need",
    severity: Severity::Warning,
    group: Group::Correctness,
    summary: "a job that another one needs twice",
    actionlint: Some("job-needs"),
    page: include_str!("duplicate_need.md"),
    check: Some(Check { job: Some(job), ..Check::NOTHING }),
};

fn job(unit: JobUnit<'_>, findings: &mut Findings<'_>) {
    let needs = &unit.job.needs;
    for (index, need) in needs.iter().enumerate() {
        let is_same = |other: &&crate::source::Spanned<String>| other.value.eq_ignore_ascii_case(&need.value);
        if let Some(first) = needs[..index].iter().find(is_same) {
            let finding = findings.describe(need.span, format!("the job `{}` is needed twice", need.value));
            findings.push(finding.with_label(first.span, "first here"));
        }
    }
}
