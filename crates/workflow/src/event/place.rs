//! Where a run of an event is: its ref and commit, as GitHub's table of events fixes them.

use super::catalog::{Place, find};
use super::{complete_ref, text};
use crate::expr::Value;

const SHA_LENGTH: usize = 40;
/// What stands for no commit.
pub(super) const NO_COMMIT: &str = "0000000000000000000000000000000000000000";

/// The ref and the commit of a run, as far as the payload tells.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) git_ref: Option<String>,
    pub(super) sha: Option<String>,
}

pub(super) fn of(event: &str, payload: &Value) -> Found {
    let place = find(event).map_or(Place::DefaultBranch, |event| event.place);
    let mut found = match place {
        Place::DefaultBranch | Place::Caller => Found::default(),
        Place::Pushed => pushed(payload),
        Place::Merge => merge(payload),
        Place::Created => Found { git_ref: created(payload), sha: None },
        Place::Released => {
            let tag = text(payload, &["release", "tag_name"]);
            let sha = text(payload, &["release", "target_commitish"]).filter(|name| is_sha(name));
            Found { git_ref: tag.map(|tag| format!("refs/tags/{tag}")), sha }
        }
        Place::MergeGroup => Found {
            git_ref: text(payload, &["merge_group", "head_ref"]).map(|name| complete_ref(&name)),
            sha: text(payload, &["merge_group", "head_sha"]),
        },
        Place::Dispatched => {
            Found { git_ref: text(payload, &["ref"]).map(|name| complete_ref(&name)), sha: None }
        }
        Place::Deployed => {
            // A deployment of a bare commit has no ref at all.
            let named = |name: String| if is_sha(&name) { String::new() } else { complete_ref(&name) };
            Found {
                git_ref: text(payload, &["deployment", "ref"]).map(named),
                sha: text(payload, &["deployment", "sha"]),
            }
        }
        Place::Packaged => packaged(payload),
    };
    if found.git_ref.is_none() {
        found.git_ref = text(payload, &["repository", "default_branch"]).map(|branch| complete_ref(&branch));
    }
    found
}

/// Whether the push takes its ref away: the run is on the default branch then.
pub(super) fn is_deletion(payload: &Value) -> bool {
    payload.get("deleted").is_some_and(Value::is_truthy)
        || text(payload, &["after"]).is_some_and(|sha| sha == NO_COMMIT)
}

fn pushed(payload: &Value) -> Found {
    if is_deletion(payload) {
        return Found::default();
    }
    let sha = text(payload, &["after"]).or_else(|| text(payload, &["head_commit", "id"]));
    Found { git_ref: text(payload, &["ref"]).map(|name| complete_ref(&name)), sha }
}

/// A pull request that was merged is on the branch that it was merged into.
fn merge(payload: &Value) -> Found {
    let of_request = |keys: &[&str]| text(payload, &[&["pull_request"], keys].concat());
    let merged = payload.at(&["pull_request", "merged"]).is_some_and(Value::is_truthy);
    let number = payload.at(&["pull_request", "number"]).or_else(|| payload.get("number"));
    let git_ref = match of_request(&["base", "ref"]).filter(|_| merged) {
        Some(base) => Some(complete_ref(&base)),
        None => number.map(|number| format!("refs/pull/{}/merge", number.to_text())),
    };
    Found { git_ref, sha: of_request(&["merge_commit_sha"]).or_else(|| of_request(&["head", "sha"])) }
}

fn created(payload: &Value) -> Option<String> {
    let name = text(payload, &["ref"])?;
    let kind = if text(payload, &["ref_type"]).as_deref() == Some("tag") { "tags" } else { "heads" };
    Some(if name.starts_with("refs/") { name } else { format!("refs/{kind}/{name}") })
}

