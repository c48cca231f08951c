//! What is remembered of runs.

use serde_json::Value;

use crate::command::Place;

const TWO_JOBS: &str = "\
name: Two jobs
on: push
jobs:
  first:
    runs-on: x
    steps:
      - name: Say hello
        run: echo hello from first
      - run: |
          echo '::error file=a.c,line=3::broken'
          exit 7
        id: fails
  second:
    runs-on: x
    steps:
      - run: echo hello from second
";

const RUN: [&str; 5] = ["run", "ci.yml", "--quiet", "--platform", "*=host"];

fn place() -> Place {
    let place = Place::with(&[("ci.yml", TWO_JOBS)]);
    let answer = place.call(&RUN);
    assert_eq!(answer.code, Some(1), "{answer:?}");
    assert!(answer.stdout.contains("Process completed with exit code 7."), "{answer:?}");
    place
}

fn json(place: &Place, arguments: &[&str]) -> Value {
    let answer = place.call(arguments);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    serde_json::from_str(&answer.stdout).expect("it is JSON")
}

#[test]
fn runs_are_listed_and_shown() {
    let place = place();
    let runs = json(&place, &["runs", "--format", "json"]);
    let run = &runs["runs"][0];
    assert_eq!((&run["workflow"], &run["conclusion"]), (&"Two jobs".into(), &"failure".into()));
    let id = run["id"].as_str().expect("it is text");
    let shown = json(&place, &["show", &id[..20], "--format", "json"]);
    assert_eq!(shown["jobs"].as_array().map(Vec::len), Some(2));
    assert_eq!(shown["annotations"][0]["file"], "a.c");
    let text = place.call(&["show"]).stdout;
    for part in ["Two jobs failure", "✗ first", "✓ second", "error [first] a.c:3: broken"] {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
    let table = place.call(&["runs"]).stdout;
    assert!(table.starts_with("ID ") && table.lines().count() == 2, "{table}");
}

#[test]
fn runs_of_one_workflow_are_numbered() {
    let workflow =
        "on: push\njobs: {a: {runs-on: x, steps: [{run: 'echo number ${{ github.run_number }}'}]}}\n";
    let place = Place::with(&[("ci.yml", workflow), ("other.yml", workflow)]);
    let check = |file: &str, expected: &str| {
        let answer = place.call(&["run", file, "--platform", "*=host"]);
        assert!(answer.stdout.contains(&format!("number {expected}\n")), "{file} {expected}: {answer:?}");
    };
    check("ci.yml", "1");
    check("./ci.yml", "2");
    check("other.yml", "1");
}

#[test]
fn logs_are_printed_by_job_and_step() {
    let place = place();
    let logs = |arguments: &[&str]| {
        let mut all = vec!["logs", "latest"];
        all.extend(arguments);
        place.call(&all)
    };
    let all = logs(&[]).stdout;
    assert!(
        all.contains("first │ hello from first\n") && all.contains("second │ hello from second\n"),
        "{all}"
    );
    assert_eq!(logs(&["--job", "second"]).stdout.lines().last(), Some("hello from second"));
    assert!(logs(&["--job", "first", "--step", "Say hello"]).stdout.ends_with("hello from first\n"));
    assert!(!logs(&["--job", "first", "--step", "fails"]).stdout.contains("hello"));
    assert_eq!(logs(&["--follow", "--job", "second"]).stdout, logs(&["--job", "second"]).stdout);
    let unknown = logs(&["--job", "third"]);
    assert_eq!(unknown.code, Some(2));
    assert!(
        unknown.stderr.contains("has no job `third`\nhelp: its jobs are `first`, `second`"),
        "{unknown:?}"
    );
    assert_eq!(logs(&["--step", "9"]).code, Some(2));
}

#[test]
fn logs_follow_a_run_of_another_process() {
    let waits = "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: |\n          echo one\n          until [ -e go ]; do \
                 sleep 0.01; done\n          echo two\n";
    let place = Place::with(&[("ci.yml", waits)]);
    let go = place.root().join("go");
    let script = waits.replace("-e go", &format!("-e '{}'", go.display()));
    place.write("ci.yml", &script);
    let mut run = place.start(&["run", "ci.yml", "--platform", "*=host", "--format", "ndjson"]);
    let mut lines =
        std::io::BufRead::lines(std::io::BufReader::new(run.stdout.take().expect("it is a pipe")));
    lines
        .by_ref()
        .map(|line| line.expect("it can be read"))
        .find(|line| line.contains("\"one\""))
        .expect("it runs");
    let follow = place.start(&["logs", "--follow"]);
    std::fs::write(&go, "").expect("a file can be written");
    let followed = follow.wait_with_output().expect("it ends");
    let text = String::from_utf8(followed.stdout).expect("it is UTF-8");
    assert!(text.ends_with("one\ntwo\n"), "{text}");
    lines.for_each(drop);
    assert_eq!(run.wait().expect("it ends").code(), Some(0));
}

#[test]
fn two_runs_at_once_share_the_database() {
    let place = Place::with(&[("ci.yml", TWO_JOBS)]);
    let both: Vec<_> = (0..4).map(|_| place.start(&RUN)).collect();
    for run in both {
        let answer = crate::command::answer(run.wait_with_output().expect("it ends"));
        assert_eq!(answer.code, Some(1), "{answer:?}");
        assert!(!answer.stderr.contains("error"), "{answer:?}");
    }
    let runs = json(&place, &["runs", "--format", "json"]);
    let conclusions: Vec<_> =
        runs["runs"].as_array().expect("it is a list").iter().map(|run| &run["conclusion"]).collect();
    assert_eq!(conclusions, ["failure"; 4]);
}
