//! Comments in a file by which its author answers findings: `# firedog: ignore[CODE, CODE] REASON` at the end of a line
//! or on the line before, `# firedog: ignore-file[CODE] REASON` anywhere for the whole file.
//!
//! Errors cannot be answered: GitHub refuses the file whatever a comment says.

use memchr::memmem;

use super::Settings;
use crate::diagnostic::{Diagnostic, Severity};
use crate::rule::{self, Group, Rule};
use crate::source::{SourceFile, Span};

pub(super) static RULE: Rule = Rule {
    code: "ignore-comment",
    severity: Severity::Warning,
    group: Group::Correctness,
    summary: "a comment that is to answer findings, but does not",
    actionlint: None,
    page: include_str!("ignore.md"),
    check: None,
};

const MARK: &str = "firedog: ignore";

/// A comment.
struct Ignore<'a> {
    /// From the `#` to the end of the line.
    span: Span,
    /// The line whose findings are meant; `None` for the whole file.
    line: Option<usize>,
    codes: Vec<&'a str>,
    reason: &'a str,
    used: bool,
}

/// The findings that no comment of the file answers, and those about the comments.
pub(super) fn apply(
    file: &SourceFile,
    mut found: Vec<Diagnostic>,
    settings: &Settings<'_>,
) -> Vec<Diagnostic> {
    let text = &**file.text();
    if memmem::find(text.as_bytes(), MARK.as_bytes()).is_none() {
        return found;
    }
    let mut ignores: Vec<Ignore<'_>> =
        text.match_indices(MARK).filter_map(|(offset, _)| read(file, offset)).collect();
    found.retain(|finding| {
        let answer = ignores.iter_mut().find(|ignore| !finding.is_error() && ignore.answers(finding, file));
        answer.map(|ignore| ignore.used = true).is_none()
    });
    for ignore in &ignores {
        if let Some(message) = ignore.mistake(settings) {
            found.push(Diagnostic::new(RULE.code, RULE.severity, file, Some(ignore.span), message));
        }
    }
    found.sort_by_key(|finding| finding.primary.map_or(0, |span| span.start));
    found
}

/// The comment whose mark is at `offset`; none where that is no comment.
fn read(file: &SourceFile, offset: usize) -> Option<Ignore<'_>> {
    let text = &**file.text();
    let start = text[..offset].trim_end_matches([' ', '\t']).strip_suffix('#')?.len();
    let end = text[offset..].find(['\n', '\r']).map_or(text.len(), |length| offset + length);
    let rest = &text[offset + MARK.len()..end];
    let (whole_file, rest) = match rest.strip_prefix("-file") {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let (codes, reason) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((codes, reason)) => (codes.split(',').map(str::trim).collect(), reason.trim()),
        None => (Vec::new(), rest.trim()),
    };
    let span = Span::new(start, end);
    let line = file.position(span.start).line;
    let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let alone = text[line_start..start].trim().is_empty();
    let meant = if alone { line + following(&text[end..]) } else { line };
    Some(Ignore { span, line: (!whole_file).then_some(meant), codes, reason, used: false })
}

/// How many lines below a comment the next line stands that is none.
fn following(behind: &str) -> usize {
    let comments = behind.lines().skip(1).take_while(|line| line.trim_start().starts_with('#')).count();
    comments + 1
}

impl Ignore<'_> {
    fn answers(&self, finding: &Diagnostic, file: &SourceFile) -> bool {
        let places = || finding.primary.into_iter().chain(finding.labels.iter().map(|label| label.span));
        self.codes.contains(&finding.code)
            && self.line.is_none_or(|line| places().any(|span| file.position(span.start).line == line))
    }

    /// What is wrong with the comment itself.
    fn mistake(&self, settings: &Settings<'_>) -> Option<String> {
        if self.codes.is_empty() {
            return Some("the comment names no rule: write `ignore[CODE] REASON`".into());
        }
        if let Some(code) = self.codes.iter().find(|code| rule::find(code).is_none()) {
            return Some(format!("there is no rule `{code}`"));
        }
        if self.reason.is_empty() {
            return Some("the comment gives no reason: write it behind the `]`".into());
        }
        // Of a rule that is off, or whose tool may not be installed here, nobody knows.
        let known =
            |code: &&str| settings.is_on(code) && rule::find(code).is_some_and(|rule| !rule.is_of_tool());
        (!self.used && self.codes.iter().all(known)).then(|| "the comment answers no finding".into())
    }
}
