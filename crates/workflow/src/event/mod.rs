//! What happened: a webhook's name and payload, and the `github` context of the runs that it starts.
//!
//! [`catalog`] knows all events and their activity types, [`place`] which ref and commit a run gets, [`check`] whether a
//! payload can be one of its event. What a payload does not say comes from [`Facts`] that the caller knows about the
//! repository. Text from a payload is data and never trusted.

pub mod catalog;
mod context;
mod payload;
mod place;

pub use context::github_context;
pub use payload::{EventError, check};

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
    /// The message of the head commit, in place of the payload's.
    pub head_message: Option<String>,
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
    /// The message of the head commit of a push or pull request; `None` where nobody knows.
    #[serde(default)]
    pub head_message: Option<String>,
}

const DEFAULT_REF: &str = "refs/heads/main";
/// Pushes of more commits start their workflows whatever they change.
const MAX_FILTERED_COMMITS: usize = 1000;

impl Event {
    /// The event `name` with its payload; a payload that is no object counts as an empty one.
    #[must_use]
    pub fn new(name: &str, payload: &Value, facts: &Facts) -> Self {
        let payload = if payload.as_object().is_some() { payload.clone() } else { Object::new().into() };
        let place = place::of(name, &payload);
        let git_ref = facts.ref_override.as_deref().map(complete_ref).or(place.git_ref);
        let head_message = text(&payload, &["head_commit", "message"]).filter(|_| name == "push");
        let known = |fact: &Option<String>| fact.clone().unwrap_or_default();
        Self {
            name: name.to_owned(),
            git_ref: git_ref.or_else(|| facts.git_ref.clone()).unwrap_or_else(|| DEFAULT_REF.to_owned()),
            sha: place.sha.or_else(|| facts.sha.clone()).unwrap_or_default(),
            changed_paths: facts.changed_paths.clone().or_else(|| changed_paths(&payload)),
            repository: text(&payload, &["repository", "full_name"])
                .unwrap_or_else(|| known(&facts.repository)),
            actor: text(&payload, &["sender", "login"])
                .or_else(|| text(&payload, &["pusher", "name"]))
                .unwrap_or_else(|| known(&facts.actor)),
            head_message: facts.head_message.clone().or(head_message),
            payload,
        }
    }

    /// The payload's `action`, the activity type. Who asks for a `repository_dispatch` calls it `event_type`.
    #[must_use]
    pub fn action(&self) -> Option<&str> {
        let asked = self.payload.get("event_type").filter(|_| self.name == "repository_dispatch");
        self.payload.get("action").or(asked).and_then(Value::as_str)
    }

    /// The ref that a push is about, in full: also where it takes it away, and its run is elsewhere.
    #[must_use]
    pub fn pushed_ref(&self) -> &str {
        let gone = self.payload.get("ref").filter(|_| place::is_deletion(&self.payload));
        gone.and_then(Value::as_str).unwrap_or(&self.git_ref)
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
        let mut fill = |key: &str, value: Value| {
            if !payload.contains_key(key) {
                payload.insert(key, value);
            }
        };
        match self.name.as_str() {
            "push" => {
                fill("ref", (&self.git_ref).into());
                fill("before", place::NO_COMMIT.into());
                fill("after", (&self.sha).into());
            }
            "workflow_dispatch" => fill("ref", (&self.git_ref).into()),
            "repository_dispatch" => {
                if let Some(action) = self.payload.get("event_type") {
                    fill("action", action.clone());
                }
                fill("branch", branch.unwrap_or(&self.git_ref).into());
            }
            "pull_request" | "pull_request_target" => {
                if let Some((head, base)) = branch.zip(default_branch) {
                    let head: Object = [("ref", head), ("sha", &self.sha)].into_iter().collect();
                    let sides = [("head", Value::from(head)), ("base", one("ref", base))];
                    fill("pull_request", sides.into_iter().collect::<Object>().into());
                }
            }
            _ => {}
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

/// The files that the payload's commits touched; `None` where it lists no commits, or too many to be looked at.
fn changed_paths(payload: &Value) -> Option<Vec<String>> {
    let commits = payload.get("commits")?.as_array()?;
    // A new branch without commits of its own is compared with where it comes from, which the payload does not tell.
    let is_new = commits.is_empty() && payload.get("created").is_some_and(Value::is_truthy);
    if is_new || commits.len() > MAX_FILTERED_COMMITS {
        return None;
    }
    let kinds = ["added", "removed", "modified"];
    // What a run finds in `github.event` tells no files.
    let tells = |commit: &Value| kinds.iter().any(|kind| commit.get(kind).is_some());
    if !commits.is_empty() && !commits.iter().any(tells) {
        return None;
    }
    let mut paths: Vec<String> = Vec::new();
    for commit in commits {
        for key in kinds {
            let files = commit.get(key).and_then(Value::as_array).unwrap_or_default();
            paths.extend(files.iter().filter_map(Value::as_str).map(str::to_owned));
        }
    }
    paths.sort_unstable();
    paths.dedup();
    Some(paths)
}

#[cfg(test)]
mod tests {
    use super::{Event, Facts, github_context};
    use crate::expr::Value;

    fn event(name: &str, payload: &str) -> Event {
        let payload = serde_json::from_str(payload).expect("a test's payload is JSON");
        Event::new(name, &Value::from_json(&payload), &Facts::default())
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
        for payload in [r#"{"commits":[],"created":true}"#, r#"{"commits":[{"id":"a"}]}"#] {
            assert_eq!(self::event("push", payload).changed_paths, None, "{payload}");
        }
        assert_eq!(self::event("push", r#"{"commits":[]}"#).changed_paths, Some(Vec::new()));
    }

    #[test]
    fn dispatches_of_a_repository_are_asked_for_by_another_name() {
        let event = event("repository_dispatch", r#"{"event_type":"built","client_payload":{"a":1}}"#);
        assert_eq!(event.action(), Some("built"));
        let filled = event.with_filled_payload(&Facts::default());
        assert_eq!(filled.payload.get("action"), Some(&Value::from("built")));
        assert_eq!(filled.payload.get("branch"), Some(&Value::from("main")));
    }
}
