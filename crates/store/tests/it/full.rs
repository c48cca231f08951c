//! No room: the write is refused, says so, and takes nothing with it.

use std::process::{Command, Output};

use crate::child;
use crate::world::Place;

const ROLE: &str = "child::appends_until_refused";

fn check(output: Output, expected: &str) {
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let refusal = text.lines().find(|line| line.starts_with("refused after ")).expect("it was refused");
    assert!(refusal.contains(expected), "{refusal}");
    assert!(!refusal.starts_with("refused after 0"), "{refusal}");
}

#[test]
fn a_limit_on_the_size_of_files() {
    let place = Place::new();
    let limit = "trap '' XFSZ; ulimit -f 4096; exec \"$0\" \"$@\"";
    let output = child::command(&["sh", "-c", limit], ROLE, &place.path, "r").output().unwrap();
    check(output, "cannot write events in");
}

#[test]
fn a_full_disk() {
    let place = Place::new();
    let folder = place.path.parent().unwrap();
    std::fs::create_dir(folder).unwrap();
    let namespaces = ["unshare", "--map-root-user", "--mount"];
    let works = Command::new(namespaces[0]).args(&namespaces[1..]).arg("true").output();
    if !works.is_ok_and(|output| output.status.success()) {
        skipped("no user and mount namespaces");
        return;
    }
    let mount = format!("mount -t tmpfs -o size=2m none '{}' && exec \"$0\" \"$@\"", folder.display());
    let wrapper = [&namespaces[..], &["sh", "-c", &mount]].concat();
    check(child::command(&wrapper, ROLE, &place.path, "r").output().unwrap(), "the disk is full");
}

#[expect(clippy::print_stdout, reason = "whoever runs the tests is told what this host cannot show")]
fn skipped(why: &str) {
    println!("skipped: {why}");
}
