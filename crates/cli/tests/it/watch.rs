//! `firedog check --watch`, driven by saved files and read line by line.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout};

use serde_json::Value;

use crate::command::Place;

const CLEAN: &str =
    "on: push\npermissions: {}\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps: [{run: 'true'}]\n";
const BROKEN: &str =
    "on: push\npermissions: {}\njobs:\n  a:\n    run-on: ubuntu-latest\n    steps: [{run: 'true'}]\n";
const ACTION: &str =
    "name: x\ndescription: x\nruns: {using: composite, steps: [{run: 'true', shell: bash}]}\n";
const USER: &str =
    "on: push\npermissions: {}\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps: [{uses: ./act}]\n";

/// A watching process; it is ended with this.
struct Watching {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Watching {
    /// Starts, and waits until all files have been checked once; returns their number.
    fn start(place: &Place) -> (Self, u64) {
        let mut child = place.start(&["check", "--watch", "--format", "ndjson", "--severity", "error"]);
        let lines = BufReader::new(child.stdout.take().expect("standard output is a pipe")).lines();
        let mut watching = Self { child, lines };
        let (_, event) = watching.until("watching");
        (watching, event["files"].as_u64().expect("a number"))
    }

    /// The findings up to the next event, which must be this one, and the event.
    fn until(&mut self, name: &str) -> (Vec<String>, Value) {
        let mut codes = Vec::new();
        loop {
            let line = self.lines.next().expect("it goes on").expect("it is text");
            let value: Value = serde_json::from_str(&line).expect("a line is an object");
            match value["event"].as_str() {
                Some(event) => {
                    assert_eq!(event, name, "{line}");
                    return (codes, value);
                }
                None => codes.push(value["code"].as_str().expect("a finding has a code").to_owned()),
            }
        }
    }

    /// The changed files, the number of others and the findings of the next answer.
    fn answer(&mut self) -> (String, u64, Vec<String>) {
        let (codes, event) = self.until("checked");
        assert!(event["milliseconds"].as_f64().is_some_and(|it| it > 0.0), "{event}");
        (event["changed"].to_string(), event["others"].as_u64().expect("a number"), codes)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn saved_files_are_answered() {
    let place = Place::with(&[(".github/workflows/a.yml", CLEAN), (".github/workflows/b.yml", CLEAN)]);
    let (mut watching, files) = Watching::start(&place);
    assert_eq!(files, 2);
    place.write(".github/workflows/a.yml", BROKEN);
    let (changed, others, codes) = watching.answer();
    assert_eq!((changed.as_str(), others), ("[\".github/workflows/a.yml\"]", 0));
    assert!(codes.contains(&"unexpected-key".to_owned()), "{codes:?}");
    // As editors do: another file, renamed.
    place.write("new", CLEAN);
    let path = |name: &str| place.root().join(name);
    std::fs::rename(path("new"), path(".github/workflows/a.yml")).expect("a file can be renamed");
    assert_eq!(watching.answer(), ("[\".github/workflows/a.yml\"]".to_owned(), 0, Vec::new()));
}

#[test]
fn what_depends_on_a_saved_file_is_checked_too() {
    let place = Place::with(&[(".github/workflows/a.yml", USER), ("act/action.yml", ACTION)]);
    let (mut watching, _) = Watching::start(&place);
    place.write("act/action.yml", &ACTION.replace("using", "usign"));
    let (changed, others, codes) = watching.answer();
    assert_eq!((changed.as_str(), others), ("[\"act/action.yml\"]", 1));
    assert!(
        codes.contains(&"missing-key".to_owned()) || codes.contains(&"unexpected-key".to_owned()),
        "{codes:?}"
    );
}

#[test]
fn new_and_removed_files_and_settings_are_seen() {
    let place = Place::with(&[(".github/workflows/a.yml", CLEAN)]);
    let (mut watching, _) = Watching::start(&place);
    place.write(".github/workflows/new.yml", BROKEN);
    let (changed, _, codes) = watching.answer();
    assert_eq!(changed, "[\".github/workflows/new.yml\"]");
    assert!(!codes.is_empty());
    std::fs::remove_file(place.root().join(".github/workflows/new.yml")).expect("the file is there");
    assert_eq!(watching.answer().2, Vec::<String>::new());
    place.write("firedog.toml", "runner-labels = ['x']\n");
    assert_eq!(watching.answer(), ("[]".to_owned(), 1, Vec::new()));
}
