//! The token that a checkout leaves in the workspace, uploaded with it.

use crate::diagnostic::{Edit, Severity};
use crate::lint::uses::{self, Remote};
use crate::lint::{Check, Findings, JobUnit};
use crate::model::{JobKind, Step, StepKind};
use crate::rule::{Group, Rule};
use crate::source::{SourceFile, Span, Spanned};
use crate::template::{Token, TokenKind};

pub(super) static RULE: Rule = Rule {
    code: "artifact-credentials",
    severity: Severity::Warning,
    group: Group::Security,
    summary: "an artifact that holds the token which a checkout left in the workspace",
    actionlint: None,
    page: include_str!("artifact_credentials.md"),
    check: Some(Check { job: Some(job), ..Check::NOTHING }),
};

/// From this version on, checkout leaves the token outside of the workspace.
const CHECKOUT_IS_SAFE: u32 = 6;
/// From this version on, uploads leave out hidden files such as `.git`.
const UPLOAD_IS_SAFE: (u32, u32) = (4, 4);

fn job(unit: JobUnit<'_>, findings: &mut Findings<'_>) {
    let JobKind::Steps(kind) = &unit.job.kind else { return };
    for (index, step) in kind.steps.iter().enumerate() {
        let Some(upload) = uploads_workspace(step, findings.file()) else { continue };
        let checkout = kind.steps[..index].iter().find_map(|step| leaves_token(step, findings.file()));
        let Some((uses, with)) = checkout else { continue };
        let message = "the artifact holds the token that the checkout left in `.git/config`";
        let mut finding = findings
            .describe(uses.span, message)
            .with_label(uses.span, "leaves the token")
            .with_label(upload, "uploads it")
            .with_help("write `persist-credentials: false` below `with` of the checkout");
        if !kind.steps.iter().any(|step| needs_token(step, findings.file()))
            && let Some(edit) = without_token(findings.file(), uses, with)
        {
            finding = finding.with_fix("leave no token", vec![edit]);
        }
        findings.push(finding);
        return;
    }
}

/// The first and the second number of the version, from the reference or the comment behind it.
fn version(remote: &Remote<'_>, file: &SourceFile, span: Span) -> Option<(u32, Option<u32>)> {
    let text = match remote.is_pinned() {
        true => uses::version_comment(file, span)?.0,
        false => remote.version,
    };
    let mut numbers = text.trim_start_matches('v').split('.').map(str::parse);
    let major = numbers.next()?.ok()?;
    Some((major, numbers.next().and_then(Result::ok)))
}

/// A checkout that leaves its token in the workspace.
fn leaves_token<'a>(step: &'a Step, file: &SourceFile) -> Option<(&'a Spanned<String>, Option<&'a Token>)> {
    let StepKind::Uses { uses, with } = &step.kind else { return None };
    let remote = Remote::parse(&uses.value).filter(|remote| remote.is("actions/checkout"))?;
    let (major, _) = version(&remote, file, uses.span)?;
    let input = |name: &str| with.as_ref().and_then(|with| with.entry(name)).map(|entry| &entry.value);
    let kept = input("persist-credentials").is_none_or(|value| match &value.kind {
        TokenKind::Bool(value) => *value,
        TokenKind::String(text) => &**text == "true",
        _ => false,
    });
    (major < CHECKOUT_IS_SAFE && kept).then_some((uses, with.as_ref()))
}

/// The path by which a step uploads the whole workspace, hidden files included.
fn uploads_workspace(step: &Step, file: &SourceFile) -> Option<Span> {
    let StepKind::Uses { uses, with: Some(with) } = &step.kind else { return None };
    let remote = Remote::parse(&uses.value).filter(|remote| remote.is("actions/upload-artifact"))?;
    let path = &with.entry("path")?.value;
    if !file.slice(path.span).lines().any(is_workspace) {
        return None;
    }
    let hidden = with.entry("include-hidden-files").is_some_and(|entry| match &entry.value.kind {
        TokenKind::Bool(value) => *value,
        TokenKind::String(text) => &**text == "true",
        _ => false,
    });
    // A version such as `v4` or `v3` is the newest of its kind.
    let is_old = version(&remote, file, uses.span).is_some_and(|(major, minor)| match minor {
        Some(minor) => (major, minor) < UPLOAD_IS_SAFE && (major, minor) != (3, 2),
        None => major < 3,
    });
    (hidden || is_old).then_some(path.span)
}

fn is_workspace(line: &str) -> bool {
    let line = line.trim().trim_matches(['"', '\'']);
    let line = line.trim_end_matches("/*").trim_end_matches("/**").trim_end_matches('/');
    if matches!(line, "." | ".." | "*" | "**" | ".git" | "./.git" | "") {
        return !line.is_empty();
    }
    let inner = line.strip_prefix("${{").and_then(|rest| rest.strip_suffix("}}"));
    inner.is_some_and(|inner| inner.trim().eq_ignore_ascii_case("github.workspace"))
}

/// Whether a step may push or fetch with the token that is left.
fn needs_token(step: &Step, file: &SourceFile) -> bool {
    match &step.kind {
        StepKind::Run { run, .. } => file.slice(run.span).contains("git"),
        StepKind::Uses { uses, .. } => {
            let known = [
                "actions/checkout",
                "actions/setup-",
                "actions/cache",
                "actions/upload-",
                "actions/download-",
            ];
            !known.iter().any(|start| uses.value.starts_with(start))
        }
        _ => false,
    }
}

/// The change that makes a checkout leave no token; none where it says explicitly that it does.
fn without_token(file: &SourceFile, uses: &Spanned<String>, with: Option<&Token>) -> Option<Edit> {
    let text = file.text();
    let newline = uses::line_end(file, uses.span.end as usize);
    let line_of = |at: usize| text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    if let Some(with) = with {
        let first = with.entries().first()?;
        let at = first.key_span.start as usize;
        let indent = &text[line_of(at)..at];
        let is_block = indent.bytes().all(|byte| byte == b' ') && with.entry("persist-credentials").is_none();
        let text = format!("persist-credentials: false{newline}{indent}");
        return is_block.then(|| Edit { span: Span::new(at, at), text });
    }
    let start = line_of(uses.span.start as usize);
    let before = text[start..uses.span.start as usize].trim_end().strip_suffix("uses:")?;
    if !before.bytes().all(|byte| matches!(byte, b' ' | b'-')) {
        return None;
    }
    let end = uses.span.end as usize + uses::behind(file, uses.span).len();
    let indent = " ".repeat(before.len());
    let text = format!("{newline}{indent}with:{newline}{indent}  persist-credentials: false");
    Some(Edit { span: Span::new(end, end), text })
}
