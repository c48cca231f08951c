//! What is kept before steps, and runs that go on from it, in machines of every kind that keeps files on this host.

use serde_json::Value;

use crate::command::{Answer, Place, answer, skipped};

/// The kinds of machines to test; one that this host cannot make is said.
fn machines() -> Vec<&'static str> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path: Vec<_> = std::env::split_paths(&path).collect();
    match machine::probe::try_namespace(&path) {
        Ok(_) => vec!["host", "namespace"],
        Err(error) => {
            skipped(&format!("no namespace machines: {error}"));
            vec!["host"]
        }
    }
}

/// Runs `ci.yml` and keeps what is there before steps.
fn keep(place: &Place, machine: &str, more: &[&str]) -> Answer {
    let mut arguments = vec!["run", "ci.yml", "--format", "ndjson", "--machine", machine];
    arguments.extend(["--snapshots", "steps"]);
    arguments.extend(more);
    place.call(&arguments)
}

/// Goes on from a step of the last run with snapshots.
fn rewind(place: &Place, step: &str, more: &[&str]) -> Answer {
    let mut arguments = vec!["rewind", "--step", step, "--run", "--format", "ndjson"];
    arguments.extend(more);
    place.call(&arguments)
}

fn timeline(place: &Place, run: &str) -> Value {
    let answer = place.call(&["timeline", run, "--format", "json"]);
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    serde_json::from_str(&answer.stdout).expect("the timeline is JSON")
}

/// The steps of a run's first job that have a checkpoint, by their numbers.
fn kept(timeline: &Value) -> Vec<u64> {
    let steps = timeline["jobs"][0]["steps"].as_array().expect("there are steps");
    let kept = steps.iter().filter(|step| !step["checkpoint"].is_null());
    kept.map(|step| step["step"].as_u64().expect("a step has a number")).collect()
}

const STATEFUL: &str = r#"
on: push
env: { TOP: top }
jobs:
  before:
    runs-on: ubuntu-latest
    outputs: { word: "${{ steps.say.outputs.word }}" }
    steps: [{ id: say, run: "echo word=before >> $GITHUB_OUTPUT" }]
  build:
    needs: before
    runs-on: ubuntu-latest
    steps:
      - uses: ./saver
      - id: set
        run: |
          mkdir bin && printf '#!/bin/sh\necho from the path\n' > bin/own && chmod +x bin/own
          echo "$PWD/bin" >> $GITHUB_PATH
          echo "SET=${{ needs.before.outputs.word }}" >> $GITHUB_ENV
          echo "out=put" >> $GITHUB_OUTPUT
          echo kept > "$RUNNER_TEMP/kept"
          ln -s bin/own link
      - run: exit 3
      - run: |
          own; ./link; cat "$RUNNER_TEMP/kept"
          echo "$TOP $SET ${{ steps.set.outputs.out }} ${{ steps.set.outcome }} $GITHUB_RUN_ATTEMPT"
  after:
    needs: build
    runs-on: ubuntu-latest
    steps: [{ run: "echo after ${{ needs.build.result }}" }]
"#;

/// An action with a `post` that knows what its `main` saved.
const SAVER: &str = "
name: saver
description: saves
runs: { using: node20, main: main.js, post: post.js }
";

fn stateful() -> Place {
    let main = "require('fs').appendFileSync(process.env.GITHUB_STATE, 'saved=a state\\n')";
    Place::with(&[
        ("ci.yml", STATEFUL),
        ("saver/action.yml", SAVER),
        ("saver/main.js", main),
        ("saver/post.js", "console.log('post knows ' + process.env.STATE_saved)"),
    ])
}

#[test]
fn a_changed_step_goes_on_with_all_that_was_there() {
    for machine in machines() {
        let place = stateful();
        let failed = keep(&place, machine, &[]);
        assert_eq!(failed.code, Some(1), "{}", failed.stderr);
        place.write("ci.yml", &STATEFUL.replace("exit 3", "echo mended"));
        let gone_on = rewind(&place, "2", &["--job", "build", "--workflow"]);
        assert_eq!(gone_on.code, Some(0), "{machine}: {}\n{}", gone_on.stderr, gone_on.stdout);
        let lines = gone_on.lines();
        assert_eq!(
            lines,
            [
                "mended",
                "from the path",
                "from the path",
                "kept",
                "top before put success 2",
                "post knows a state",
                "after success"
            ],
            "{machine}"
        );
        let resumed = &gone_on.of("run_resumed")[0];
        assert_eq!((&resumed["job"], &resumed["step"]), (&Value::from("build"), &Value::from(2)));
        let jobs: Vec<Value> =
            gone_on.of("job_started").iter().map(|started| started["job"].clone()).collect();
        assert_eq!(jobs, ["build", "after"], "what was before is taken over");
        assert_eq!(timeline(&place, "latest")["resumed_from"]["run"], resumed["from"]);
    }
}

