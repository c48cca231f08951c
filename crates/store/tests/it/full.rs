//! No room, or no right to write: the write is refused, says so, and takes nothing with it.

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
    let Some(output) = mounted(&place, &format!("-t tmpfs -o size=2m none '{}'", folder.display()), ROLE)
    else {
        return;
    };
    check(output, "the disk is full");
}

/// Plays the role with something mounted, in namespaces of its own. `None` where this host has none.
fn mounted(place: &Place, mount: &str, role: &str) -> Option<Output> {
    let namespaces = ["unshare", "--map-root-user", "--mount"];
    let works = Command::new(namespaces[0]).args(&namespaces[1..]).arg("true").output();
    if !works.is_ok_and(|output| output.status.success()) {
        skipped("no user and mount namespaces");
        return None;
    }
    let mount = format!("mount {mount} && exec \"$0\" \"$@\"");
    let wrapper = [&namespaces[..], &["sh", "-c", &mount]].concat();
    Some(child::command(&wrapper, role, &place.path, "r").output().unwrap())
}

#[tokio::test]
async fn a_folder_that_may_not_be_written() {
    let check = |place: &Place, mount: &str, expected: &str| {
        let Some(output) = mounted(place, mount, "child::writes_where_it_may_not") else { return };
        let text = String::from_utf8_lossy(&output.stdout);
        let refusal = text.lines().find(|line| line.starts_with("refused: "));
        let path = place.path.display().to_string();
        assert!(refusal.is_some_and(|line| line.contains(expected) && line.contains(&path)), "{text}");
    };
    let new = Place::new();
    let folder = new.path.parent().unwrap();
    std::fs::create_dir(folder).unwrap();
    check(&new, &format!("-t tmpfs -o ro none '{}'", folder.display()), "Read-only file system");

    let existing = Place::new();
    drop(existing.open().await);
    let folder = existing.path.parent().unwrap().display().to_string();
    let bind = format!("--bind '{folder}' '{folder}' && mount -o remount,bind,ro '{folder}'");
    check(&existing, &bind, "it or its folder may not be written");
}

#[expect(clippy::print_stdout, reason = "whoever runs the tests is told what this host cannot show")]
fn skipped(why: &str) {
    println!("skipped: {why}");
}
