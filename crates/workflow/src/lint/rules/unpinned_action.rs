//! Actions and workflows of other repositories whose owners can change what runs here.

use crate::diagnostic::{Diagnostic, Edit, Severity};
use crate::lint::uses::{self, Remote};
use crate::lint::{Check, Findings};
use crate::rule::{Group, Rule};
use crate::source::{SourceFile, Span, Spanned};

pub(super) static RULE: Rule = Rule {
    code: "unpinned-action",
    severity: Severity::Info,
    group: Group::Security,
    summary: "an action or workflow at a branch or tag, which can be moved, instead of a commit",
    actionlint: None,
    page: include_str!("unpinned_action.md"),
    check: Some(Check { reference: Some(reference), ..Check::NOTHING }),
};

fn reference(uses: &Spanned<String>, findings: &mut Findings<'_>) {
    check(uses, findings);
}

fn check(uses: &Spanned<String>, findings: &mut Findings<'_>) {
    let Some(remote) = Remote::parse(&uses.value) else { return };
    if remote.is_pinned() || remote.is_short_commit() {
        return;
    }
    let trust = match remote.is_of_github() {
        true => "GitHub",
        false => remote.owner(),
    };
    let message = format!("{trust} can move `{}` to other code, which then runs here", remote.version);
    let finding = findings.describe(uses.span, message);
    findings.push(match findings.settings().actions.commit(&uses.value) {
        Some(commit) => pin(finding, findings.file(), uses.span, &remote, &commit),
        None => finding.with_help("name the commit of the version, with the version in a comment behind it"),
    });
}

/// Puts the commit in the place of the version, and the version into a comment where the line has none.
fn pin(finding: Diagnostic, file: &SourceFile, span: Span, remote: &Remote<'_>, commit: &str) -> Diagnostic {
    let Some(at) = file.slice(span).rfind('@').map(|at| span.start as usize + at + 1) else { return finding };
    let version = Span::new(at, at + remote.version.len());
    if file.slice(version) != remote.version {
        return finding;
    }
    let mut edits = vec![Edit { span: version, text: commit.to_owned() }];
    if uses::behind(file, span).trim().is_empty() {
        let end = span.end as usize;
        edits.push(Edit { span: Span::new(end, end), text: format!(" # {}", remote.version) });
    }
    finding
        .with_help(format!("`{}` is the commit {commit} now", remote.version))
        .with_fix("name the commit of the version", edits)
}
