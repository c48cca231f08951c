//! `plan`, `list` and `event`: what starts when, in every format, and what people ask wrongly.

use serde_json::Value;

use crate::command::{Answer, Place};

const SCHEDULED: &str = "name: Nightly\non:\n  push:\n    branches: [main]\n  schedule:\n    - cron: '30 2 * * *'\n      \
                         timezone: Europe/Berlin\n    - cron: '0 0 30 2 *'\njobs:\n  a:\n    runs-on: x\n    steps: \
                         [{run: 'true'}]\n  b:\n    needs: a\n    if: false\n    runs-on: x\n    steps: [{run: 'true'}]\n";

fn place() -> Place {
    Place::with(&[(".github/workflows/ci.yml", SCHEDULED)])
}

fn json(answer: &Answer) -> Value {
    serde_json::from_str(&answer.stdout).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

/// A question that is refused with exit code 2 and these words.
fn refused(place: &Place, arguments: &[&str], parts: &[&str]) {
    let answer = place.call(arguments);
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(2), ""), "{arguments:?}: {answer:?}");
    parts
        .iter()
        .for_each(|part| assert!(answer.stderr.contains(part), "{part} is not in:\n{}", answer.stderr));
}

#[test]
fn what_is_asked_wrongly() {
    let place = place();
    place.write("list.json", "[1]");
    place.write("broken.json", "{");
    place.write("issue.json", r#"{"action": "opened", "issue": {}}"#);
    for verb in [&["plan"][..], &["event", "context"], &["run"]] {
        let with = |more: &[&'static str]| [verb, more].concat();
        let unknown = ["GitHub has no event `psuh`", "help: did you mean `push`?"];
        refused(&place, &with(&["--event", "psuh"]), &unknown);
        refused(&place, &with(&["--payload", "list.json"]), &["the payload is an array, not an object"]);
        refused(&place, &with(&["--payload", "broken.json"]), &["`broken.json` is not valid JSON"]);
        let other = ["one of the event `issues`, not of `push`", "help: `--event issues`"];
        refused(&place, &with(&["--payload", "issue.json"]), &other);
    }
    refused(&place, &["plan", "--at", "2026-11-24T00:00:00Z"], &["`--at` is for the event `schedule`"]);
    refused(&place, &["plan", "--event", "schedule", "--at", "soon"], &["invalid value 'soon'"]);
    refused(
        &place,
        &["run", "--matrix", "os=linux"],
        &["no leg of a matrix has the key 'os'", "no job has a matrix"],
    );
}

#[test]
fn a_workflow_that_is_named_runs_for_any_event() {
    let place =
        Place::with(&[("ci.yml", "on: push\njobs:\n  a:\n    runs-on: x\n    steps: [{run: 'true'}]\n")]);
    let answer = place.call(&["run", "ci.yml", "--event", "pusch", "--platform", "*=host"]);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    assert!(
        answer.stderr.contains("note: GitHub has no event `pusch`; did you mean `push`?\n"),
        "{answer:?}"
    );
}

#[test]
fn a_matrix_key_that_no_leg_has() {
    let matrix = "on: push\njobs:\n  a:\n    strategy: {matrix: {os: [x], include: [{os: y, node: 1}]}}\n    runs-on: x\n    \
                  steps: [{run: 'true'}]\n";
    let place = Place::with(&[("ci.yml", matrix)]);
    let run = ["run", "ci.yml", "--platform", "*=host", "--matrix"];
    refused(&place, &[&run[..], &["oz=x"]].concat(), &["the key 'oz'", "help: there are the keys os, node"]);
    let answer = place.call(&[&run[..], &["NODE=1"]].concat());
    assert_eq!(answer.code, Some(0), "{answer:?}");
}

#[test]
fn jobs_that_are_sure_to_fail() {
    let workflow = "on: push\njobs:\n  a:\n    strategy: {matrix: {x: \"${{ fromJSON('[]') }}\"}}\n    runs-on: x\n    \
                    steps: [{run: 'true'}]\n  b:\n    uses: octo/lib/.github/workflows/x.yml@v1\n";
    let place = Place::with(&[(".github/workflows/ci.yml", workflow)]);
    let plan = json(&place.call(&["plan", "--format", "json"]));
    let [a, b] = [&plan["jobs"][0], &plan["jobs"][1]];
    let fails = a["fails"].as_str().unwrap_or_default();
    assert!(fails.ends_with("matrix vector 'x' does not contain any values"), "{plan}");
    assert_eq!((&a["dynamic"], &a["workflow"]), (&false.into(), &".github/workflows/ci.yml".into()));
    assert_eq!((&b["unknown"], &b["fails"]), (&true.into(), &Value::Null));
    let text = place.call(&["plan"]).stdout;
    assert!(text.contains("b  calls octo/lib/.github/workflows/x.yml@v1 (not at hand)\n"), "{text}");
}

#[test]
fn schedules_have_a_time() {
    let place = place();
    let at =
        |time: &str| json(&place.call(&["plan", "--event", "schedule", "--at", time, "--format", "json"]));
    let due = at("2026-07-01T00:30:45Z");
    assert_eq!(due["triggered"], true, "{due}");
    assert_eq!(due["workflows"][0]["schedule"], "30 2 * * *");
    let later = at("2026-07-01T01:30:00Z");
    assert_eq!((&later["triggered"], &later["jobs"]), (&Value::Bool(false), &Value::Array(Vec::new())));
    let reason = &later["workflows"][0]["not_triggered"];
    assert_eq!((&reason["code"], &reason["line"]), (&"schedule".into(), &5.into()));
    let message = reason["message"].as_str().unwrap_or_default();
    assert!(message.ends_with("it fires next at 2026-07-02T00:30:00Z"), "{message}");
}

#[test]
fn lists_tell_the_next_time() {
    let place = place();
    let arguments = ["list", "--after", "2026-11-24T12:00:00Z"];
    let answer = place.call(&arguments);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    let lines: Vec<&str> = answer.stdout.lines().filter(|line| line.starts_with("  next")).collect();
    let expected = ["  next  2026-11-25 02:30 Europe/Berlin (30 2 * * *)", "  next  never (0 0 30 2 *)"];
    assert_eq!(lines, expected, "{}", answer.stdout);
    let json = json(&place.call(&[&arguments[..], &["--format", "json"]].concat()));
    let schedules = &json["workflows"][0]["schedules"];
    assert_eq!(schedules[0]["next"], serde_json::json!(["2026-11-25T01:30:00Z"]));
    assert_eq!((&schedules[1]["next"], &schedules[1]["timezone"]), (&serde_json::json!([]), &Value::Null));
    let two = place.call(&[&arguments[..], &["--next", "2"]].concat());
    assert!(two.stdout.contains("  next  2026-11-26 02:30 Europe/Berlin (30 2 * * *)\n"), "{}", two.stdout);
}

#[test]
fn events_are_listed() {
    let answer = Place::new().call(&["event", "list", "--format", "json"]);
    let json = json(&answer);
    let events = json["events"].as_array().expect("a list");
    let find = |name: &str| events.iter().find(|event| event["name"] == name).expect("it is an event");
    assert_eq!(find("watch")["types"], serde_json::json!(["started"]));
    let defaults = serde_json::json!(["opened", "synchronize", "reopened"]);
    assert_eq!(find("pull_request_target")["default_types"], defaults);
    let text = Place::new().call(&["event", "list"]);
    assert!(
        text.stdout.contains("push                         runs on the pushed branch or tag\n"),
        "{text:?}"
    );
}

#[test]
fn nothing_started_says_why() {
    let place = place();
    place.write("topic.json", r#"{"ref": "refs/heads/topic"}"#);
    let why = "no pattern of `branches` matches the branch `topic`";
    let plan = place.call(&["plan", "--payload", "topic.json"]);
    let expected = format!("Nightly (.github/workflows/ci.yml): not started: {why} (line 4)\n");
    assert_eq!((plan.code, plan.stdout), (Some(0), expected));
    let run = place.call(&["run", "--payload", "topic.json"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stderr.contains(&format!("  .github/workflows/ci.yml: {why}\n")), "{}", run.stderr);
}
