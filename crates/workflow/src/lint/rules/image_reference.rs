//! Steps with an image that cannot be named so.

use crate::diagnostic::Severity;
use crate::lint::used_action::uses_of;
use crate::lint::{Check, Findings, StepUnit};
use crate::rule::{Group, Rule};

pub(super) static RULE: Rule = Rule {
    code: "image-reference",
    severity: Severity::Warning,
    group: Group::Correctness,
    summary: "an image of a step whose name or tag is empty",
    actionlint: Some("action"),
    page: include_str!("image_reference.md"),
    check: Some(Check { step: Some(step), ..Check::NOTHING }),
};

fn step(unit: StepUnit<'_>, findings: &mut Findings<'_>) {
    let Some((uses, _)) = uses_of(&unit) else { return };
    let Some(image) = uses.value.strip_prefix("docker://") else { return };
    let (name, tag) = match image.rsplit_once(':') {
        // The port of a registry is followed by a path.
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (image, None),
    };
    if name.is_empty() {
        findings.add(uses.span, "the image has no name");
    } else if tag == Some("") {
        findings.add(uses.span, format!("the tag of the image `{name}` is empty"));
    }
}