fn packaged(payload: &Value) -> Found {
    let version = |keys: &[&str]| text(payload, &[&["registry_package", "package_version"], keys].concat());
    let tag = version(&["release", "tag_name"]).map(|tag| format!("refs/tags/{tag}"));
    let branch = version(&["target_commitish"]).filter(|name| !is_sha(name)).map(|name| complete_ref(&name));
    Found { git_ref: tag.or(branch), sha: version(&["target_oid"]) }
}

fn is_sha(text: &str) -> bool {
    text.len() == SHA_LENGTH && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::{Found, of};
    use crate::expr::Value;

    fn check(event: &str, payload: &str, git_ref: Option<&str>, sha: Option<&str>) {
        let json = serde_json::from_str(payload).expect("a test's payload is JSON");
        let expected = Found { git_ref: git_ref.map(str::to_owned), sha: sha.map(str::to_owned) };
        assert_eq!(of(event, &Value::from_json(&json)), expected, "{event} {payload}");
    }

    #[test]
    fn refs_follow_the_table_of_events() {
        check("push", r#"{"ref":"refs/tags/v1","after":"abc"}"#, Some("refs/tags/v1"), Some("abc"));
        let gone = r#"{"ref":"refs/heads/x","deleted":true,"repository":{"default_branch":"main"}}"#;
        check("push", gone, Some("refs/heads/main"), None);
        check("create", r#"{"ref":"v2","ref_type":"tag"}"#, Some("refs/tags/v2"), None);
        check("create", r#"{"ref":"a/b","ref_type":"branch"}"#, Some("refs/heads/a/b"), None);
        check("delete", r#"{"ref":"a/b","ref_type":"branch"}"#, None, None);
        check("release", r#"{"release":{"tag_name":"v3"}}"#, Some("refs/tags/v3"), None);
        check("workflow_dispatch", r#"{"ref":"topic"}"#, Some("refs/heads/topic"), None);
        check("issues", r#"{"repository":{"default_branch":"trunk"}}"#, Some("refs/heads/trunk"), None);
        let group =
            r#"{"merge_group":{"head_ref":"refs/heads/gh-readonly-queue/main/pr-1","head_sha":"abc"}}"#;
        check("merge_group", group, Some("refs/heads/gh-readonly-queue/main/pr-1"), Some("abc"));
        check("schedule", "{}", None, None);
    }

    #[test]
    fn pull_requests_are_on_their_merge() {
        let open =
            r#"{"pull_request":{"number":7,"merge_commit_sha":"abc","base":{"ref":"main"},"merged":false}}"#;
        check("pull_request", open, Some("refs/pull/7/merge"), Some("abc"));
        check("pull_request_review", open, Some("refs/pull/7/merge"), Some("abc"));
        let merged = open.replace("false", "true");
        check("pull_request", &merged, Some("refs/heads/main"), Some("abc"));
        let target =
            r#"{"number":7,"pull_request":{"head":{"sha":"b"}},"repository":{"default_branch":"main"}}"#;
        check("pull_request_target", target, Some("refs/heads/main"), None);
        check("pull_request", target, Some("refs/pull/7/merge"), Some("b"));
    }

    #[test]
    fn deployments_and_packages_have_commits() {
        let of_branch = r#"{"deployment":{"ref":"topic","sha":"abc"}}"#;
        check("deployment", of_branch, Some("refs/heads/topic"), Some("abc"));
        let commit = "0123456789012345678901234567890123456789";
        let of_commit = format!(r#"{{"deployment":{{"ref":"{commit}","sha":"{commit}"}}}}"#);
        check("deployment_status", &of_commit, Some(""), Some(commit));
        let package =
            r#"{"registry_package":{"package_version":{"target_commitish":"main","target_oid":"abc"}}}"#;
        check("registry_package", package, Some("refs/heads/main"), Some("abc"));
        let released = r#"{"registry_package":{"package_version":{"release":{"tag_name":"v1"}}}}"#;
        check("registry_package", released, Some("refs/tags/v1"), None);
    }
}
