//! Commits that are not those of the version that the comment behind them names.

use crate::diagnostic::Severity;
use crate::lint::uses::{self, Remote};
use crate::lint::{Check, Findings};
use crate::rule::{Group, Rule};
use crate::source::Spanned;

pub(super) static RULE: Rule = Rule {
    code: "moved-reference",
    severity: Severity::Warning,
    group: Group::Security,
    summary: "a commit that is not the one of the version that the comment behind it names",
    actionlint: None,
    page: include_str!("moved_reference.md"),
    check: Some(Check { reference: Some(reference), ..Check::NOTHING }),
};

fn reference(uses: &Spanned<String>, findings: &mut Findings<'_>) {
    check(uses, findings);
}

fn check(uses: &Spanned<String>, findings: &mut Findings<'_>) {
    let Some(remote) = Remote::parse(&uses.value).filter(Remote::is_pinned) else { return };
    let Some((version, span)) = uses::version_comment(findings.file(), uses.span) else { return };
    let location = uses.value.split('@').next().unwrap_or_default();
    let known = findings.settings().actions.commit(&format!("{location}@{version}"));
    let Some(commit) = known.filter(|commit| *commit != remote.version) else { return };
    let message = format!("the comment names `{version}`, which is another commit");
    let finding = findings.describe(uses.span, message);
    findings.push(
        finding
            .with_label(span, format!("`{version}` is {commit}"))
            .with_help("look at what the commit is, then correct the commit or the comment"),
    );
}
