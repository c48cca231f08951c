//! Anchors that nothing uses, or that use themselves.

use crate::diagnostic::Severity;
use crate::lint::{Check, Findings};
use crate::rule::{Group, Rule};
use crate::yaml::Anchors;

pub(super) static RULE: Rule = Rule {
    code: "anchor",
    severity: Severity::Warning,
    group: Group::Correctness,
    summary: "a YAML anchor that no alias uses, or one that uses itself",
    actionlint: Some("syntax-check"),
    page: include_str!("anchor.md"),
    check: Some(Check { text: Some(text), ..Check::NOTHING }),
};

fn text(findings: &mut Findings<'_>) {
    let anchors = Anchors::of(findings.file());
    for (name, span) in anchors.unused {
        findings.add(span, format!("no alias uses the anchor `{name}`"));
    }
    for (alias, anchor) in anchors.recursive {
        if !findings.has_errors_in(alias) {
            let finding = findings.describe(alias, "the alias stands inside of its own anchor");
            findings.push(finding.with_label(anchor, "the anchor"));
        }
    }
}
