//! Commits that are cut.

use crate::diagnostic::Severity;
use crate::lint::uses::Remote;
use crate::lint::{Check, Findings};
use crate::rule::{Group, Rule};
use crate::source::{Span, Spanned};

pub(super) static RULE: Rule = Rule {
    code: "short-commit",
    severity: Severity::Warning,
    group: Group::Security,
    summary: "an action or workflow at a commit that is cut",
    actionlint: None,
    page: include_str!("short_commit.md"),
    check: Some(Check { reference: Some(reference), ..Check::NOTHING }),
};

fn reference(uses: &Spanned<String>, findings: &mut Findings<'_>) {
    check(uses, findings);
}

fn check(uses: &Spanned<String>, findings: &mut Findings<'_>) {
    let Some(remote) = Remote::parse(&uses.value).filter(Remote::is_short_commit) else { return };
    let message = format!("the provided ref '{}' may be a shortened commit SHA", remote.version);
    let mut finding =
        findings.describe(uses.span, message).with_help("name the whole commit, 40 hexadecimal digits");
    if let Some(at) = findings.file().slice(uses.span).rfind('@') {
        let start = uses.span.start as usize + at + 1;
        finding = finding.with_label(Span::new(start, start + remote.version.len()), "here");
    }
    findings.push(finding);
}
