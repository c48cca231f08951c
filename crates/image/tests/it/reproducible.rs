//! The same input makes the same image, whoever makes it, where and when.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use image::{RootOrigin, Store};

use crate::fixture::{Entry, Place, SHELL};

#[test]
fn two_builds_of_one_archive_are_one_image() {
    let entries = [SHELL, &[Entry::File("etc/os-release", "x"), Entry::Link("b", "etc")]].concat();
    let (first, second) = (Place::new(), Place::new());
    let digest = first.build("one", &entries).unwrap().digest();
    assert_eq!(second.build("another", &entries).unwrap().digest(), digest);
    let other = [&entries[..], &[Entry::File("c", "y")]].concat();
    assert_ne!(first.build("one", &other).unwrap().digest(), digest);
}

/// What one host has and another has not is not in an image: logs, caches, names, times.
#[test]
fn what_differs_between_builds_is_left_out() {
    let place = Place::new();
    let folders = [Entry::Folder("var/log"), Entry::Folder("etc"), Entry::Folder("var/cache/ldconfig")];
    let with =
        |entries: &[Entry<'_>]| place.build("x", &[SHELL, &folders, entries].concat()).unwrap().digest();
    let plain = with(&[]);
    let entries = [
        Entry::File("var/log/dpkg.log", "at 12:01"),
        Entry::File("var/log/apt/history.log", "at 12:02"),
        Entry::File("etc/machine-id", "0123"),
        Entry::File("etc/hostname", "builder-7"),
        Entry::File("etc/resolv.conf", "nameserver 10.1.2.3"),
        Entry::File("var/cache/ldconfig/aux-cache", "inode numbers"),
        Entry::File("tmp/left", "x"),
        Entry::File("run/lock/x", "x"),
    ];
    assert_eq!(with(&entries), plain);
}

#[test]
fn the_order_and_the_times_of_a_folder_do_not_count() {
    let make = |names: &[&str]| {
        let place = Place::new();
        let root = place.path().join("root");
        fs::create_dir_all(root.join("bin")).unwrap();
        for name in names {
            fs::write(root.join("bin").join(name), name).unwrap();
        }
        fs::set_permissions(root.join("bin/sh"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::hard_link(root.join("bin/b"), root.join("bin/c")).unwrap();
        symlink("b", root.join("bin/d")).unwrap();
        // Whatever this test's own clock says, the files are newer than an image's may be.
        let touch = Command::new("touch")
            .args(["-d", "2027-02-03"])
            .args(names)
            .current_dir(root.join("bin"))
            .status();
        assert!(touch.unwrap().success());
        let mut recipe = place.recipe(RootOrigin::Folder(root.clone()));
        recipe.epoch = 0;
        place.store.build("x", &recipe, &|_| ()).unwrap().digest()
    };
    assert_eq!(make(&["sh", "a", "b"]), make(&["b", "sh", "a"]));
}

/// The whole way with real packages, twice. It needs `mmdebstrap`, and a mirror.
#[test]
fn two_builds_of_debian_are_one_image() {
    let place = Place::new();
    let build = |name: &str| {
        let store = Store::open(&place.path().join(name)).unwrap();
        let root = RootOrigin::Debian {
            suite: "bookworm".into(),
            packages: image::DebianPackages::Base,
            more: vec!["ca-certificates".into()],
        };
        store.build("base", &place.recipe(root), &|_| ())
    };
    let (first, second) = std::thread::scope(|scope| {
        let second = scope.spawn(|| build("second"));
        (build("first"), second.join().unwrap())
    });
    match (first, second) {
        (Ok(first), Ok(second)) => {
            assert_eq!(second.manifest(), first.manifest());
            assert!(first.manifest().tools.iter().any(|tool| tool.name == "bash"));
        }
        (Err(error), _) | (_, Err(error)) => {
            let why = crate::fixture::told(&error).lines().next().unwrap().to_owned();
            println!("skipped: mmdebstrap with a Debian mirror ({why})");
        }
    }
}
