//! All secrets at once.

use memchr::memchr2_iter;

use crate::diagnostic::Severity;
use crate::expr::Segment;
use crate::lint::{Check, ExpressionSite, Findings};
use crate::rule::{Group, Rule};

pub(super) static RULE: Rule = Rule {
    code: "all-secrets",
    severity: Severity::Warning,
    group: Group::Security,
    summary: "all secrets are handed over where one would do",
    actionlint: None,
    page: include_str!("all_secrets.md"),
    check: Some(Check { expression: Some(expression), ..Check::NOTHING }),
};

const SECRETS: &str = "secrets";

fn expression(site: ExpressionSite<'_>, findings: &mut Findings<'_>) {
    let is_secrets = |name: &str| name.eq_ignore_ascii_case(SECRETS);
    // Few expressions name them at all.
    let source = site.expression.source();
    if !memchr2_iter(b's', b'S', source.as_bytes())
        .any(|at| source.get(at..at + SECRETS.len()).is_some_and(is_secrets))
    {
        return;
    }
    let references = site.expression.contexts().filter(|reference| is_secrets(reference.context));
    let whole = references.map(|reference| match reference.path.first() {
        None | Some(Segment::Every) => Some(true),
        Some(Segment::Computed | Segment::Number(_)) => Some(false),
        Some(Segment::Name(_)) => None,
    });
    match whole.flatten().reduce(|one, other| one || other) {
        Some(true) => {
            let message = "all secrets of the repository and the organization are handed over";
            findings
                .push(findings.describe(site.span, message).with_help("name the secrets that are needed"));
        }
        Some(false) => {
            let message = "the job gets all secrets: the name of this one is known only when it runs";
            let mut finding = findings.describe(site.span, message);
            finding.severity = Severity::Info;
            findings.push(
                finding.with_help("name the secrets, or let each job have an environment with its own"),
            );
        }
        None => {}
    }
}
