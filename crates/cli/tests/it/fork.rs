//! One step many times from the same state, and steps that are tried again when they fail.

use serde_json::Value;

use crate::command::Place;

/// A step whose end hangs on a counter outside of its machine: every second attempt fails.
fn every_second_fails(place: &Place) -> String {
    let counter = place.state().with_file_name("counter");
    format!(
        "
on: push
jobs:
  test:
    runs-on: ubuntu-latest
    steps:
      - run: echo 1 > state
      - id: flaky
        run: |
          cat state; echo 2 > state
          echo >> {counter}; number=$(wc -l < {counter})
          echo number=$number >> $GITHUB_OUTPUT
          echo attempt $number
          exit $((number % 2))
      - run: echo never in a fork
  after:
    needs: test
    runs-on: ubuntu-latest
    steps: [{{run: echo after}}]
",
        counter = counter.display()
    )
}

fn fork(place: &Place, step: &str, more: &[&str]) -> (Option<i32>, Value) {
    let mut arguments = vec!["fork", "--step", step, "--format", "json", "-q"];
    arguments.extend(more);
    let answer = place.call(&arguments);
    let comparison = serde_json::from_str(&answer.stdout).unwrap_or_default();
    assert_ne!(comparison, Value::Null, "{}", answer.stderr);
    (answer.code, comparison)
}

fn flaky() -> Place {
    let place = Place::new();
    place.write("ci.yml", &every_second_fails(&place));
    let run = place.call(&["run", "ci.yml", "--machine", "host", "--snapshots", "steps", "-q"]);
    assert_eq!(run.code, Some(1), "the first attempt fails: {}", run.stderr);
    place
}

#[test]
fn mixed_results_from_the_same_state_are_a_flake() {
    let place = flaky();
    let (code, comparison) = fork(&place, "flaky", &["--count", "4"]);
    assert_eq!((code, &comparison["verdict"]), (Some(1), &Value::from("flake")));
    assert_eq!((&comparison["failures"], &comparison["failure_rate"]), (&2.into(), &0.5.into()));
    assert_eq!(comparison["deterministic"], false);
    let interval = &comparison["confidence_95"];
    let bounds = (interval["low"].as_f64(), interval["high"].as_f64());
    assert!(bounds.0 > Some(0.1) && bounds.1 < Some(0.9), "{interval}");
    let results = comparison["results"].as_array().expect("there are results");
    let outcomes: Vec<&Value> = results.iter().map(|result| &result["outcome"]).collect();
    assert_eq!(outcomes, ["success", "failure", "success", "failure"], "one after the other");
    // The first run of the step was the first to count.
    assert_eq!(results[0]["outputs"]["number"], "2");
    assert_eq!(results[1]["difference"]["line"], 2, "each begins with the same state");
    assert_eq!(results[1]["difference"]["text"], "attempt 3");
    let text = place.call(&["fork", "--step", "flaky", "-n", "2"]);
    assert!(text.stdout.contains("is a flake: same state, mixed results"), "{}", text.stdout);
    assert!(text.stderr.contains("attempt 1 of 2"), "{}", text.stderr);
}

#[test]
fn a_step_that_always_does_the_same_is_none() {
    let place = flaky();
    let (code, comparison) = fork(&place, "0", &["--count", "3", "--parallel"]);
    assert_eq!((code, &comparison["verdict"]), (Some(0), &Value::from("success")));
    assert_eq!((&comparison["failures"], &comparison["deterministic"]), (&0.into(), &true.into()));
}

#[test]
fn a_step_that_always_fails_is_no_flake_either() {
    let workflow = "
on: push
jobs:
  test: {runs-on: ubuntu-latest, steps: [{run: exit 7}, {if: always(), run: exit 0}]}
";
    let place = Place::with(&[("ci.yml", workflow)]);
    place.call(&["run", "ci.yml", "--machine", "host", "--snapshots", "steps", "-q"]);
    let (code, comparison) = fork(&place, "0", &["--count", "2"]);
    assert_eq!((code, &comparison["verdict"]), (Some(1), &Value::from("failure")));
    assert_eq!(comparison["results"][1]["exit_code"], 7);
    let (code, comparison) = fork(&place, "1", &["--count", "2"]);
    assert_eq!(
        (code, &comparison["verdict"]),
        (Some(0), &Value::from("success")),
        "the step's own end counts"
    );
}

#[test]
fn a_step_that_passes_after_a_rollback_is_marked_everywhere() {
    let place = Place::new();
    place.write("ci.yml", &every_second_fails(&place));
    let run = place.call(&["run", "ci.yml", "--machine", "host", "--rollback", "--format", "ndjson"]);
    assert_eq!((run.code, run.conclusion()), (Some(0), "success".to_owned()), "{}", run.stdout);
    assert_eq!(run.steps(), ["success", "failure", "success", "success", "success"]);
    assert_eq!(run.of("step_rolled_back")[0]["attempt"], 2);
    assert_eq!(run.lines()[..4], ["1", "attempt 1", "1", "attempt 2"], "the files are as they were");
    let text = place.call(&["timeline"]);
    assert!(
        text.stdout.contains("failure, undone") && text.stdout.contains("(attempt 2)"),
        "{}",
        text.stdout
    );
    let kept = std::fs::read_dir(place.state().join("checkpoints/kept")).expect("the folder is there");
    assert_eq!(kept.count(), 0, "what was only kept for the attempts is gone");
    let place = Place::new();
    place.write("ci.yml", &every_second_fails(&place));
    let text = place.call(&["run", "ci.yml", "--machine", "host", "--rollback", "-q"]);
    assert_eq!(text.code, Some(0));
    let said = "failed once, and passed after a rollback to where it began: it is not reliable";
    assert!(text.stdout.contains(said), "{}", text.stdout);
}

#[test]
fn what_fails_again_after_its_rollbacks_fails() {
    let workflow = "
on: push
jobs:
  test:
    runs-on: ubuntu-latest
    steps:
      - run: echo again; exit 5
      - if: always()
        run: echo ${{ job.status }}
";
    let place = Place::with(&[("ci.yml", workflow)]);
    let run = place.call(&["run", "ci.yml", "--machine", "host", "--rollback", "2", "--format", "ndjson"]);
    assert_eq!((run.code, run.of("step_rolled_back").len()), (Some(1), 2));
    assert_eq!(run.lines(), ["again", "again", "again", "failure"]);
    let text = place.call(&["run", "ci.yml", "--machine", "host", "--rollback", "2", "-q"]);
    assert!(text.stdout.contains("failed 3 times, and was not saved by a rollback"), "{}", text.stdout);
    let tolerant =
        workflow.replace("- run: echo again", "- continue-on-error: true\n        run: echo again");
    place.write("ci.yml", &tolerant);
    let run = place.call(&["run", "ci.yml", "--machine", "host", "--rollback", "--format", "ndjson"]);
    assert_eq!(
        (run.code, run.of("step_rolled_back").len()),
        (Some(0), 0),
        "what may fail is not tried again"
    );
}
