//! What happened: a webhook's name and payload, and the `github` context of the runs that it starts.
//!
//! GitHub's table of events fixes which ref and commit a run gets; what a payload does not say comes from [`Facts`]
//! that the caller knows about the repository. Text from a payload is data and never trusted.

use serde::{Deserialize, Serialize};

use crate::expr::{Object, Value};

/// What the caller knows about the repository, for what a payload does not say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// `owner/name`.
    pub repository: Option<String>,
    /// The checked-out ref in full, such as `refs/heads/topic`.
    pub git_ref: Option<String>,
    /// The checked-out commit.
    pub sha: Option<String>,
    /// The name of the default branch; that of the event's ref where nobody knows.
    pub default_branch: Option<String>,
    /// Who starts the run.
    pub actor: Option<String>,
    /// The paths that the event changed; not known without.
    pub changed_paths: Option<Vec<String>>,
    /// Used in place of the ref that the payload gives.
    pub ref_override: Option<String>,
}

/// One thing that happened in a repository.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The event's name, such as `push`.
    pub name: String,
    /// The webhook's payload, an object.
    pub payload: Value,
    /// The ref that a run of this event checks out, in full.
    pub git_ref: String,
    /// The commit that a run of this event checks out; empty where it is not known.
    pub sha: String,
    /// The paths that were changed; `None` where nobody knows.
    pub changed_paths: Option<Vec<String>>,
    /// `owner/name`; empty where it is not known.
    pub repository: String,
    /// Who caused the event; empty where it is not known.
    pub actor: String,
}

const DEFAULT_REF: &str = "refs/heads/main";
const SHA_LENGTH: usize = 40;

impl Event {
    /// The event `name` with its payload; a payload that is no object counts as an empty one.
    #[must_use]
    pub fn new(name: &str, payload: &Value, facts: &Facts) -> Self {
        let payload = if payload.as_object().is_some() { payload.clone() } else { Object::new().into() };
        let git_ref = facts.ref_override.as_deref().map(complete_ref);
        let git_ref = git_ref.or_else(|| ref_of_event(name, &payload));
        let known = |fact: &Option<String>| fact.clone().unwrap_or_default();
        Self {
            name: name.to_owned(),
            git_ref: git_ref.or_else(|| facts.git_ref.clone()).unwrap_or_else(|| DEFAULT_REF.to_owned()),
            sha: sha_of_event(name, &payload).or_else(|| facts.sha.clone()).unwrap_or_default(),
            changed_paths: facts.changed_paths.clone().or_else(|| changed_paths(&payload)),
            repository: text(&payload, &["repository", "full_name"])
                .unwrap_or_else(|| known(&facts.repository)),
            actor: text(&payload, &["sender", "login"])
                .or_else(|| text(&payload, &["pusher", "name"]))
                .unwrap_or_else(|| known(&facts.actor)),
            payload,
        }
    }

    /// The payload's `action`, the activity type.
    #[must_use]
    pub fn action(&self) -> Option<&str> {
        self.payload.get("action").and_then(Value::as_str)
    }

    /// Adds to the payload what a real one always has and this one lacks: `repository`, `sender`, for a push `ref`,
    /// `before` and `after`, for a pull request its branches: from the checked-out one to the default one. What the
    /// payload has stays as it is.
    #[must_use]
    pub fn with_filled_payload(mut self, facts: &Facts) -> Self {
        let Some(mut payload) = self.payload.as_object().cloned() else { return self };
        let branch = self.git_ref.strip_prefix("refs/heads/");
        let default_branch = facts.default_branch.as_deref().or(branch);
        if !payload.contains_key("repository") && !self.repository.is_empty() {
            payload.insert("repository", repository_object(&self.repository, default_branch));
        }
        if !payload.contains_key("sender") && !self.actor.is_empty() {
            payload.insert("sender", one("login", &self.actor));
        }
        if self.name == "push" {
            let zeros = "0".repeat(SHA_LENGTH);
            for (key, value) in [("ref", &self.git_ref), ("before", &zeros), ("after", &self.sha)] {
                if !payload.contains_key(key) {
                    payload.insert(key, value);
                }
            }
        } else if self.name == "workflow_dispatch" && !payload.contains_key("ref") {
            payload.insert("ref", &self.git_ref);
        } else if matches!(&*self.name, "pull_request" | "pull_request_target")
            && !payload.contains_key("pull_request")
            && let Some((head, base)) = branch.zip(default_branch)
        {
            let head: Object = [("ref", head), ("sha", &self.sha)].into_iter().collect();
            let sides = [("head", Value::from(head)), ("base", one("ref", base))];
            payload.insert("pull_request", sides.into_iter().collect::<Object>());
        }
        self.payload = payload.into();
        self
    }
}

