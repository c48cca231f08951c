//! Help and errors, word for word.

use snapbox::{assert_data_eq, file};

use crate::command::Place;

#[test]
fn help_of_the_program() {
    let answer = Place::new().call(&["--help"]);
    assert_data_eq!(answer.stdout, file!["snapshots/help.txt"]);
    assert_eq!(answer.code, Some(0));
}

#[test]
fn help_of_run() {
    let answer = Place::new().call(&["run", "--help"]);
    assert_data_eq!(answer.stdout, file!["snapshots/help_run.txt"]);
    assert_eq!(answer.code, Some(0));
}

/// A call that ends with `code` and says exactly `expected` on standard error, nothing on standard output.
fn check(place: &Place, arguments: &[&str], code: i32, expected: &str) {
    let answer = place.call(arguments);
    assert_data_eq!(place.redacted(&answer.stderr), expected.to_owned());
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(code), ""));
}

#[test]
fn runs_that_are_not_there() {
    let place = Place::new();
    check(&place, &["runs"], 0, "there are no runs yet\n");
    check(&place, &["show"], 2, "error: there are no runs yet\nhelp: start one with `firedog run`\n");
    check(
        &place,
        &["logs", "abc"],
        2,
        "error: there is no run `abc`\nhelp: `firedog runs` lists the runs; `latest` is the last one\n",
    );
}

#[test]
fn a_state_folder_that_cannot_be_used() {
    let place = Place::new();
    std::fs::write(place.state(), "a file").expect("a file can be written");
    check(
        &place,
        &["runs"],
        2,
        "error: cannot use the state folder `[STATE]`: File exists\n\
         help: choose a folder that can be written with `--state-dir FOLDER`\n",
    );
}

#[test]
fn without_a_home_that_can_be_written_runs_are_kept_elsewhere() {
    let place = Place::new();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_firedog"));
    let temporary = place.root();
    let answer = command.args(["runs", "--format", "json"]).env_clear().env("HOME", "/proc/nowhere");
    let answer =
        crate::command::answer(answer.env("TMPDIR", &temporary).output().expect("the binary starts"));
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(0), "{\"runs\":[]}\n"));
    assert!(answer.stderr.starts_with("note: runs are kept in `"), "{}", answer.stderr);
    assert_eq!(std::fs::read_dir(temporary).expect("the folder is there").count(), 1);
}

#[test]
fn a_reader_that_is_gone_is_no_error() {
    let place = Place::new();
    let mut child = place.start(&["completions", "bash"]);
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn a_workflow_that_its_event_never_starts() {
    let workflow = "on: [workflow_dispatch, release]\njobs: {a: {runs-on: x, steps: [{run: 'true'}]}}\n";
    let place = Place::with(&[("ci.yml", workflow)]);
    let note = "note: `ci.yml` does not start on `push`; `--event` can be one of its own: workflow_dispatch, release";
    let says = |arguments: &[&str]| {
        let answer = place.call(arguments);
        assert_eq!(answer.code, Some(0), "{answer:?}");
        answer.stderr.contains(note)
    };
    assert!(says(&["run", "ci.yml", "--platform", "*=host"]));
    assert!(!says(&["run", "ci.yml", "--platform", "*=host", "--event", "release"]));
}

#[test]
fn a_workflow_named_without_its_folder() {
    let place = Place::with(&[(".github/workflows/ci.yml", "on: push\njobs: {}\n")]);
    check(
        &place,
        &["run", "ci.yml", "--quiet"],
        2,
        "error: cannot read `ci.yml`: No such file or directory\n\
         help: the repository has a workflow `.github/workflows/ci.yml`\n",
    );
}
