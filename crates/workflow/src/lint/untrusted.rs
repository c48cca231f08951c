//! Which values of the `github` context are chosen by people that the repository does not know.

use crate::expr::Segment;

/// Who chooses a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// Anyone who can open an issue or a pull request, comment, or push to a fork.
    Strangers,
    /// People who may write to the repository.
    Writers,
    /// Whoever calls the workflow or uses the action.
    Callers,
}

/// A value that somebody else chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Untrusted {
    pub(crate) origin: Origin,
    /// Whether the value can have several lines.
    pub(crate) multiline: bool,
}

/// A property of `github`, `*` for any name or index, with whether its value can have several lines.
type Pattern = (&'static str, bool);

/// What strangers choose. Names of users and repositories are not here: they have no characters but letters, digits, `-`,
/// `_` and `.`, and neither have commits and numbers.
const STRANGERS: [Pattern; 39] = [
    ("head_ref", false),
    ("event.issue.title", false),
    ("event.issue.body", true),
    ("event.pull_request.title", false),
    ("event.pull_request.body", true),
    ("event.pull_request.head.ref", false),
    ("event.pull_request.head.label", false),
    ("event.pull_request.head.repo.default_branch", false),
    ("event.pull_request.head.repo.description", false),
    ("event.pull_request.head.repo.homepage", false),
    ("event.comment.body", true),
    ("event.review.body", true),
    ("event.review_comment.body", true),
    ("event.discussion.title", false),
    ("event.discussion.body", true),
    ("event.answer.body", true),
    ("event.changes.title.from", false),
    ("event.changes.body.from", true),
    ("event.pages.*.page_name", false),
    ("event.pages.*.title", false),
    ("event.pages.*.summary", true),
    ("event.commits.*.message", true),
    ("event.commits.*.author.name", false),
    ("event.commits.*.author.email", false),
    ("event.commits.*.committer.name", false),
    ("event.commits.*.committer.email", false),
    ("event.head_commit.message", true),
    ("event.head_commit.author.name", false),
    ("event.head_commit.author.email", false),
    ("event.head_commit.committer.name", false),
    ("event.head_commit.committer.email", false),
    ("event.workflow_run.head_branch", false),
    ("event.workflow_run.display_title", false),
    ("event.workflow_run.head_commit.message", true),
    ("event.workflow_run.head_commit.author.name", false),
    ("event.workflow_run.head_commit.author.email", false),
    ("event.workflow_run.head_repository.description", false),
    ("event.workflow_run.pull_requests.*.head.ref", false),
    ("event.check_suite.head_branch", false),
];

/// What people with write access choose, whatever the events.
const WRITERS: [Pattern; 8] = [
    ("event.client_payload", true),
    ("event.client_payload.*", true),
    ("event.client_payload.*.*", true),
    ("event.release.name", false),
    ("event.release.body", true),
    ("event.release.tag_name", false),
    ("event.label.name", false),
    ("event.milestone.title", false),
];

/// The names of branches and tags that start a workflow.
const REFS: [Pattern; 4] =
    [("ref", false), ("ref_name", false), ("event.ref", false), ("event.base_ref", false)];

/// Who chooses the value of `github` at `path`. An object counts where it is written as JSON: it holds the value.
/// `refs_are_free` says whether people who may push choose the branch or tag for which the workflow runs.
pub(crate) fn of_github(
    path: &[Segment<'_>],
    as_json: bool,
    refs_are_free: impl FnOnce() -> bool,
) -> Option<Untrusted> {
    const FIRST: [&str; 4] = ["event", "head_ref", "ref", "ref_name"];
    if let Some(Segment::Name(first)) = path.first()
        && !FIRST.iter().any(|known| known.eq_ignore_ascii_case(first))
    {
        return None;
    }
    let find = |patterns: &[Pattern]| {
        let fits = patterns.iter().filter(|(pattern, _)| matches(pattern, path, as_json));
        fits.map(|(_, multiline)| *multiline).reduce(|one, other| one | other)
    };
    if let Some(multiline) = find(&STRANGERS) {
        return Some(Untrusted { origin: Origin::Strangers, multiline });
    }
    let multiline = find(&WRITERS).or_else(|| find(&REFS).filter(|_| refs_are_free()))?;
    Some(Untrusted { origin: Origin::Writers, multiline })
}

/// Whether the value at `path` is the one of the pattern or, where objects count, holds it.
fn matches(pattern: &str, path: &[Segment<'_>], holds: bool) -> bool {
    let mut parts = pattern.split('.');
    let fits = |(part, segment): (&str, &Segment<'_>)| match segment {
        Segment::Name(name) => part == "*" || part.eq_ignore_ascii_case(name),
        Segment::Every => true,
        Segment::Number(_) | Segment::Computed => part == "*",
    };
    let all = path.iter().all(|segment| parts.next().is_some_and(|part| fits((part, segment))));
    all && (holds || parts.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::{Origin, of_github};
    use crate::expr::{Names, parse};

    fn check(text: &str, as_json: bool, expected: Option<Origin>) {
        let expression = parse(text, &Names::any()).expect("an expression");
        let reference = expression.contexts().next().expect("a context");
        let found = of_github(&reference.path, as_json, || true).map(|untrusted| untrusted.origin);
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn values_of_strangers() {
        let strangers = Some(Origin::Strangers);
        check("github.head_ref", false, strangers);
        check("github['event']['Issue'].title", false, strangers);
        check("github.event.commits[0].message", false, strangers);
        check("github.event.commits.*.author.name", false, strangers);
        check("github.event.*.body", false, strangers);
        check("github.event.pages[github.run_number].page_name", false, strangers);
        check("github.event.pull_request.head.sha", false, None);
        check("github.event.pull_request.title.length", false, None);
        check("github.actor", false, None);
        check("github.event.pull_request.user.login", false, None);
    }

    #[test]
    fn values_of_writers() {
        check("github.ref_name", false, Some(Origin::Writers));
        check("github.event.client_payload.a.b", false, Some(Origin::Writers));
    }

    #[test]
    fn objects_count_as_json() {
        check("github.event.issue", false, None);
        check("github.event.issue", true, Some(Origin::Strangers));
        check("github", true, Some(Origin::Strangers));
        check("github.event.pull_request.user", true, None);
    }
}
