//! Whether a payload can be one of the event that it is given for.

use super::catalog;
use crate::expr::{Kind, Value};

/// Why a payload cannot be one of the event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// GitHub has no such event.
    #[error("GitHub has no event `{name}`")]
    Unknown {
        /// The name.
        name: String,
        /// The event that is meant.
        meant: Option<&'static str>,
    },
    /// A payload is an object.
    #[error("the payload is {found}, not an object")]
    Shape {
        /// What it is.
        found: &'static str,
    },
    /// The payload is one of another event.
    #[error("the payload is one of the event `{like}`, not of `{event}`")]
    Other {
        /// The event that it was given for.
        event: String,
        /// The event that it looks like.
        like: &'static str,
    },
}

/// What the payloads of an event have at their top.
struct Sign {
    event: &'static str,
    /// Keys that all of them have.
    has: &'static [&'static str],
    /// Keys that none of them has.
    lacks: &'static [&'static str],
}

const fn sign(event: &'static str, has: &'static [&'static str], lacks: &'static [&'static str]) -> Sign {
    Sign { event, has, lacks }
}

/// Events whose payloads tell themselves. Of payloads that fit several, the first is the one that is named.
const SIGNS: [Sign; 29] = [
    sign("branch_protection_rule", &["rule"], &[]),
    sign("check_run", &["check_run"], &["deployment_status"]),
    sign("check_suite", &["check_suite"], &[]),
    sign("create", &["ref", "ref_type", "master_branch"], &[]),
    sign("delete", &["ref", "ref_type"], &["master_branch"]),
    sign("deployment_status", &["deployment_status"], &[]),
    sign("deployment", &["deployment"], &["deployment_status"]),
    sign("discussion_comment", &["discussion", "comment"], &[]),
    sign("discussion", &["discussion"], &["comment"]),
    sign("fork", &["forkee"], &[]),
    sign("gollum", &["pages"], &[]),
    sign("issue_comment", &["issue", "comment"], &[]),
    sign("issues", &["issue"], &["comment"]),
    sign("label", &["label"], &["issue", "pull_request", "discussion"]),
    sign("merge_group", &["merge_group"], &[]),
    sign("milestone", &["milestone"], &["issue", "pull_request"]),
    sign("page_build", &["build"], &[]),
    sign("pull_request_review", &["pull_request", "review"], &[]),
    sign("pull_request_review_comment", &["pull_request", "comment"], &[]),
    sign("pull_request", &["pull_request"], &["review", "comment"]),
    sign("pull_request_target", &["pull_request"], &["review", "comment"]),
    sign("push", &["ref", "commits"], &[]),
    sign("registry_package", &["registry_package"], &[]),
    sign("release", &["release"], &[]),
    sign("repository_dispatch", &["client_payload"], &[]),
    sign("schedule", &["schedule"], &[]),
    sign("status", &["state", "context", "branches"], &[]),
    sign("workflow_dispatch", &["inputs"], &["commits", "ref_type"]),
    sign("workflow_run", &["workflow_run"], &["deployment", "deployment_status"]),
];

impl Sign {
    fn fits(&self, payload: &Value) -> bool {
        self.has.iter().all(|key| has(payload, key)) && !self.is_refuted(payload)
    }

    fn is_refuted(&self, payload: &Value) -> bool {
        self.lacks.iter().any(|key| has(payload, key))
    }
}

fn has(payload: &Value, key: &str) -> bool {
    payload.get(key).is_some_and(|value| *value != Value::Null)
}

fn with_article(kind: Kind) -> &'static str {
    match kind {
        Kind::Null => "null",
        Kind::Boolean => "a boolean",
        Kind::Number => "a number",
        Kind::String => "a text",
        Kind::Array => "an array",
        Kind::Object => "an object",
    }
}

/// Checks that the event exists and the payload may be one of its own. One that people wrote by hand may leave out what
/// it likes; only one that is clearly of another event is refused.
///
/// # Errors
/// What is wrong with the event or its payload.
pub fn check(event: &str, payload: &Value) -> Result<(), EventError> {
    if catalog::find(event).is_none() {
        return Err(EventError::Unknown { name: event.to_owned(), meant: catalog::meant(event) });
    }
    if payload.as_object().is_none() {
        return Err(EventError::Shape { found: with_article(payload.kind()) });
    }
    // A called workflow has the payload of whatever started its caller.
    if event == "workflow_call" {
        return Ok(());
    }
    let own = SIGNS.iter().find(|sign| sign.event == event);
    let may_be = own.is_some_and(|own| {
        let told = own.has.iter().any(|key| has(payload, key));
        told && !own.is_refuted(payload)
    });
    match SIGNS.iter().find(|sign| sign.fits(payload)) {
        Some(other) if !may_be => Err(EventError::Other { event: event.to_owned(), like: other.event }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{SIGNS, check};
    use crate::event::catalog;
    use crate::expr::Value;

    fn refused(event: &str, payload: &str, message: &str) {
        let json = serde_json::from_str(payload).expect("a test's payload is JSON");
        let found = check(event, &Value::from_json(&json)).err().map(|error| error.to_string());
        assert_eq!(found.as_deref(), Some(message).filter(|text| !text.is_empty()), "{event} {payload}");
    }

    #[test]
    fn payloads_of_their_event() {
        for (event, payload) in [
            ("push", "{}"),
            ("push", r#"{"ref":"refs/heads/main","commits":[]}"#),
            ("pull_request", r#"{"action":"labeled","pull_request":{},"label":{}}"#),
            ("pull_request_target", r#"{"pull_request":{}}"#),
            ("pull_request_review", r#"{"pull_request":{}}"#),
            ("issues", r#"{"issue":{},"milestone":{}}"#),
            (
                "deployment_status",
                r#"{"deployment_status":{},"deployment":{},"check_run":{},"workflow_run":{}}"#,
            ),
            ("workflow_call", r#"{"issue":{}}"#),
            ("watch", r#"{"action":"started"}"#),
        ] {
            refused(event, payload, "");
        }
    }

    #[test]
    fn payloads_of_another_event() {
        let other =
            |event: &str, like: &str| format!("the payload is one of the event `{like}`, not of `{event}`");
        for (event, payload, like) in [
            ("push", r#"{"pull_request":{}}"#, "pull_request"),
            ("issues", r#"{"issue":{},"comment":{}}"#, "issue_comment"),
            ("pull_request", r#"{"pull_request":{},"review":{}}"#, "pull_request_review"),
            ("watch", r#"{"release":{}}"#, "release"),
            ("deployment", r#"{"deployment":{},"deployment_status":{}}"#, "deployment_status"),
            ("workflow_dispatch", r#"{"ref":"refs/heads/main","commits":[]}"#, "push"),
        ] {
            refused(event, payload, &other(event, like));
        }
    }

    #[test]
    fn events_and_payloads_that_do_not_exist() {
        refused("psh", "{}", "GitHub has no event `psh`");
        refused("push", "[]", "the payload is an array, not an object");
        refused("push", "null", "the payload is null, not an object");
    }

    #[test]
    fn each_sign_is_of_an_event() {
        for sign in &SIGNS {
            assert!(catalog::find(sign.event).is_some(), "{}", sign.event);
        }
    }
}
