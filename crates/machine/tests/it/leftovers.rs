//! What machines leave on the host, and its removal.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::Arc;

use machine::scratch::{Layout, Scratch, sweep};
use machine::{Content, Folder, Place};

use crate::fixture::{backends, left, spec};

const LAYOUT: Layout = Layout { name: "test", folders: &[("one", 0o755), ("one/two", 0o1777)] };

#[test]
fn a_sweep_removes_what_has_no_owner_and_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    assert_eq!(sweep(&root.path().join("none")).unwrap(), 0);
    let owned = Scratch::create(root.path(), "one", &LAYOUT).unwrap();
    std::fs::write(owned.path().join("file"), "").unwrap();
    // An owner that was killed: its lock is free, its folder is there.
    let left = root.path().join("two-1-1");
    std::fs::create_dir_all(left.join("cache/deep")).unwrap();
    std::fs::write(left.join("cache/deep/file"), "").unwrap();
    std::fs::set_permissions(left.join("cache/deep"), std::fs::Permissions::from_mode(0o500)).unwrap();
    std::fs::write(root.path().join("two-1-1.lock"), "").unwrap();
    std::fs::create_dir(root.path().join("unrelated")).unwrap();
    assert_eq!(sweep(root.path()).unwrap(), 1);
    assert!(!left.exists());
    assert!(owned.path().join("file").exists());
    assert!(root.path().join("unrelated").exists());
    drop(owned);
    assert_eq!(sweep(root.path()).unwrap(), 0);
    let names: Vec<_> =
        std::fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["unrelated"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_is_given_up_while_it_is_made_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("tree");
    let entries: Vec<PathBuf> = (0..500).map(|number| format!("{number}/file").into()).collect();
    for entry in &entries {
        std::fs::create_dir_all(root.join(entry).parent().unwrap()).unwrap();
        std::fs::write(root.join(entry), "text").unwrap();
    }
    for backend in backends().await {
        let mut spec = spec(folder.path());
        let content = Content::Copy { root: root.clone(), entries: Arc::new(entries.clone()) };
        spec.folders.push(Folder { place: Place::Workspace, content });
        let copied = || {
            let machines = std::fs::read_dir(&spec.scratch).into_iter().flatten().flatten();
            machines.map(|machine| machine.path()).any(|machine| {
                let folders = ["workspace", "home/work/demo/demo", "vm/guest/home/runner/work/demo/demo"];
                folders.iter().any(|folder| machine.join(folder).join("7").is_dir())
                    || machine.join("disk").is_file()
            })
        };
        let given_up = async {
            while !copied() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            _ = machine::Machine::start(&*backend, &spec) => panic!("it is not made so fast"),
            () = given_up => {}
        }
        assert_eq!(left(&spec.scratch), Vec::<String>::new());
    }
}

#[test]
fn names_cannot_lead_out_of_the_root() {
    let root = tempfile::tempdir().unwrap();
    let scratch = Scratch::create(root.path(), "../../etc/x y", &LAYOUT).unwrap();
    assert_eq!(scratch.path().parent(), Some(root.path()));
    let other = Scratch::create(root.path(), "../../etc/x y", &LAYOUT).unwrap();
    assert_ne!(scratch.path(), other.path());
}

/// Whether a folder that `change` was done to is used again; it must be empty then, and the next as new in any case.
fn check(change: impl Fn(&std::path::Path), expected: bool) {
    let root = tempfile::tempdir().expect("the test's own files are there");
    let first = Scratch::create(root.path(), "first", &LAYOUT).expect("the test's own files are there");
    change(first.path());
    first.reuse();
    let spare = root.path().join("spare-test-0");
    assert_eq!(spare.exists(), expected);
    let second = Scratch::create(root.path(), "second", &LAYOUT).expect("the test's own files are there");
    assert!(!spare.exists(), "the second did not take it");
    let names = |folder: &str| -> Vec<_> {
        let entries = std::fs::read_dir(second.path().join(folder)).expect("the test's own files are there");
        entries
            .map(|entry| {
                entry
                    .expect("the test's own files are there")
                    .file_name()
                    .into_string()
                    .expect("the test's own files are there")
            })
            .collect()
    };
    assert_eq!(
        (names(""), names("one"), names("one/two").len()),
        (vec!["one".into()], vec!["two".into()], 0)
    );
    let mode = std::fs::metadata(second.path().join("one/two"))
        .expect("the test's own files are there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o1777);
    drop(second);
    assert_eq!(std::fs::read_dir(root.path()).expect("the test's own files are there").count(), 0);
}

#[test]
fn a_folder_is_used_again_when_its_layout_is_as_it_was_made() {
    check(|_| {}, true);
    check(|path| std::fs::write(path.join("one/two/file"), "x").unwrap(), true);
    check(|path| std::fs::create_dir_all(path.join("one/more/deep")).unwrap(), true);
    check(|path| symlink("/etc", path.join("link")).unwrap(), true);
    check(|path| std::fs::set_permissions(path.join("one"), Permissions::from_mode(0o700)).unwrap(), false);
    check(|path| std::fs::remove_dir(path.join("one/two")).unwrap(), false);
    let replaced = |path: &std::path::Path| {
        std::fs::rename(path.join("one"), path.join("other")).unwrap();
        symlink("other", path.join("one")).unwrap();
    };
    check(replaced, false);
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that is skipped must be seen to be")]
fn a_folder_with_attributes_of_its_own_is_not_used_again() {
    let set = |path: &std::path::Path| {
        let name = "user.mark";
        rustix::fs::setxattr(path.join("one"), name, b"x", rustix::fs::XattrFlags::CREATE).unwrap();
    };
    let trial = tempfile::tempdir().unwrap();
    std::fs::create_dir(trial.path().join("one")).unwrap();
    let is_supported =
        rustix::fs::setxattr(trial.path().join("one"), "user.x", b"x", rustix::fs::XattrFlags::CREATE)
            .is_ok();
    if is_supported {
        check(set, false);
    } else {
        eprintln!("skipped: no extended attributes here");
    }
}
