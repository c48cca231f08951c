//! Images of containers that say not which they are.

use crate::diagnostic::Severity;
use crate::lint::{Check, Findings, JobUnit, StepUnit};
use crate::model::{JobKind, StepKind};
use crate::rule::{Group, Rule};
use crate::source::Span;
use crate::template::Token;

pub(super) static RULE: Rule = Rule {
    code: "unpinned-image",
    severity: Severity::Info,
    group: Group::Security,
    summary: "an image of a container without a version, or with the version `latest`",
    actionlint: None,
    page: include_str!("unpinned_image.md"),
    check: Some(&UnpinnedImage),
};

struct UnpinnedImage;

impl Check for UnpinnedImage {
    fn job(&self, unit: JobUnit<'_>, findings: &mut Findings<'_>) {
        let JobKind::Steps(kind) = &unit.job.kind else { return };
        let services = kind.services.iter().flat_map(Token::entries).map(|entry| &entry.value);
        for container in kind.container.iter().chain(services) {
            let image = container.entry("image").map_or(container, |entry| &entry.value);
            if let Some(text) = image.as_str() {
                check(text, image.span, findings);
            }
        }
    }

    fn step(&self, unit: StepUnit<'_>, findings: &mut Findings<'_>) {
        if let StepKind::Uses { uses, .. } = &unit.step().kind
            && let Some(image) = uses.value.strip_prefix("docker://")
        {
            check(image, uses.span, findings);
        }
    }
}

fn check(image: &str, span: Span, findings: &mut Findings<'_>) {
    let image = image.strip_prefix("docker://").unwrap_or(image);
    if image.is_empty() || image.contains('@') {
        return;
    }
    // A colon before the last slash is that of a registry's port.
    let name = image.rfind('/').map_or(image, |slash| &image[slash + 1..]);
    let message = match name.split_once(':') {
        None => format!("the image `{image}` is whatever is the newest when the job runs"),
        Some((_, "latest")) => format!("`{image}` is whatever is the newest when the job runs"),
        Some(_) => return,
    };
    findings.push(
        findings
            .describe(span, message)
            .with_help("name a version, best with its digest: `image:1.2@sha256:…`"),
    );
}
