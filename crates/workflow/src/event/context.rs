//! The `github` context of a run that an event starts.

use super::{Event, text};
use crate::expr::{Object, Value};

/// The host of GitHub itself, whose API has a host of its own.
const PUBLIC_HOST: &str = "github.com";

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
    let server = server_url(event);
    let host = server.split_once("://").map_or("", |(_, host)| host);
    let (api_url, graphql_url) = if host == PUBLIC_HOST {
        (format!("https://api.{host}"), format!("https://api.{host}/graphql"))
    } else {
        (format!("{server}/api/v3"), format!("{server}/api/graphql"))
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
        ("repositoryUrl", format!("git://{host}/{}.git", event.repository)),
        ("api_url", api_url),
        ("graphql_url", graphql_url),
        ("server_url", server),
        ("secret_source", secret_source(event).to_owned()),
        ("retention_days", "90".to_owned()),
    ];
    github.extend(texts);
    github.insert("ref_protected", false);
    github.insert("event", event.payload.clone());
    github.into()
}

/// Where the repository is: its page in the payload without its name at the end.
fn server_url(event: &Event) -> String {
    let page = text(&event.payload, &["repository", "html_url"]);
    let server = page.as_deref().and_then(|page| page.strip_suffix(&event.repository)?.strip_suffix('/'));
    let server = server.filter(|server| server.starts_with("https://") && !event.repository.is_empty());
    server.map_or_else(|| format!("https://{PUBLIC_HOST}"), str::to_owned)
}

/// Whose secrets the run may have. A pull request of a fork gets none, Dependabot its own.
fn secret_source(event: &Event) -> &'static str {
    let of_request = ["pull_request", "pull_request_review", "pull_request_review_comment"];
    let repository = |side: &str| text(&event.payload, &["pull_request", side, "repo", "full_name"]);
    let sides = repository("head").zip(repository("base"));
    if event.actor == "dependabot[bot]" {
        "Dependabot"
    } else if of_request.contains(&&*event.name) && sides.is_some_and(|(head, base)| head != base) {
        "None"
    } else {
        "Actions"
    }
}

#[cfg(test)]
mod tests {
    use super::github_context;
    use crate::event::{Event, Facts, catalog};
    use crate::expr::Value;

    fn check(name: &str, payload: &str, expected: &[(&str, &str)]) {
        let json = serde_json::from_str(payload).expect("a test's payload is JSON");
        let github = github_context(&Event::new(name, &Value::from_json(&json), &Facts::default()));
        for (key, value) in expected {
            assert_eq!(github.get(key).and_then(Value::as_str), Some(*value), "{name} {key}");
        }
    }

    #[test]
    fn refs_have_short_names_and_types() {
        check("push", r#"{"ref":"refs/tags/v1"}"#, &[("ref_name", "v1"), ("ref_type", "tag")]);
        check("push", r#"{"ref":"refs/heads/a/b"}"#, &[("ref_name", "a/b"), ("ref_type", "branch")]);
        let request = r#"{"pull_request":{"number":7,"head":{"ref":"topic"},"base":{"ref":"main"}}}"#;
        let expected =
            [("ref_name", "7/merge"), ("ref_type", "branch"), ("head_ref", "topic"), ("base_ref", "main")];
        check("pull_request", request, &expected);
        check("schedule", "{}", &[("ref", "refs/heads/main"), ("sha", ""), ("head_ref", "")]);
    }

    #[test]
    fn every_event_has_all_that_does_not_come_of_a_runner() {
        let keys = [
            "actor",
            "actor_id",
            "api_url",
            "base_ref",
            "event",
            "event_name",
            "graphql_url",
            "head_ref",
            "ref",
            "ref_name",
            "ref_protected",
            "ref_type",
            "repository",
            "repository_id",
            "repository_owner",
            "repository_owner_id",
            "repositoryUrl",
            "retention_days",
            "secret_source",
            "server_url",
            "sha",
            "triggering_actor",
        ];
        for event in catalog::all() {
            let github = github_context(&Event::new(event.name, &Value::Null, &Facts::default()));
            let github = github.as_object().expect("it is an object");
            let missing = keys.iter().find(|key| !github.contains_key(key));
            assert_eq!((missing, github.len()), (None, keys.len()), "{}", event.name);
        }
    }

    #[test]
    fn servers_are_told_by_the_payload() {
        let expected = [("server_url", "https://github.com"), ("api_url", "https://api.github.com")];
        check("push", r#"{"repository":{"full_name":"o/r","html_url":"https://github.com/o/r"}}"#, &expected);
        check("push", "{}", &expected);
        check(
            "push",
            r#"{"repository":{"full_name":"o/r","html_url":"https://git.example.com/o/r"}}"#,
            &[
                ("server_url", "https://git.example.com"),
                ("api_url", "https://git.example.com/api/v3"),
                ("graphql_url", "https://git.example.com/api/graphql"),
                ("repositoryUrl", "git://git.example.com/o/r.git"),
            ],
        );
    }

    #[test]
    fn secrets_have_a_source() {
        check("push", r#"{"sender":{"login":"mona"}}"#, &[("secret_source", "Actions"), ("actor", "mona")]);
        check("push", r#"{"sender":{"login":"dependabot[bot]"}}"#, &[("secret_source", "Dependabot")]);
        let fork =
            r#"{"pull_request":{"head":{"repo":{"full_name":"a/r"}},"base":{"repo":{"full_name":"o/r"}}}}"#;
        check("pull_request", fork, &[("secret_source", "None")]);
        check("pull_request_target", fork, &[("secret_source", "Actions")]);
    }
}
