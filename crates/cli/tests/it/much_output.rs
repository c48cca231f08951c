//! Steps that print very much: all of it arrives, in order, and is kept.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;

use crate::command::Place;

/// Runs a script as the step of a job that succeeds, and shows each line of its output while it comes: the test need not
/// hold what firedog does not.
fn run(script: &str, mut line: impl FnMut(&str)) -> Place {
    let workflow = format!("on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: {script}\n");
    let place = Place::with(&[("ci.yml", &workflow)]);
    let arguments = ["run", "ci.yml", "--format", "ndjson", "--platform", "*=host"];
    let mut child = place.command(&arguments).stderr(Stdio::inherit()).spawn().expect("the binary starts");
    let stdout = child.stdout.take().expect("it is a pipe");
    for event in BufReader::new(stdout).lines() {
        let event = event.expect("standard output is UTF-8");
        let event: Value = serde_json::from_str(&event).expect("each line is a JSON object");
        if event["event"] == "log" {
            line(event["line"].as_str().expect("a line is text"));
        }
    }
    assert_eq!(child.wait().expect("it can be waited for").code(), Some(0), "{script}");
    place
}

/// The bytes of lines of `x`, and whether the line `after` came behind them all.
fn count(script: &str) -> (usize, bool, Place) {
    let (mut bytes, mut is_behind) = (0, false);
    let place = run(script, |line| {
        if !line.is_empty() && line.bytes().all(|byte| byte == b'x') {
            (bytes, is_behind) = (bytes + line.len(), false);
        } else if line == "after" {
            is_behind = true;
        }
    });
    (bytes, is_behind, place)
}

#[test]
fn much_output_arrives_whole_and_in_order() {
    let count = 200_000;
    let mut numbers = Vec::new();
    run(&format!("seq 1 {count}"), |line| numbers.extend(line.parse::<u32>()));
    assert!(numbers.iter().copied().eq(1..=count), "{} lines", numbers.len());
}

#[test]
fn one_line_of_100_mb_arrives_whole() {
    let size = 100_000_000;
    let (bytes, is_behind, _) = count(&format!("head -c {size} /dev/zero | tr '\\0' x; echo; echo after"));
    assert_eq!((bytes, is_behind), (size, true));
}

#[test]
fn a_gigabyte_arrives_whole_and_is_kept() {
    let size = 1_000_000_000;
    let script = format!("head -c {size} /dev/zero | tr '\\0' x | fold -w 9999; echo; echo after");
    let (bytes, is_behind, place) = count(&script);
    assert_eq!((bytes, is_behind), (size, true));
    let mut logs = place.command(&["logs"]).spawn().expect("the binary starts");
    let stdout = logs.stdout.take().expect("it is a pipe");
    let kept: usize =
        BufReader::new(stdout).lines().map(|line| line.expect("UTF-8").matches('x').count()).sum();
    assert!(logs.wait().expect("it can be waited for").success() && kept >= size, "{kept} bytes are kept");
}
