//! How runs end before their time: by signals, by a reader that goes away, by a death of the process.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::command::Place;

/// A job whose step waits, and says so; then a step that always runs.
const WAITS: &str = "\
on: push
jobs:
  a:
    runs-on: x
    steps:
      - run: |
          echo waiting
          exec sleep 98765
      - if: always()
        run: echo cleaned up
      - run: echo never
";

/// One whose step does not want to end.
const STUBBORN: &str = "\
on: push
jobs:
  a:
    runs-on: x
    steps:
      - run: |
          trap 'echo ignored' TERM INT
          echo waiting
          while :; do sleep 1 || true; done
      - if: always()
        run: echo cleaned up
";

const RUN: [&str; 6] = ["run", "ci.yml", "--format", "ndjson", "--platform", "*=host"];

/// A run on its way, its events one after the other.
struct Running {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(place: &Place) -> Self {
        let mut child = place.start(&RUN);
        let stdout = child.stdout.take().expect("standard output is a pipe");
        Self { child, lines: BufReader::new(stdout).lines() }
    }

    fn next(&mut self) -> Option<Value> {
        let line = self.lines.next()?.expect("standard output can be read");
        Some(serde_json::from_str(&line).expect("each line is JSON"))
    }

    /// Reads on until a step has printed this line.
    fn until(&mut self, line: &str) {
        while let Some(event) = self.next() {
            if event["event"] == "log" && event["line"] == line {
                return;
            }
        }
        panic!("the run ended before it printed {line:?}");
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a child has an id");
        kill_process(pid, signal).expect("the process is there");
    }

    /// The remaining events and the exit code.
    fn rest(mut self) -> (Vec<Value>, Option<i32>) {
        let mut events = Vec::new();
        while let Some(event) = self.next() {
            events.push(event);
        }
        (events, self.child.wait().expect("it ends").code())
    }
}

fn lines(events: &[Value]) -> Vec<&str> {
    events.iter().filter(|event| event["event"] == "log").filter_map(|event| event["line"].as_str()).collect()
}

fn conclusion(events: &[Value]) -> &str {
    let last = events.last().expect("there are events");
    assert_eq!(last["event"], "run_finished");
    last["conclusion"].as_str().expect("it is text")
}

#[test]
fn one_signal_cancels_and_what_always_runs_does() {
    for signal in [Signal::INT, Signal::TERM] {
        let place = Place::with(&[("ci.yml", WAITS)]);
        let mut running = Running::start(&place);
        running.until("waiting");
        running.signal(signal);
        let (events, code) = running.rest();
        assert_eq!((conclusion(&events), code), ("cancelled", Some(4)), "{events:?}");
        assert!(lines(&events).contains(&"cleaned up"), "{events:?}");
        assert!(!lines(&events).contains(&"never"), "{events:?}");
    }
}

#[test]
fn a_second_signal_ends_what_ignores_the_first() {
    let place = Place::with(&[("ci.yml", STUBBORN)]);
    let mut running = Running::start(&place);
    running.until("waiting");
    running.signal(Signal::INT);
    running.until("ignored");
    running.signal(Signal::INT);
    let (events, code) = running.rest();
    assert_eq!((conclusion(&events), code), ("cancelled", Some(4)), "{events:?}");
    assert!(!lines(&events).contains(&"cleaned up"), "{events:?}");
}

#[test]
fn a_reader_that_goes_away_cancels_the_run() {
    let place = Place::with(&[("ci.yml", WAITS)]);
    let mut running = Running::start(&place);
    running.until("waiting");
    drop(running.lines);
    // Something to print must come for the loss to be seen.
    let pid = i32::try_from(running.child.id()).ok().and_then(Pid::from_raw).expect("a child has an id");
    kill_process(pid, Signal::INT).expect("the process is there");
    assert_eq!(running.child.wait().expect("it ends").code(), Some(4));
    let shown = place.call(&["show", "--format", "json"]);
    let run: Value = serde_json::from_str(&shown.stdout).expect("it is JSON");
    assert_eq!((&run["status"], &run["conclusion"]), (&"completed".into(), &"cancelled".into()), "{run}");
}

#[test]
fn a_signal_that_the_parent_ignores_stays_ignored() {
    let waits = "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: |\n          echo waiting\n          until \
                 [ -e 'GO' ]; do sleep 0.01; done\n";
    let place = Place::new();
    let go = place.root().join("go");
    place.write("ci.yml", &waits.replace("GO", &go.display().to_string()));
    let inner = place.command(&RUN);
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).arg(inner.get_program()).args(inner.get_args());
    command.current_dir(place.root()).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().expect("the shell starts");
    let stdout = child.stdout.take().expect("standard output is a pipe");
    let mut running = Running { child, lines: BufReader::new(stdout).lines() };
    running.until("waiting");
    running.signal(Signal::HUP);
    std::fs::write(go, "").expect("a file can be written");
    let (events, code) = running.rest();
    assert_eq!((conclusion(&events), code), ("success", Some(0)), "{events:?}");
}

#[test]
fn the_time_to_cancel_counts_from_the_first_job() {
    let place = Place::with(&[("ci.yml", WAITS)]);
    let mut arguments = RUN.to_vec();
    arguments.extend(["--cancel-after", "0.2"]);
    let answer = place.call(&arguments);
    assert_eq!((answer.code, answer.conclusion().as_str()), (Some(4), "cancelled"), "{answer:?}");
}

/// What runs on this host with this text in its command line.
fn processes_with(text: &str) -> Vec<String> {
    let folders = std::fs::read_dir("/proc").expect("there is a /proc").flatten();
    let line = |folder: std::fs::DirEntry| std::fs::read(folder.path().join("cmdline")).ok();
    let lines = folders.filter_map(line).map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(text)).collect()
}

#[test]
fn the_next_start_closes_what_a_killed_process_left() {
    // A number of its own tells this test's process from those of others.
    let marker = format!("9{}", std::process::id());
    let place = Place::with(&[("ci.yml", &WAITS.replace("98765", &marker))]);
    let mut running = Running::start(&place);
    running.until("waiting");
    running.signal(Signal::KILL);
    let (events, code) = running.rest();
    assert_eq!((events.len(), code), (0, None));
    let answer = place.call(&["show", "--format", "json"]);
    assert!(answer.stderr.contains("is closed as failed: "), "{}", answer.stderr);
    let run: Value = serde_json::from_str(&answer.stdout).expect("it is JSON");
    assert_eq!((&run["status"], &run["conclusion"]), (&"completed".into(), &"failure".into()), "{run}");
    // What was acknowledged is still there.
    assert_eq!(place.call(&["logs"]).stdout.lines().last(), Some("waiting"));
    let left = std::fs::read_dir(place.state().join("machines")).map(Iterator::count).unwrap_or_default();
    assert_eq!(left, 0, "the machine's folder is gone");
    assert_eq!(processes_with(&format!("sleep {marker}")), Vec::<String>::new());
    // What the machine was forked from ends by itself when its socket is closed.
    let sandboxes = place.state().join("machines").display().to_string();
    while !processes_with(&sandboxes).is_empty() {
        std::thread::yield_now();
    }
    assert_eq!(place.call(&["show"]).stderr, "", "it is closed once");
}
