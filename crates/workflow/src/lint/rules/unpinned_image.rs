//! Images of containers that say not which they are.

use crate::diagnostic::Severity;
use crate::lint::{Check, Findings, JobUnit, StepUnit, nodes};
use crate::model::{Job, JobKind, StepKind};
use crate::rule::{Group, Rule};
use crate::source::Span;
use crate::template::{Token, TokenKind};

pub(super) static RULE: Rule = Rule {
    code: "unpinned-image",
    severity: Severity::Info,
    group: Group::Security,
    summary: "an image of a container without a version, or with the version `latest`",
    actionlint: None,
    page: include_str!("unpinned_image.md"),
    check: Some(Check { job: Some(job), step: Some(step), ..Check::NOTHING }),
};

fn job(unit: JobUnit<'_>, findings: &mut Findings<'_>) {
    let JobKind::Steps(kind) = &unit.job.kind else { return };
    let services = kind.services.iter().flat_map(Token::entries).map(|entry| &entry.value);
    for container in kind.container.iter().chain(services) {
        let image = container.entry("image").map_or(container, |entry| &entry.value);
        match &image.kind {
            TokenKind::String(text) => check(text, image.span, findings),
            TokenKind::Expression(expression) => {
                let path = expression.root().and_then(nodes::path_of);
                let vector = path.as_deref().and_then(|path| path.strip_prefix("matrix."));
                vector.into_iter().for_each(|vector| check_matrix(unit.job, vector, findings));
            }
            _ => {}
        }
    }
}

fn step(unit: StepUnit<'_>, findings: &mut Findings<'_>) {
    if let StepKind::Uses { uses, .. } = &unit.step().kind
        && let Some(image) = uses.value.strip_prefix("docker://")
    {
        check(image, uses.span, findings);
    }
}

/// The images that a vector of the matrix names.
fn check_matrix(job: &Job, vector: &str, findings: &mut Findings<'_>) {
    let matrix =
        job.strategy.as_ref().and_then(|strategy| strategy.entry("matrix")).map(|entry| &entry.value);
    let Some(matrix) = matrix else { return };
    let values = matrix.entry(vector).map(|entry| entry.value.items()).unwrap_or_default();
    let legs = matrix.entry("include").map(|entry| entry.value.items()).unwrap_or_default();
    let included = legs.iter().filter_map(|leg| leg.entry(vector)).map(|entry| &entry.value);
    for value in values.iter().chain(included) {
        if let Some(image) = value.as_str() {
            check(image, value.span, findings);
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
