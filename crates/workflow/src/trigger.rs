//! Whether an event starts a workflow, and if not, why: activity types, the filters of branches, tags, paths and
//! workflows, schedules, instructions to skip, and what GitHub never starts a workflow for.
//!
//! What an event does not say (an activity type, the changed paths) holds nothing back.

mod skip;

use crate::event::{Event, catalog};
use crate::expr::Value;
use crate::filter::{Filter, Verdict};
use crate::model::{Trigger, Workflow};
use crate::source::{Span, Spanned};

/// Why an event does not start a workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotTriggered {
    /// A stable name in kebab-case: the key of the filter, such as `branches-ignore`, or `event`, `types`,
    /// `skip-instruction`, and so on.
    pub code: &'static str,
    /// One sentence, lower case, no full stop.
    pub message: String,
    /// What holds the event back, in the workflow's file.
    pub span: Option<Span>,
}

type Verdicted<T> = Result<T, NotTriggered>;

fn held<T>(code: &'static str, span: Option<Span>, message: impl Into<String>) -> Verdicted<T> {
    Err(NotTriggered { code, message: message.into(), span })
}

/// The configuration under `on` that the event meets; `None` when the workflow does not start.
#[must_use]
pub fn triggers<'a>(workflow: &'a Workflow, event: &Event) -> Option<&'a Trigger> {
    decide(workflow, event).ok()
}

/// The configuration under `on` that the event meets.
///
/// # Errors
/// Why the workflow does not start.
pub fn decide<'a>(workflow: &'a Workflow, event: &Event) -> Result<&'a Trigger, NotTriggered> {
    let Some(trigger) = workflow.on.events.get(&event.name) else {
        let own: Vec<&str> = workflow.on.events.keys().map(String::as_str).collect();
        let message = format!("it does not start on `{}`, only on {}", event.name, list(&own));
        return held("event", None, message);
    };
    activity(trigger, event)?;
    never_started(event)?;
    match event.name.as_str() {
        "push" => push(trigger, event)?,
        "pull_request" | "pull_request_target" => {
            branch(trigger, text(event, &["pull_request", "base", "ref"]))?;
            paths(trigger, event)?;
        }
        "merge_group" => {
            let base = text(event, &["merge_group", "base_ref"]);
            branch(trigger, base.map(|name| name.strip_prefix("refs/heads/").unwrap_or(name)))?;
        }
        "workflow_run" => workflow_run(trigger, event)?,
        "schedule" => schedule(trigger, event)?,
        "image_version" => {
            let image = |key| text(event, &["image_version", key]);
            include(("names", "image"), trigger.names.as_deref(), image("name"))?;
            include(("versions", "version"), trigger.versions.as_deref(), image("version"))?;
        }
        _ => {}
    }
    skip_instruction(event)?;
    Ok(trigger)
}

fn list(names: &[&str]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [one] => format!("`{one}`"),
        [most @ .., last] => format!("`{}` and `{last}`", most.join("`, `")),
    }
}

fn text<'a>(event: &'a Event, keys: &[&str]) -> Option<&'a str> {
    event.payload.at(keys).and_then(Value::as_str)
}

fn activity(trigger: &Trigger, event: &Event) -> Verdicted<()> {
    let Some(action) = event.action() else { return Ok(()) };
    if let Some(types) = &trigger.types {
        if types.iter().any(|name| name.value == action) {
            return Ok(());
        }
        let names: Vec<&str> = types.iter().map(|name| name.value.as_str()).collect();
        let span = types.first().map(|name| name.span);
        return held("types", span, format!("`types` is {}, without `{action}`", list(&names)));
    }
    let Some(known) = catalog::find(&event.name) else { return Ok(()) };
    if known.types.is_empty() || known.default_types.contains(&action) {
        Ok(())
    } else if known.types.contains(&action) {
        let message = format!(
            "without `types` it starts for {} of `{}`, not for `{action}`",
            list(known.default_types),
            event.name
        );
        held("types", Some(trigger.span), message)
    } else {
        held("types", None, format!("GitHub starts no workflow for `{action}` of `{}`", event.name))
    }
}

/// What GitHub's documentation takes out, whatever a workflow says.
fn never_started(event: &Event) -> Verdicted<()> {
    let flag = |keys: &[&str]| {
        event.payload.at(keys).and_then(|value| match value {
            Value::Bool(flag) => Some(*flag),
            _ => None,
        })
    };
    match event.name.as_str() {
        "pull_request"
            if event.action() != Some("closed") && flag(&["pull_request", "mergeable"]) == Some(false) =>
        {
            held("merge-conflict", None, "the pull request has a merge conflict")
        }
        "deployment_status" if text(event, &["deployment_status", "state"]) == Some("inactive") => {
            held("inactive-deployment", None, "the deployment has become inactive")
        }
        "release"
            if flag(&["release", "draft"]) == Some(true)
                && matches!(event.action(), Some("created" | "edited" | "deleted")) =>
        {
            held("draft-release", None, "the release is a draft")
        }
        _ => Ok(()),
    }
}

