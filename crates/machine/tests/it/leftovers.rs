//! What machines leave on the host, and its removal.

use std::os::unix::fs::PermissionsExt;

use machine::scratch::{Scratch, sweep};

#[test]
fn a_sweep_removes_what_has_no_owner_and_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    assert_eq!(sweep(&root.path().join("none")).unwrap(), 0);
    let owned = Scratch::create(root.path(), "one").unwrap();
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

#[test]
fn names_cannot_lead_out_of_the_root() {
    let root = tempfile::tempdir().unwrap();
    let scratch = Scratch::create(root.path(), "../../etc/x y").unwrap();
    assert_eq!(scratch.path().parent(), Some(root.path()));
    let other = Scratch::create(root.path(), "../../etc/x y").unwrap();
    assert_ne!(scratch.path(), other.path());
}
