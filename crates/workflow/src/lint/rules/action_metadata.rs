//! Metadata of actions that runners cannot use as it is.

use super::outdated_action::OLD_RUNTIMES;
use crate::diagnostic::Severity;
use crate::lint::{ActionUnit, Check, Findings};
use crate::rule::{Group, Rule};
use crate::template::{Token, TokenKind};

pub(super) static RULE: Rule = Rule {
    code: "action-metadata",
    severity: Severity::Warning,
    group: Group::Correctness,
    summary: "metadata of an action that runners cannot use as it is",
    actionlint: Some("action"),
    page: include_str!("action_metadata.md"),
    check: Some(Check { action: Some(action), ..Check::NOTHING }),
};

fn action(unit: ActionUnit<'_>, findings: &mut Findings<'_>) {
    let part = |name| unit.root.entry(name).map(|entry| &entry.value);
    for input in part("inputs").map(Token::entries).unwrap_or_default() {
        let Some(message) = input.value.entry("deprecationMessage") else { continue };
        let is_empty = matches!(&message.value.kind, TokenKind::Null)
            || message.value.as_str().is_some_and(|text| text.trim().is_empty());
        if is_empty {
            findings.add(message.key_span, "the deprecation message says nothing");
        }
    }
    if let Some(runs) = part("runs") {
        check_runtime(runs, findings);
        check_image(runs, findings);
        ["main", "pre", "post"].iter().for_each(|key| check_file(runs, key, findings));
    }
}

fn check_runtime(runs: &Token, findings: &mut Findings<'_>) {
    let Some(entry) = runs.entry("using") else { return };
    let Some(using) = entry.value.as_str() else { return };
    if OLD_RUNTIMES.iter().any(|old| old.eq_ignore_ascii_case(using)) {
        let message = format!("runners no longer have `{using}`");
        findings.push(findings.describe(entry.value.span, message).with_help("write `using: node24`"));
    }
}

/// A file that an action names is in its folder. A folder that is not there is made by a build, with the file.
fn check_file(runs: &Token, key: &str, findings: &mut Findings<'_>) {
    let Some(entry) = runs.entry(key) else { return };
    let Some(path) = entry.value.as_str() else { return };
    if is_missing(path, findings) {
        findings.add(entry.value.span, format!("there is no file `{path}` for `{key}`"));
    }
}

fn is_missing(path: &str, findings: &Findings<'_>) -> bool {
    let actions = findings.settings().actions;
    let has = |path: &str| actions.has_file(findings.file().name(), path);
    let folder = path.rsplit_once('/').map(|(folder, _)| folder);
    has(path) == Some(false) && folder.is_none_or(|folder| has(folder) == Some(true))
}

fn check_image(runs: &Token, findings: &mut Findings<'_>) {
    let is_docker = runs.entry("using").and_then(|entry| entry.value.as_str());
    if is_docker.is_none_or(|using| !using.eq_ignore_ascii_case("docker")) {
        return;
    }
    for key in ["entrypoint", "pre-entrypoint", "post-entrypoint"] {
        let script = runs.entry(key).and_then(|entry| entry.value.as_str());
        // A name without a file ending may be a program of the image.
        if script.is_some_and(|path| path.ends_with(".sh") && !path.starts_with('/')) {
            check_file(runs, key, findings);
        }
    }
    let Some(entry) = runs.entry("image") else { return };
    let Some(image) = entry.value.as_str() else { return };
    if image.contains(':') {
        return;
    }
    let name = image.rsplit('/').next().unwrap_or(image);
    if name != "Dockerfile" {
        let message = format!("the image `{image}` is neither a `Dockerfile` nor an image of a registry");
        let help = "name the file `Dockerfile`, or write `docker://` before the image";
        findings.push(findings.describe(entry.value.span, message).with_help(help));
    } else if is_missing(image, findings) {
        findings.add(entry.value.span, format!("there is no file `{image}` for `image`"));
    }
}