#[test]
fn the_same_workflow_fails_again_and_leaves_the_snapshot_as_it_was() {
    for machine in machines() {
        let place = stateful();
        keep(&place, machine, &[]);
        for _ in 0..2 {
            let again = rewind(&place, "2", &["--job", "build"]);
            assert_eq!(
                (again.code, again.steps()),
                (Some(1), vec!["failure".into(), "skipped".into(), "success".into()])
            );
        }
    }
}

#[test]
fn what_ran_before_must_be_the_same_unless_it_is_forced() {
    let place = stateful();
    keep(&place, "host", &[]);
    let changed = STATEFUL.replace("exit 3", "true").replace("echo kept", "echo changed");
    place.write("ci.yml", &changed);
    let arguments = ["--job", "build", "--workflow"];
    let refused = rewind(&place, "2", &arguments);
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(2), ""));
    assert!(refused.stderr.contains("step 1") && refused.stderr.contains("--force"), "{}", refused.stderr);
    place.write("ci.yml", &changed.replace("echo changed", "echo kept").replace("TOP: top", "TOP: other"));
    assert_eq!(rewind(&place, "2", &arguments).code, Some(0), "the workflow's env is not the job's");
    place.write("ci.yml", &changed);
    let forced = rewind(&place, "2", &["--job", "build", "--workflow", "--force"]);
    assert_eq!(forced.code, Some(0), "{}", forced.stderr);
    assert!(forced.lines().contains(&"kept".to_owned()), "the state is that of the old steps");
}

#[test]
fn files_of_a_changed_working_tree_take_the_place_of_those_that_were() {
    let workflow = "
on: push
jobs:
  a:
    runs-on: ubuntu-latest
    steps:
      - run: echo made > made
      - run: cat source made; grep -q new source
";
    for machine in machines() {
        let place = Place::with(&[("ci.yml", workflow), ("source", "old\n")]);
        assert_eq!(keep(&place, machine, &[]).code, Some(1));
        place.write("source", "new\n");
        assert_eq!(rewind(&place, "1", &[]).lines(), ["old", "made"], "{machine}");
        let renewed = rewind(&place, "1", &["--workspace", "."]);
        assert_eq!((renewed.code, renewed.lines()), (Some(0), vec!["new".to_owned(), "made".to_owned()]));
    }
}

#[test]
fn places_are_found_by_number_id_and_name_and_mistakes_are_answered() {
    let place = stateful();
    keep(&place, "host", &[]);
    let check = |job: &str, step: &str, part: &str| {
        let answer = place.call(&["rewind", "--job", job, "--step", step]);
        assert!((answer.stdout + &answer.stderr).contains(part), "{job} {step}");
    };
    check("build", "1", "before step 1");
    check("build", "set", "before step 1");
    check("build", "Run exit 3", "before step 2");
    check("build", "3", "there are snapshots before the steps 0, 1, 2");
    check("build", "nothing", "has no step `nothing`");
    check("other", "1", "its jobs are `before`, `build`, `after`");
    let answer = place.call(&["rewind", "--step", "0"]);
    assert!(answer.stderr.contains("`before`, `build`"), "{}", answer.stderr);
    let none = Place::with(&[("ci.yml", STATEFUL)]);
    none.call(&["run", "ci.yml", "--job", "before", "--machine", "host"]);
    let answer = none.call(&["rewind", "--step", "0"]);
    assert_eq!(answer.code, Some(2));
    assert!(answer.stderr.contains("--snapshots steps"), "{}", answer.stderr);
}

#[test]
fn without_snapshots_nothing_is_kept() {
    let place = stateful();
    place.call(&["run", "ci.yml", "--machine", "host", "-q"]);
    assert!(!place.state().join("checkpoints").exists());
}

#[test]
fn of_failures_only_what_is_before_the_failed_step_stays() {
    for machine in machines() {
        let place = stateful();
        let arguments =
            ["run", "ci.yml", "--format", "ndjson", "--machine", machine, "--snapshots", "failure"];
        let failed = place.call(&arguments);
        assert_eq!(failed.code, Some(1));
        let there = std::fs::read_dir(place.state().join("checkpoints/kept")).expect("the folder is there");
        assert_eq!(there.count(), 1, "{machine}");
        assert_eq!(failed.of("checkpoint_kept").len(), failed.of("checkpoint_dropped").len() + 1);
        assert_eq!(rewind(&place, "2", &[]).steps()[0], "failure");
    }
}

