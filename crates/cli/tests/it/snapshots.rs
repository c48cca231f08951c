//! What bounds the snapshots of steps, and what is left when something goes wrong.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::command::{Place, skipped};

/// Steps that each make another file of three megabytes that cannot be kept twice as one.
const LARGE: &str = "
on: push
jobs:
  a:
    runs-on: ubuntu-latest
    steps:
      - run: head -c 3000000 /dev/urandom > one
      - run: head -c 3000000 /dev/urandom > two
      - run: cat one two | wc -c
";

const RUN: [&str; 8] = ["run", "ci.yml", "--machine", "host", "--format", "ndjson", "--snapshots", "steps"];

fn entries(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// The numbers of the first job's steps with a checkpoint.
fn kept(place: &Place, run: &str) -> Vec<u64> {
    let answer = place.call(&["timeline", run, "--format", "json"]);
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    let timeline: Value = serde_json::from_str(&answer.stdout).expect("the timeline is JSON");
    let steps = timeline["jobs"][0]["steps"].as_array().cloned().unwrap_or_default();
    let kept = steps.iter().filter(|step| !step["checkpoint"].is_null());
    kept.map(|step| step["step"].as_u64().expect("a step has a number")).collect()
}

#[test]
fn what_does_not_fit_in_the_budget_is_said_and_the_run_goes_on() {
    let place = Place::with(&[("ci.yml", LARGE)]);
    let run = place.call(&[&RUN[..], &["--snapshot-space", "4M"]].concat());
    assert_eq!(run.code, Some(0), "{}", run.stdout);
    let lines = run.lines();
    let warning = lines.iter().find(|line| line.starts_with("Warning: no snapshot is kept before step 2"));
    assert!(warning.is_some_and(|warning| warning.contains("4194304 bytes")), "{lines:?}");
    assert!(lines.contains(&"6000000".to_owned()), "{lines:?}");
    assert_eq!(kept(&place, "latest"), [0, 1]);
}

#[test]
fn the_newest_runs_are_kept() {
    let place = Place::with(&[("ci.yml", LARGE)]);
    let arguments = [&RUN[..], &["--snapshot-runs", "2"]].concat();
    (0..3).for_each(|_| assert_eq!(place.call(&arguments).code, Some(0)));
    let runs = place.call(&["runs", "--format", "json"]);
    let runs: Value = serde_json::from_str(&runs.stdout).expect("the runs are JSON");
    let counts: Vec<usize> =
        (0..3).map(|run| kept(&place, runs["runs"][run]["id"].as_str().expect("an id")).len()).collect();
    assert_eq!(counts, [3, 3, 0]);
    let size = |folder: &str| -> u64 {
        let folders = entries(&place.state().join("checkpoints").join(folder));
        let path = |name: &String| place.state().join("checkpoints").join(folder).join(name);
        let files = folders.iter().flat_map(|name| {
            fs::read_dir(path(name)).expect("the folder is there").flatten().collect::<Vec<_>>()
        });
        files.map(|file| file.metadata().expect("the file is there").len()).sum()
    };
    let chunks = size("chunks");
    assert!((12_000_000..13_000_000).contains(&chunks), "those of two runs: {chunks}");
}

#[test]
fn a_full_disk_costs_the_snapshot_and_not_the_run() {
    let place = Place::with(&[("ci.yml", LARGE)]);
    let folder = place.state().join("checkpoints");
    fs::create_dir_all(&folder).expect("a folder can be made");
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=5m", "none"]).arg(&folder).output();
    if !mount.is_ok_and(|mount| mount.status.success()) {
        skipped("this user cannot mount a small file system");
        return;
    }
    let run = place.call(&RUN);
    let left = entries(&folder.join("new"));
    let kept = kept(&place, "latest");
    let rewound = place.call(&["rewind", "--step", "1", "--run", "-q"]);
    let unmount = Command::new("umount").arg(&folder).status();
    assert!(unmount.is_ok_and(|status| status.success()));
    assert_eq!(run.code, Some(0), "{}", run.stdout);
    let warned =
        run.lines().iter().any(|line| line.starts_with("Warning: no snapshot is kept before step 2"));
    assert!(warned, "{}", run.stdout);
    assert_eq!((left, kept), (Vec::<String>::new(), vec![0, 1]));
    assert_eq!(rewound.code, Some(0), "{}", rewound.stderr);
}

#[test]
fn a_folder_that_cannot_be_used_is_said_and_the_run_goes_on() {
    let place = Place::with(&[("ci.yml", LARGE)]);
    fs::create_dir_all(place.state()).expect("a folder can be made");
    fs::write(place.state().join("checkpoints"), "a file").expect("a file can be written");
    let run = place.call(&RUN);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stderr.contains("warning: no snapshots are kept in this run"), "{}", run.stderr);
}

#[test]
fn a_killed_process_leaves_no_half_snapshot() {
    let steps: String = (0..20).map(|_| "      - run: head -c 20000000 /dev/urandom > file\n").collect();
    let workflow = format!("on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n{steps}");
    let place = Place::with(&[("ci.yml", &workflow)]);
    let new = place.state().join("checkpoints/new");
    let mut child = place.start(&RUN);
    let deadline = Instant::now() + Duration::from_secs(100);
    // In the middle of a snapshot, after some have been made.
    while entries(&new).is_empty() || entries(&place.state().join("checkpoints/kept")).len() < 2 {
        assert!(Instant::now() < deadline, "no snapshot is being made");
        assert!(child.try_wait().expect("the child can be asked").is_none(), "the run has ended");
        std::thread::yield_now();
    }
    child.kill().expect("the child can be killed");
    child.wait().expect("the child can be waited for");
    let steps = kept(&place, "latest");
    assert_eq!(entries(&new), Vec::<String>::new(), "what was half written is swept");
    assert!(!steps.is_empty());
    for step in &steps {
        let told = place.call(&["rewind", "--step", &step.to_string()]);
        assert_eq!(told.code, Some(0), "{}", told.stderr);
    }
    // Each is whole: the machine is made of it.
    let last = steps.last().expect("there is one").to_string();
    let fork = place.call(&["fork", "--step", &last, "--count", "1", "-q"]);
    assert_eq!(fork.code, Some(0), "{}", fork.stderr);
    place.write("ci.yml", "on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: 'true'}]}}\n");
    assert_eq!(place.call(&RUN).code, Some(0));
    let told = kept(&place, "latest").len() + steps.len();
    let there = entries(&place.state().join("checkpoints/kept")).len();
    assert_eq!(there, told, "one that nobody told of is removed");
}
