//! Patterns of filters that match nothing, or not what they seem to.

use crate::diagnostic::Severity;
use crate::lint::{Check, Findings, WorkflowUnit};
use crate::rule::{Group, Rule};
use crate::source::Spanned;

pub(super) static RULE: Rule = Rule {
    code: "filter-pattern",
    severity: Severity::Warning,
    group: Group::Correctness,
    summary: "a pattern of a filter that matches nothing",
    actionlint: Some("glob"),
    page: include_str!("filter_pattern.md"),
    check: Some(Check { workflow: Some(workflow), ..Check::NOTHING }),
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Names of branches or tags.
    Name,
    /// Paths of files.
    Path,
}

fn workflow(unit: WorkflowUnit<'_>, findings: &mut Findings<'_>) {
    for trigger in unit.workflow.on.events.values() {
        let names = [&trigger.branches, &trigger.branches_ignore, &trigger.tags, &trigger.tags_ignore];
        for pattern in names.into_iter().flatten().flatten() {
            check(pattern, Kind::Name, findings);
        }
        for pattern in [&trigger.paths, &trigger.paths_ignore].into_iter().flatten().flatten() {
            check(pattern, Kind::Path, findings);
        }
        for including in [&trigger.branches, &trigger.tags, &trigger.paths].into_iter().flatten() {
            check_order(including, findings);
        }
    }
}

fn check(pattern: &Spanned<String>, kind: Kind, findings: &mut Findings<'_>) {
    let text = pattern.value.strip_prefix('!').unwrap_or(&pattern.value);
    let mistake = mistake(text, kind).or_else(|| match kind {
        Kind::Name => mistake_of_name(text),
        Kind::Path => mistake_of_path(text),
    });
    if let Some((mistake, help)) = mistake {
        let finding = findings.describe(pattern.span, format!("the pattern `{}` {mistake}", pattern.value));
        findings.push(finding.with_help(help));
    }
}

type Mistake = (&'static str, &'static str);

/// What is wrong with the pattern language.
fn mistake(text: &str, kind: Kind) -> Option<Mistake> {
    let mut characters = text.chars().peekable();
    if text.is_empty() {
        return Some(("matches nothing", "write what the pattern is to match"));
    }
    let mut previous = None;
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('*' | '?' | '+' | '[' | ']' | '!' | '\\') => {}
                _ if kind == Kind::Name => {
                    let help = "patterns are no regular expressions: a digit is `[0-9]`, any text `*`";
                    return Some(("has a `\\` that no special character follows", help));
                }
                _ => {}
            },
            '[' => {
                let set: String = characters.by_ref().take_while(|character| *character != ']').collect();
                if let Some(mistake) = mistake_of_set(&set, text) {
                    return Some(mistake);
                }
            }
            '+' | '?' if previous.is_none() => {
                return Some(("begins with a quantifier", "a `+` or `?` repeats the character before it"));
            }
            '+' | '?' if matches!(previous, Some('+' | '?')) => {
                return Some(("has two quantifiers, one behind the other", "remove one of them"));
            }
            _ => {}
        }
        previous = Some(character);
    }
    None
}

fn mistake_of_set(set: &str, text: &str) -> Option<Mistake> {
    if !text.contains(']') {
        return Some(("has a `[` without a `]`", "write `\\[` for the character itself"));
    }
    if set.is_empty() {
        return Some(("has an empty set `[]`", "name the characters between the brackets"));
    }
    let characters: Vec<char> = set.chars().collect();
    let is_backwards = characters.windows(3).any(|range| range[1] == '-' && range[0] > range[2]);
    is_backwards
        .then_some(("has a range that goes backwards", "write the lower character first, as in `[0-9]`"))
}

/// What no name of a branch or tag has.
fn mistake_of_name(text: &str) -> Option<Mistake> {
    let help = "see `git check-ref-format` for the names that there can be";
    if text.starts_with("refs/heads/") || text.starts_with("refs/tags/") {
        let help = "filters see names without `refs/heads/` and `refs/tags/`";
        return Some(("matches no name", help));
    }
    let has = |part| text.contains(part);
    let has_character = text.contains([' ', '\t', '~', '^', ':']) || text.chars().any(char::is_control);
    let has_sequence = has("..") || has("//") || has("@{");
    let is_cut =
        text.starts_with('/') || text.ends_with('/') || text.ends_with('.') || text.ends_with(".lock");
    (has_character || has_sequence || is_cut).then_some(("matches no name that git allows", help))
}

/// What no path in a repository has.
fn mistake_of_path(text: &str) -> Option<Mistake> {
    let help = "paths are written as in the repository, relative to its root: `docs/**`";
    let is_relative = text == "." || text == ".." || text.starts_with("./") || text.starts_with("../");
    if is_relative || text.contains("/./") || text.contains("/../") {
        return Some(("matches no path", help));
    }
    if text.starts_with('/') {
        return Some(("matches no path: none begins with `/`", help));
    }
    if text.starts_with(' ') || text.ends_with(' ') {
        return Some(("begins or ends with a space", help));
    }
    text.ends_with('/')
        .then_some(("matches no file: it names a folder", "write `folder/**` for what is in a folder"))
}

/// A list of patterns that all take away includes nothing.
fn check_order(patterns: &[Spanned<String>], findings: &mut Findings<'_>) {
    if let Some(first) =
        patterns.first().filter(|_| patterns.iter().all(|pattern| pattern.value.starts_with('!')))
    {
        let finding =
            findings.describe(first.span, "all patterns take away, so that nothing is left to match");
        findings.push(finding.with_help("put `**` first, or use the `-ignore` form of the key without `!`"));
    }
}