#[test]
fn nothing_is_kept_while_background_steps_run() {
    let workflow = "
on: push
jobs:
  a:
    runs-on: ubuntu-latest
    steps:
      - run: 'true'
      - id: beside
        background: true
        run: while ! test -e done; do sleep 0.01; done
      - run: touch done
      - wait: beside
      - run: 'true'
";
    let place = Place::with(&[("ci.yml", workflow)]);
    let answer = keep(&place, "host", &[]);
    assert_eq!(answer.code, Some(0), "{}", answer.stdout);
    assert_eq!(kept(&timeline(&place, "latest")), [0, 4]);
}

#[test]
fn secrets_are_not_kept_and_come_from_where_they_come_from() {
    let workflow = r#"
on: push
jobs:
  a:
    runs-on: ubuntu-latest
    steps:
      - run: |
          echo "FULL=Bearer ${{ secrets.TOKEN }}!" >> $GITHUB_ENV
          echo "::add-mask::made-up-$((40 + 2))"
          echo "MADE=made-up-$((40 + 2))" >> $GITHUB_ENV
      - run: echo "${#FULL} $MADE"; test "$FULL" = "Bearer $EXPECTED!"
        env: { EXPECTED: "${{ secrets.TOKEN }}" }
"#;
    let place = Place::with(&[("ci.yml", workflow)]);
    let with_secret = |arguments: &[&str]| {
        let mut command = place.command(arguments);
        answer(
            command.args(["--secret", "TOKEN"]).env("TOKEN", "hunter2-hunter2").output().expect("it starts"),
        )
    };
    let first =
        with_secret(&["run", "ci.yml", "--machine", "host", "--snapshots", "steps", "--format", "ndjson"]);
    assert_eq!(first.code, Some(0), "{}", first.stdout);
    let mut folders = vec![place.state()];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().expect("the folder is there").flatten() {
            if entry.file_type().expect("the entry is there").is_dir() {
                folders.push(entry.path());
                continue;
            }
            let bytes = std::fs::read(entry.path()).expect("the file is there");
            for secret in ["hunter2-hunter2", "made-up-42"] {
                let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "{secret} in {}", entry.path().display());
            }
        }
    }
    let refused = rewind(&place, "1", &[]);
    assert_eq!(refused.code, Some(1), "{}", refused.stdout);
    assert!(refused.stdout.contains("the state of the job holds the secret `TOKEN`"), "{}", refused.stdout);
    let gone_on = with_secret(&["rewind", "--step", "1", "--run", "--format", "ndjson"]);
    assert_eq!((gone_on.code, gone_on.lines()), (Some(0), vec!["23 ***".to_owned()]), "{}", gone_on.stdout);
    let told = place.call(&["rewind", "--step", "1"]);
    assert!(told.stdout.contains("1 value that steps had masked"), "{}", told.stdout);
}

#[test]
fn a_shell_finds_what_the_step_would() {
    use std::io::Write;
    for machine in machines() {
        let place = stateful();
        keep(&place, machine, &[]);
        let mut command = place.command(&["rewind", "--job", "build", "--step", "2", "--shell"]);
        let mut child = command.stdin(std::process::Stdio::piped()).spawn().expect("it starts");
        let commands =
            "own; echo $SET $TOP; cat \"$RUNNER_TEMP/kept\"; basename $PWD; echo > changed; exit 4\n";
        let mut stdin = child.stdin.take().expect("standard input is a pipe");
        stdin.write_all(commands.as_bytes()).expect("the commands can be written");
        drop(stdin);
        let shell = answer(child.wait_with_output().expect("it ends"));
        let lines: Vec<&str> = shell.stdout.lines().collect();
        assert_eq!(lines[..3], ["from the path", "before top", "kept"], "{machine}: {}", shell.stderr);
        assert_eq!((lines.len(), shell.code), (4, Some(1)), "the shell's own end counts");
        assert!(shell.stderr.contains("before step 2 (`Run exit 3`) of `build`"), "{}", shell.stderr);
        let again = rewind(&place, "2", &["--job", "build"]);
        assert_eq!(again.steps()[0], "failure", "what the shell changed is lost");
    }
}

#[test]
fn a_run_that_goes_on_can_be_gone_on_from_where_it_began() {
    let place = stateful();
    keep(&place, "host", &[]);
    let again = rewind(&place, "2", &["--job", "build", "--snapshots", "steps"]);
    assert_eq!(again.code, Some(1));
    let third = rewind(&place, "2", &[]);
    assert_eq!(third.steps()[0], "failure");
    let from = |answer: &Answer| answer.of("run_resumed")[0]["from"].clone();
    assert_ne!(from(&third), from(&again), "it goes on from the second run");
}
