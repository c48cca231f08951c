//! Whether an event starts a workflow: activity types and the filters of branches, tags, paths and workflows.

use crate::event::Event;
use crate::expr::Value;
use crate::filter::Filter;
use crate::model::{Trigger, Workflow};
use crate::source::Spanned;

/// The activity types that start a workflow where it names none; every type where the event is not listed.
const DEFAULT_TYPES: &[(&str, &[&str])] = &[
    ("pull_request", &["opened", "synchronize", "reopened"]),
    ("pull_request_target", &["opened", "synchronize", "reopened"]),
];

/// The configuration under `on` that the event meets; `None` when the workflow does not start.
///
/// What an event does not say (an activity type, the changed paths) holds nothing back.
#[must_use]
pub fn triggers<'a>(workflow: &'a Workflow, event: &Event) -> Option<&'a Trigger> {
    let trigger = workflow.on.events.get(&event.name)?;
    let starts = activity_matches(trigger, event)
        && match event.name.as_str() {
            "push" => push_matches(trigger, event),
            "pull_request" | "pull_request_target" => {
                branch_matches(trigger, base_branch(event)) && paths_match(trigger, event)
            }
            "merge_group" => branch_matches(trigger, merge_group_branch(event)),
            "workflow_run" => workflow_run_matches(trigger, event),
            "schedule" => schedule_matches(trigger, event),
            "image_version" => image_version_matches(trigger, event),
            _ => true,
        };
    starts.then_some(trigger)
}

fn activity_matches(trigger: &Trigger, event: &Event) -> bool {
    let Some(action) = event.action() else { return true };
    match &trigger.types {
        Some(types) => types.iter().any(|name| name.value == action),
        None => {
            let defaults = DEFAULT_TYPES.iter().find(|(name, _)| *name == event.name);
            defaults.is_none_or(|(_, types)| types.contains(&action))
        }
    }
}

fn text<'a>(event: &'a Event, keys: &[&str]) -> Option<&'a str> {
    event.payload.at(keys).and_then(Value::as_str)
}

fn base_branch(event: &Event) -> Option<&str> {
    text(event, &["pull_request", "base", "ref"])
}

fn merge_group_branch(event: &Event) -> Option<&str> {
    let name = text(event, &["merge_group", "base_ref"])?;
    Some(name.strip_prefix("refs/heads/").unwrap_or(name))
}

/// A name against a list and its `-ignore` form; a list that is absent lets everything pass.
fn name_matches(only: Option<&[Spanned<String>]>, ignore: Option<&[Spanned<String>]>, name: &str) -> bool {
    only.is_none_or(|patterns| Filter::new(patterns).matches(name))
        && ignore.is_none_or(|patterns| !Filter::new(patterns).matches(name))
}

fn branch_matches(trigger: &Trigger, branch: Option<&str>) -> bool {
    let (only, ignore) = (trigger.branches.as_deref(), trigger.branches_ignore.as_deref());
    branch.is_none_or(|branch| name_matches(only, ignore, branch))
}

fn push_matches(trigger: &Trigger, event: &Event) -> bool {
    let for_branches = trigger.branches.is_some() || trigger.branches_ignore.is_some();
    let for_tags = trigger.tags.is_some() || trigger.tags_ignore.is_some();
    if let Some(tag) = event.git_ref.strip_prefix("refs/tags/") {
        // Paths are not looked at for tags.
        return (for_tags || !for_branches)
            && name_matches(trigger.tags.as_deref(), trigger.tags_ignore.as_deref(), tag);
    }
    let branch = event.git_ref.strip_prefix("refs/heads/").unwrap_or(&event.git_ref);
    (for_branches || !for_tags) && branch_matches(trigger, Some(branch)) && paths_match(trigger, event)
}

/// `paths`: one changed path must match. `paths-ignore`: one changed path must be left.
fn paths_match(trigger: &Trigger, event: &Event) -> bool {
    let Some(paths) = &event.changed_paths else { return true };
    let some_path_matches = |patterns: &[Spanned<String>]| {
        let filter = Filter::new(patterns);
        paths.iter().any(|path| filter.matches(path))
    };
    let some_path_is_left = |patterns: &[Spanned<String>]| {
        let filter = Filter::new(patterns);
        paths.iter().any(|path| !filter.matches(path))
    };
    trigger.paths.as_deref().is_none_or(some_path_matches)
        && trigger.paths_ignore.as_deref().is_none_or(some_path_is_left)
}

fn workflow_run_matches(trigger: &Trigger, event: &Event) -> bool {
    // A run may have a name of its own, or none; the workflow's stands beside it.
    let names = [text(event, &["workflow", "name"]), text(event, &["workflow_run", "name"])];
    let named = match (&trigger.workflows, names.into_iter().flatten().find(|name| !name.is_empty())) {
        (Some(workflows), Some(name)) => workflows.iter().any(|workflow| workflow.value == name),
        _ => true,
    };
    named && branch_matches(trigger, text(event, &["workflow_run", "head_branch"]))
}

fn schedule_matches(trigger: &Trigger, event: &Event) -> bool {
    let Some(cron) = text(event, &["schedule"]) else { return true };
    trigger.schedule.iter().any(|entry| entry.cron.value == cron)
}

fn image_version_matches(trigger: &Trigger, event: &Event) -> bool {
    let matches = |patterns: &Option<Vec<Spanned<String>>>, name: Option<&str>| match (patterns, name) {
        (Some(patterns), Some(name)) => Filter::new(patterns).matches(name),
        _ => true,
    };
    matches(&trigger.names, text(event, &["image_version", "name"]))
        && matches(&trigger.versions, text(event, &["image_version", "version"]))
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;

    use super::triggers;
    use crate::event::{Event, Facts};
    use crate::expr::Value;
    use crate::model::{Trigger, Triggers, Workflow};
    use crate::source::{Span, Spanned};

    fn list(patterns: &[&str]) -> Option<Vec<Spanned<String>>> {
        let spanned = |pattern: &&str| Spanned { value: (*pattern).to_owned(), span: Span::default() };
        Some(patterns.iter().map(spanned).collect())
    }

    fn check(name: &str, trigger: &Trigger, payload: &str, expected: bool) {
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
        assert_eq!(triggers(&workflow, &event).is_some(), expected, "{name} {trigger:?} {payload}");
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
}