fn one(key: &str, value: &str) -> Value {
    [(key, value)].into_iter().collect::<Object>().into()
}

fn repository_object(full_name: &str, default_branch: Option<&str>) -> Value {
    let (owner, name) = full_name.split_once('/').unwrap_or(("", full_name));
    let mut repository: Object = [("name", name), ("full_name", full_name)].into_iter().collect();
    repository.insert("owner", one("login", owner));
    if let Some(branch) = default_branch {
        repository.insert("default_branch", branch);
    }
    repository.into()
}

/// The non-empty text at the end of `keys`.
fn text(payload: &Value, keys: &[&str]) -> Option<String> {
    payload.at(keys).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn complete_ref(name: &str) -> String {
    if name.starts_with("refs/") { name.to_owned() } else { format!("refs/heads/{name}") }
}

fn is_sha(text: &str) -> bool {
    text.len() == SHA_LENGTH && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn ref_of_event(name: &str, payload: &Value) -> Option<String> {
    let own = match name {
        "push" | "workflow_dispatch" => text(payload, &["ref"]).map(|name| complete_ref(&name)),
        "pull_request" | "pull_request_review" | "pull_request_review_comment" => pull_request_ref(payload),
        "create" => text(payload, &["ref"]).map(|name| {
            let kind = if text(payload, &["ref_type"]).as_deref() == Some("tag") { "tags" } else { "heads" };
            if name.starts_with("refs/") { name } else { format!("refs/{kind}/{name}") }
        }),
        "release" => text(payload, &["release", "tag_name"]).map(|tag| format!("refs/tags/{tag}")),
        "merge_group" => text(payload, &["merge_group", "head_ref"]).map(|name| complete_ref(&name)),
        // A deployment of a bare commit has no ref at all.
        "deployment" | "deployment_status" => text(payload, &["deployment", "ref"])
            .map(|name| if is_sha(&name) { String::new() } else { complete_ref(&name) }),
        _ => None,
    };
    own.or_else(|| text(payload, &["repository", "default_branch"]).map(|branch| complete_ref(&branch)))
}

fn pull_request_ref(payload: &Value) -> Option<String> {
    let number = payload.at(&["pull_request", "number"]).or_else(|| payload.get("number"))?;
    Some(format!("refs/pull/{}/merge", number.to_text()))
}

fn sha_of_event(name: &str, payload: &Value) -> Option<String> {
    match name {
        "push" => text(payload, &["after"]).or_else(|| text(payload, &["head_commit", "id"])),
        "pull_request" | "pull_request_review" | "pull_request_review_comment" => {
            text(payload, &["pull_request", "merge_commit_sha"])
                .or_else(|| text(payload, &["pull_request", "head", "sha"]))
        }
        "merge_group" => text(payload, &["merge_group", "head_sha"]),
        "deployment" | "deployment_status" => text(payload, &["deployment", "sha"]),
        "release" => text(payload, &["release", "target_commitish"]).filter(|name| is_sha(name)),
        _ => None,
    }
}

/// The files that the payload's commits touched; `None` where it lists no commits.
fn changed_paths(payload: &Value) -> Option<Vec<String>> {
    let commits = payload.get("commits")?.as_array()?;
    let mut paths: Vec<String> = Vec::new();
    for commit in commits {
        for key in ["added", "removed", "modified"] {
            let files = commit.get(key).and_then(Value::as_array).unwrap_or_default();
            paths.extend(files.iter().filter_map(Value::as_str).map(str::to_owned));
        }
    }
    paths.sort_unstable();
    paths.dedup();
    Some(paths)
}

/// `refs/heads/main` is the branch `main`; a pull request's ref is the branch `N/merge`.
fn short_ref(git_ref: &str) -> (&str, &'static str) {
    if let Some(tag) = git_ref.strip_prefix("refs/tags/") {
        return (tag, "tag");
    }
    let prefixes = ["refs/heads/", "refs/pull/"];
    let name = prefixes.iter().find_map(|prefix| git_ref.strip_prefix(prefix)).unwrap_or(git_ref);
    (name, if git_ref.is_empty() { "" } else { "branch" })
}

/// The `github` context of a run that the event starts: an object without what only a run or a runner knows.
#[must_use]
pub fn github_context(event: &Event) -> Value {
    let (ref_name, ref_type) = short_ref(&event.git_ref);
    let of_pull_request = event.name.starts_with("pull_request");
    let branch = |side: &str| {
        let name = text(&event.payload, &["pull_request", side, "ref"]);
        name.filter(|_| of_pull_request).unwrap_or_default()
    };
    let owner = event.repository.split('/').next().unwrap_or_default();
    let id = |keys: &[&str]| event.payload.at(keys).map(|id| id.to_text().into_owned()).unwrap_or_default();
    let mut github = Object::new();
    let texts = [
        ("event_name", event.name.clone()),
        ("ref", event.git_ref.clone()),
        ("ref_name", ref_name.to_owned()),
        ("ref_type", ref_type.to_owned()),
        ("sha", event.sha.clone()),
        ("head_ref", branch("head")),
        ("base_ref", branch("base")),
        ("actor", event.actor.clone()),
        ("actor_id", id(&["sender", "id"])),
        ("triggering_actor", event.actor.clone()),
        ("repository", event.repository.clone()),
        ("repository_owner", owner.to_owned()),
        ("repository_id", id(&["repository", "id"])),
        ("repository_owner_id", id(&["repository", "owner", "id"])),
        ("repositoryUrl", format!("git://github.com/{}.git", event.repository)),
        ("server_url", "https://github.com".to_owned()),
        ("api_url", "https://api.github.com".to_owned()),
        ("graphql_url", "https://api.github.com/graphql".to_owned()),
        ("secret_source", "Actions".to_owned()),
        ("retention_days", "90".to_owned()),
    ];
    github.extend(texts);
    github.insert("ref_protected", false);
    github.insert("event", event.payload.clone());
    github.into()
}

#[cfg(test)]
mod tests {
    use super::{Event, Facts, github_context};
    use crate::expr::Value;

    fn event(name: &str, payload: &str) -> Event {
        let payload = serde_json::from_str(payload).expect("a test's payload is JSON");
        Event::new(name, &Value::from_json(&payload), &Facts::default())
    }

    fn check(name: &str, payload: &str, expected: &[(&str, &str)]) {
        let github = github_context(&event(name, payload));
        for (key, value) in expected {
            assert_eq!(github.get(key).and_then(Value::as_str), Some(*value), "{name} {key}");
        }
    }

    #[test]
    fn refs_follow_the_table_of_events() {
        check(
            "push",
            r#"{"ref":"refs/tags/v1","after":"abc"}"#,
            &[("ref", "refs/tags/v1"), ("ref_name", "v1"), ("ref_type", "tag"), ("sha", "abc")],
        );
        check(
            "pull_request",
            r#"{"number":7,"pull_request":{"number":7,"head":{"ref":"topic"},"base":{"ref":"main"}}}"#,
            &[
                ("ref", "refs/pull/7/merge"),
                ("ref_name", "7/merge"),
                ("ref_type", "branch"),
                ("head_ref", "topic"),
                ("base_ref", "main"),
            ],
        );
        check("create", r#"{"ref":"v2","ref_type":"tag"}"#, &[("ref", "refs/tags/v2")]);
        check("release", r#"{"release":{"tag_name":"v3"}}"#, &[("ref", "refs/tags/v3")]);
        check(
            "issues",
            r#"{"repository":{"default_branch":"trunk","full_name":"o/r"}}"#,
            &[("ref", "refs/heads/trunk"), ("repository_owner", "o")],
        );
        check("workflow_dispatch", r#"{"ref":"topic"}"#, &[("ref", "refs/heads/topic")]);
        check("schedule", "{}", &[("ref", "refs/heads/main"), ("sha", "")]);
    }

    #[test]
    fn facts_fill_what_the_payload_lacks() {
        let facts = Facts {
            repository: Some("o/r".to_owned()),
            git_ref: Some("refs/heads/topic".to_owned()),
            sha: Some("abc".to_owned()),
            actor: Some("me".to_owned()),
            ..Facts::default()
        };
        let event = Event::new("push", &Value::Null, &facts).with_filled_payload(&facts);
        assert_eq!(event.git_ref, "refs/heads/topic");
        assert_eq!(event.payload.at(&["after"]), Some(&Value::from("abc")));
        assert_eq!(event.payload.at(&["repository", "owner", "login"]), Some(&Value::from("o")));
        assert_eq!(event.payload.at(&["sender", "login"]), Some(&Value::from("me")));
        let default_branch = ["repository", "default_branch"];
        assert_eq!(event.payload.at(&default_branch), Some(&Value::from("topic")));
        let facts = Facts { default_branch: Some("trunk".to_owned()), ..facts };
        let event = Event::new("pull_request", &Value::Null, &facts).with_filled_payload(&facts);
        assert_eq!(event.payload.at(&default_branch), Some(&Value::from("trunk")));
        let github = github_context(&event);
        let texts = ["ref", "head_ref", "base_ref"].map(|key| github.get(key).and_then(Value::as_str));
        assert_eq!(texts, [Some("refs/heads/topic"), Some("topic"), Some("trunk")]);
    }

    #[test]
    fn commits_tell_the_changed_paths() {
        let event = event("push", r#"{"commits":[{"added":["b"],"modified":["a"]},{"removed":["a"]}]}"#);
        assert_eq!(event.changed_paths, Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(super::changed_paths(&Value::Null), None);
    }
}