fn skip_instruction(event: &Event) -> Verdicted<()> {
    if !matches!(event.name.as_str(), "push" | "pull_request") {
        return Ok(());
    }
    match event.head_message.as_deref().and_then(skip::instruction) {
        Some(instruction) => {
            held("skip-instruction", None, format!("the message of the head commit says `{instruction}`"))
        }
        None => Ok(()),
    }
}

type Patterns<'a> = Option<&'a [Spanned<String>]>;

/// A name against the list under `key`; a list that is absent lets everything pass.
fn include((key, what): (&'static str, &str), patterns: Patterns<'_>, name: Option<&str>) -> Verdicted<()> {
    let (Some(patterns), Some(name)) = (patterns, name) else { return Ok(()) };
    match Filter::new(patterns).verdict(name) {
        Verdict::Included { .. } => Ok(()),
        Verdict::TakenBack { by } => {
            let message = format!("the {what} `{name}` is taken out of `{key}` by `{}`", patterns[by].value);
            held(key, Some(patterns[by].span), message)
        }
        Verdict::Unnamed => {
            let span = patterns.first().map(|pattern| pattern.span);
            held(key, span, format!("no pattern of `{key}` matches the {what} `{name}`"))
        }
    }
}

/// A name against the list under `key`, which must not have it.
fn ignore((key, what): (&'static str, &str), patterns: Patterns<'_>, name: Option<&str>) -> Verdicted<()> {
    let (Some(patterns), Some(name)) = (patterns, name) else { return Ok(()) };
    match Filter::new(patterns).verdict(name) {
        Verdict::Included { by } => {
            let message = format!("`{}` of `{key}` matches the {what} `{name}`", patterns[by].value);
            held(key, Some(patterns[by].span), message)
        }
        Verdict::TakenBack { .. } | Verdict::Unnamed => Ok(()),
    }
}

fn branch(trigger: &Trigger, name: Option<&str>) -> Verdicted<()> {
    include(("branches", "branch"), trigger.branches.as_deref(), name)?;
    ignore(("branches-ignore", "branch"), trigger.branches_ignore.as_deref(), name)
}

fn push(trigger: &Trigger, event: &Event) -> Verdicted<()> {
    let for_branches = trigger.branches.is_some() || trigger.branches_ignore.is_some();
    let for_tags = trigger.tags.is_some() || trigger.tags_ignore.is_some();
    let pushed = event.pushed_ref();
    if let Some(tag) = pushed.strip_prefix("refs/tags/") {
        if for_branches && !for_tags {
            let message = format!("the tag `{tag}` was pushed, and there are filters for branches only");
            return held("tags", Some(trigger.span), message);
        }
        // Paths are not looked at for tags.
        include(("tags", "tag"), trigger.tags.as_deref(), Some(tag))?;
        return ignore(("tags-ignore", "tag"), trigger.tags_ignore.as_deref(), Some(tag));
    }
    let name = pushed.strip_prefix("refs/heads/").unwrap_or(pushed);
    if for_tags && !for_branches {
        let message = format!("the branch `{name}` was pushed, and there are filters for tags only");
        return held("branches", Some(trigger.span), message);
    }
    branch(trigger, Some(name))?;
    paths(trigger, event)
}

/// `paths`: one changed path must match. `paths-ignore`: one changed path must be left.
fn paths(trigger: &Trigger, event: &Event) -> Verdicted<()> {
    let Some(changed) = &event.changed_paths else { return Ok(()) };
    let lists = [("paths", &trigger.paths, true), ("paths-ignore", &trigger.paths_ignore, false)];
    for (key, patterns, wanted) in lists {
        let Some(patterns) = patterns else { continue };
        let filter = Filter::new(patterns);
        if changed.iter().any(|path| filter.matches(path) == wanted) {
            continue;
        }
        let span = patterns.first().map(|pattern| pattern.span);
        let message = match (changed.as_slice(), wanted) {
            ([], _) => format!("no file was changed, and there is a filter of `{key}`"),
            ([path], true) => format!("no pattern of `{key}` matches the changed file `{path}`"),
            (all, true) => format!("no pattern of `{key}` matches one of the {} changed files", all.len()),
            (_, false) => format!("the patterns of `{key}` match all changed files"),
        };
        return held(key, span, message);
    }
    Ok(())
}

fn workflow_run(trigger: &Trigger, event: &Event) -> Verdicted<()> {
    // A run may have a name of its own, or none; the workflow's stands beside it.
    let names = [text(event, &["workflow", "name"]), text(event, &["workflow_run", "name"])];
    let name = names.into_iter().flatten().find(|name| !name.is_empty());
    if let (Some(workflows), Some(name)) = (&trigger.workflows, name)
        && workflows.iter().all(|workflow| workflow.value != name)
    {
        let span = workflows.first().map(|workflow| workflow.span);
        return held("workflows", span, format!("`workflows` does not name the workflow `{name}`"));
    }
    branch(trigger, text(event, &["workflow_run", "head_branch"]))
}

fn schedule(trigger: &Trigger, event: &Event) -> Verdicted<()> {
    match text(event, &["schedule"]) {
        Some(cron) if trigger.schedule.iter().all(|entry| entry.cron.value != cron) => held(
            "schedule",
            Some(trigger.span),
            format!("no entry of `schedule` has the cron expression `{cron}`"),
        ),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;

    use super::decide;
    use crate::event::{Event, Facts};
    use crate::expr::Value;
    use crate::model::{ScheduleEntry, Trigger, Triggers, Workflow};
    use crate::source::{Span, Spanned};

    fn list(patterns: &[&str]) -> Option<Vec<Spanned<String>>> {
        let spanned = |pattern: &&str| Spanned { value: (*pattern).to_owned(), span: Span::default() };
        Some(patterns.iter().map(spanned).collect())
    }

    /// The code and message of what holds the event back; an empty text where nothing does.
    fn verdict(name: &str, trigger: &Trigger, payload: &str) -> String {
        let events = IndexMap::from([(name.to_owned(), trigger.clone())]);
        let workflow = Workflow {
            file: "w.yml".into(),
            name: None,
            run_name: None,
            on: Triggers { events },
            env: None,
            defaults: None,
            permissions: None,
            concurrency: None,
            jobs: Vec::new(),
        };
        let json = serde_json::from_str(payload).expect("a test's payload is JSON");
        let event = Event::new(name, &Value::from_json(&json), &Facts::default());
        decide(&workflow, &event)
            .err()
            .map(|held| format!("{}: {}", held.code, held.message))
            .unwrap_or_default()
    }

    fn check(name: &str, trigger: &Trigger, payload: &str, expected: bool) {
        let found = verdict(name, trigger, payload);
        assert_eq!(found.is_empty(), expected, "{name} {trigger:?} {payload}: {found}");
    }

    fn why(name: &str, trigger: &Trigger, payload: &str, expected: &str) {
        assert_eq!(verdict(name, trigger, payload), expected, "{name} {payload}");
    }

    #[test]
    fn activity_types_have_defaults() {
        let plain = Trigger::default();
        check("pull_request", &plain, r#"{"action":"opened"}"#, true);
        check("pull_request", &plain, r#"{"action":"closed"}"#, false);
        check("issues", &plain, r#"{"action":"closed"}"#, true);
        let closed = Trigger { types: list(&["closed"]), ..Trigger::default() };
        check("pull_request", &closed, r#"{"action":"closed"}"#, true);
        check("pull_request", &closed, r#"{"action":"opened"}"#, false);
        check("pull_request", &plain, "{}", true);
    }

    #[test]
    fn pushes_of_branches_and_tags_are_apart() {
        let (branch, tag) = (r#"{"ref":"refs/heads/main"}"#, r#"{"ref":"refs/tags/v1"}"#);
        check("push", &Trigger::default(), branch, true);
        check("push", &Trigger::default(), tag, true);
        let branches = Trigger { branches: list(&["main"]), ..Trigger::default() };
        check("push", &branches, branch, true);
        check("push", &branches, tag, false);
        let tags = Trigger { tags: list(&["v*"]), ..Trigger::default() };
        check("push", &tags, branch, false);
        check("push", &tags, tag, true);
        let ignore = Trigger { branches_ignore: list(&["ma*"]), ..Trigger::default() };
        check("push", &ignore, branch, false);
        check("push", &ignore, r#"{"ref":"refs/heads/topic"}"#, true);
    }

    #[test]
    fn paths_are_for_branches() {
        let only = Trigger { paths: list(&["src/**"]), ..Trigger::default() };
        let push = |path: &str| format!(r#"{{"ref":"refs/heads/m","commits":[{{"added":["{path}"]}}]}}"#);
        check("push", &only, &push("src/a"), true);
        check("push", &only, &push("docs/a"), false);
        check("push", &only, r#"{"ref":"refs/tags/v1","commits":[{"added":["docs/a"]}]}"#, true);
        check("push", &only, r#"{"ref":"refs/heads/m"}"#, true);
        let ignore = Trigger { paths_ignore: list(&["docs/**"]), ..Trigger::default() };
        check("push", &ignore, &push("docs/a"), false);
        check("push", &ignore, &push("src/a"), true);
    }

    #[test]
    fn workflow_runs_are_named() {
        let trigger =
            Trigger { workflows: list(&["build"]), branches: list(&["main"]), ..Trigger::default() };
        let run = |name: &str, branch: &str| {
            format!(r#"{{"workflow_run":{{"name":"{name}","head_branch":"{branch}"}}}}"#)
        };
        check("workflow_run", &trigger, &run("build", "main"), true);
        check("workflow_run", &trigger, &run("test", "main"), false);
        check("workflow_run", &trigger, &run("build", "topic"), false);
    }
    #[test]
    fn what_holds_an_event_back_is_named() {
        let plain = Trigger::default();
        let closed = r#"{"action":"closed"}"#;
        let defaults = "types: without `types` it starts for `opened`, `synchronize` and `reopened` of `pull_request`, \
                        not for `closed`";
        why("pull_request", &plain, closed, defaults);
        let types = Trigger { types: list(&["opened", "edited"]), ..Trigger::default() };
        why("issues", &types, closed, "types: `types` is `opened` and `edited`, without `closed`");
        let requested = r#"{"action":"requested"}"#;
        why(
            "check_suite",
            &plain,
            requested,
            "types: GitHub starts no workflow for `requested` of `check_suite`",
        );
        let branches = Trigger { branches: list(&["a/**", "!a/b", "c"]), ..Trigger::default() };
        let pushed = |name: &str| format!(r#"{{"ref":"refs/{name}"}}"#);
        why(
            "push",
            &branches,
            &pushed("heads/a/b"),
            "branches: the branch `a/b` is taken out of `branches` by `!a/b`",
        );
        why(
            "push",
            &branches,
            &pushed("heads/d"),
            "branches: no pattern of `branches` matches the branch `d`",
        );
        let only = "tags: the tag `v1` was pushed, and there are filters for branches only";
        why("push", &branches, &pushed("tags/v1"), only);
        let ignore = Trigger { tags_ignore: list(&["v*"]), ..Trigger::default() };
        why("push", &ignore, &pushed("tags/v1"), "tags-ignore: `v*` of `tags-ignore` matches the tag `v1`");
        let paths = Trigger { paths: list(&["src/**"]), ..Trigger::default() };
        let none = r#"{"ref":"refs/heads/m","commits":[]}"#;
        why("push", &paths, none, "paths: no file was changed, and there is a filter of `paths`");
    }

    #[test]
    fn some_events_never_start_a_workflow() {
        let plain = Trigger::default();
        check("pull_request", &plain, r#"{"action":"opened","pull_request":{"mergeable":false}}"#, false);
        check("pull_request", &plain, r#"{"action":"opened","pull_request":{"mergeable":null}}"#, true);
        check(
            "pull_request_target",
            &plain,
            r#"{"action":"opened","pull_request":{"mergeable":false}}"#,
            true,
        );
        check("deployment_status", &plain, r#"{"deployment_status":{"state":"inactive"}}"#, false);
        check("release", &plain, r#"{"action":"created","release":{"draft":true}}"#, false);
        check("release", &plain, r#"{"action":"published","release":{"draft":true}}"#, true);
    }

    #[test]
    fn a_branch_that_is_deleted_is_filtered_by_its_name() {
        let topic = Trigger { branches: list(&["topic"]), ..Trigger::default() };
        let gone = r#"{"ref":"refs/heads/topic","deleted":true,"repository":{"default_branch":"main"}}"#;
        check("push", &topic, gone, true);
        check("push", &topic, &gone.replace("topic", "other"), false);
    }

    #[test]
    fn commits_may_ask_for_no_run() {
        let plain = Trigger::default();
        let push = r#"{"ref":"refs/heads/m","head_commit":{"message":"wip [skip ci]"}}"#;
        why("push", &plain, push, "skip-instruction: the message of the head commit says `[skip ci]`");
        check("create", &plain, r#"{"head_commit":{"message":"wip [skip ci]"}}"#, true);
    }

    #[test]
    fn schedules_are_told_by_their_expression() {
        let cron = Spanned { value: "0 0 * * *".to_owned(), span: Span::default() };
        let entry = ScheduleEntry { cron, timezone: None };
        let trigger = Trigger { schedule: vec![entry], ..Trigger::default() };
        check("schedule", &trigger, r#"{"schedule":"0 0 * * *"}"#, true);
        check("schedule", &trigger, r#"{"schedule":"1 0 * * *"}"#, false);
        check("schedule", &trigger, "{}", true);
    }
}
