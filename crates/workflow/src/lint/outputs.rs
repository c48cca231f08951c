//! Outputs of actions that hold what strangers choose.

use super::untrusted::{self, Origin, Untrusted};
use super::uses::Remote;
use crate::expr::Segment;

/// Actions whose outputs are names of changed files, of branches, or texts of comments: the action, the output's name, or its
/// end behind `*`, and whether the value can have several lines.
const OUTPUTS: [(&str, &str, bool); 25] = [
    ("tj-actions/changed-files", "*_files", false),
    ("tj-actions/changed-files", "*_files_list", false),
    ("tj-actions/branch-names", "current_branch", false),
    ("tj-actions/branch-names", "head_ref_branch", false),
    ("tj-actions/verify-changed-files", "changed_files", false),
    ("dorny/paths-filter", "*_files", false),
    ("jitterbit/get-changed-files", "all", false),
    ("jitterbit/get-changed-files", "added", false),
    ("jitterbit/get-changed-files", "modified", false),
    ("jitterbit/get-changed-files", "added_modified", false),
    ("trilom/file-changes-action", "files", false),
    ("trilom/file-changes-action", "files_added", false),
    ("trilom/file-changes-action", "files_modified", false),
    ("step-security/changed-files", "*_files", false),
    ("xt0rted/pull-request-comment-branch", "head_ref", false),
    ("alessbell/pull-request-comment-branch", "head_ref", false),
    ("gotson/pull-request-comment-branch", "head_ref", false),
    ("eficode/resolve-pr-refs", "head_ref", false),
    ("potiuk/get-workflow-origin", "sourceHeadBranch", false),
    ("potiuk/get-workflow-origin", "pullRequestTitle", false),
    ("khan/pull-request-comment-trigger", "comment_body", true),
    ("shanegenschaw/pull-request-comment-trigger", "comment_body", true),
    ("rlespinasse/github-slug-action", "github_head_ref", false),
    ("zentered/issue-forms-body-parser", "data", true),
    ("stefanbuck/github-issue-parser", "jsonString", true),
];

/// What an output of an action is, where it is known to be chosen by strangers.
pub(super) fn of_action(remote: &Remote<'_>, output: &str) -> Option<Untrusted> {
    let fits = |(action, name, _): &&(&str, &str, bool)| {
        let named = match name.strip_prefix('*') {
            Some(end) => output.len() >= end.len() && output.ends_with(end),
            None => output.eq_ignore_ascii_case(name),
        };
        named && remote.is(action)
    };
    let (_, _, multiline) = OUTPUTS.iter().find(fits)?;
    Some(Untrusted { origin: Origin::Strangers, multiline: *multiline })
}

/// How `actions/github-script` reads the payload of the event.
const PAYLOAD: &str = "context.payload.";

/// The untrusted part of the payload that a script gives an output by `core.setOutput`, or returns as `result`.
pub(super) fn of_github_script(script: &str, output: &str) -> Option<(String, Untrusted)> {
    if !script.contains(PAYLOAD) {
        return None;
    }
    let lines = script.lines().filter(|line| match output {
        "result" => line.trim_start().starts_with("return "),
        _ => line.split_once("setOutput(").is_some_and(|(_, arguments)| {
            let name = arguments.trim_start().trim_start_matches(['\'', '"', '`']);
            name.strip_prefix(output).is_some_and(|rest| rest.starts_with(['\'', '"', '`']))
        }),
    });
    let read = |line: &str| {
        let (_, path) = line.split_once(PAYLOAD)?;
        let end =
            path.find(|character: char| !(character.is_ascii_alphanumeric() || "_.?".contains(character)));
        let path = &path[..end.unwrap_or(path.len())];
        let names = path.split('.').map(|name| Segment::Name(name.trim_end_matches('?')));
        let segments: Vec<_> = std::iter::once(Segment::Name("event")).chain(names).collect();
        Some((format!("{PAYLOAD}{path}"), untrusted::of_github(&segments, false, || false)?))
    };
    lines.filter_map(read).next()
}

#[cfg(test)]
mod tests {
    use super::{Remote, of_action, of_github_script};

    #[test]
    fn known_outputs() {
        let check = |uses: &str, output: &str, expected: bool| {
            let remote = Remote::parse(uses).expect("a reference");
            assert_eq!(of_action(&remote, output).is_some(), expected, "{uses} {output}");
        };
        check("tj-actions/changed-files@v45", "all_changed_files", true);
        check("tj-actions/changed-files@v45", "any_changed", false);
        check("dorny/paths-filter@v3", "docs_files", true);
        check("actions/checkout@v4", "head_ref", false);
    }

    #[test]
    fn outputs_of_scripts() {
        let script = "core.setOutput('number', context.payload.issue.number)\n\
                      core.setOutput(\"title\", context.payload.issue?.title)\n\
                      return context.payload.pull_request.head.ref;\n";
        let source = |output| of_github_script(script, output).map(|(source, _)| source);
        assert_eq!(source("title").as_deref(), Some("context.payload.issue?.title"));
        assert_eq!(source("number"), None);
        assert_eq!(source("result").as_deref(), Some("context.payload.pull_request.head.ref"));
    }
}
