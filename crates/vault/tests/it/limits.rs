//! Budgets, full disks, processes that die, and others that use the same folder.

use std::fs;

use vault::{Limits, Seen, Vault, VaultError};

use crate::folders::{PLENTY, Place};

/// The checkpoints that are left of these within limits, and whether the rest comes back.
fn check(ids: &[&str], limits: Limits, expected: &[&str]) {
    let place = Place::new();
    let vault = place.vault(PLENTY);
    let mut seen = Seen::default();
    for id in ids {
        place.write("same", &"same".repeat(1000));
        place.write("own", &id.repeat(5000));
        place.keep(&vault, id, &mut seen).unwrap();
    }
    let pruned = vault.prune(limits).unwrap();
    assert!(!pruned.busy);
    assert_eq!(vault.ids().unwrap(), expected, "{limits:?}");
    assert_eq!(pruned.checkpoints.len(), ids.len() - expected.len());
    for id in expected {
        place.restore(&vault, id, id).unwrap();
        assert_eq!(fs::read_to_string(place.at(id).join("own")).unwrap(), id.repeat(5000));
    }
    assert!(vault.used() <= limits.bytes);
    if expected.is_empty() {
        let left: usize = fs::read_dir(place.at("vault/chunks"))
            .unwrap()
            .map(|folder| fs::read_dir(folder.unwrap().path()).unwrap().count())
            .sum();
        assert_eq!(left, 0, "chunks that nothing refers to");
    }
}

#[test]
fn the_oldest_go_first() {
    let ids = ["1.a", "1.b", "2.a", "3.a"];
    check(&ids, Limits { runs: 10, bytes: PLENTY }, &ids);
    check(&ids, Limits { runs: 2, bytes: PLENTY }, &["2.a", "3.a"]);
    check(&ids, Limits { runs: 0, bytes: PLENTY }, &[]);
    check(&ids, Limits { runs: 10, bytes: 36_000 }, &["2.a", "3.a"]);
    check(&ids, Limits { runs: 10, bytes: 0 }, &[]);
}

#[test]
fn what_does_not_fit_leaves_nothing_and_disturbs_nothing() {
    let place = Place::new();
    place.write("small", "text");
    let vault = place.vault(100_000);
    place.keep(&vault, "run.1", &mut Seen::default()).unwrap();
    place.write("large", &"0123456789".repeat(20_000));
    let refused = place.keep(&vault, "run.2", &mut Seen::default());
    assert!(matches!(refused, Err(VaultError::Budget { .. })), "{refused:?}");
    assert_eq!(vault.ids().unwrap(), ["run.1"]);
    assert_eq!(fs::read_dir(place.at("vault/new")).unwrap().count(), 0);
    place.restore(&vault, "run.1", "to").unwrap();
}

#[test]
fn what_a_dead_process_was_writing_is_swept() {
    let place = Place::new();
    place.write("file", "text");
    let vault = place.vault(PLENTY);
    place.keep(&vault, "run.1", &mut Seen::default()).unwrap();
    let mut draft = vault.begin("run.2").unwrap();
    draft.capture("home", &place.at("from"), &mut Seen::default(), &|_| false).unwrap();
    // A process that is killed does not tidy up.
    std::mem::forget(draft);
    fs::write(place.at("vault/new/chunk-1-1"), "half").unwrap();
    let other = place.vault(PLENTY);
    assert_eq!(fs::read_dir(place.at("vault/new")).unwrap().count(), 2, "somebody may still be writing");
    drop((vault, other));
    let vault = place.vault(PLENTY);
    assert_eq!(fs::read_dir(place.at("vault/new")).unwrap().count(), 0);
    assert_eq!(vault.ids().unwrap(), ["run.1"]);
}

#[test]
fn nothing_is_pruned_while_somebody_else_uses_the_folder() {
    let place = Place::new();
    place.write("file", "text");
    let vault = place.vault(PLENTY);
    place.keep(&vault, "run.1", &mut Seen::default()).unwrap();
    let other = place.vault(PLENTY);
    let none = Limits { runs: 0, bytes: 0 };
    assert!(vault.prune(none).unwrap().busy);
    assert_eq!(vault.ids().unwrap(), ["run.1"]);
    drop(other);
    assert_eq!(vault.prune(none).unwrap().checkpoints, ["run.1"]);
}

#[test]
fn only_this_user_can_enter() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    place.write("file", "text");
    let vault = place.vault(PLENTY);
    place.keep(&vault, "run.1", &mut Seen::default()).unwrap();
    for folder in ["vault", "vault/kept", "vault/kept/run.1", "vault/chunks", "vault/new"] {
        let mode = fs::metadata(place.at(folder)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{folder}");
    }
}

#[test]
fn there_is_no_vault_before_something_is_kept() {
    let place = Place::new();
    assert!(Vault::open_existing(&place.at("vault"), PLENTY).unwrap().is_none());
    assert!(!place.at("vault").exists());
    let vault = place.vault(PLENTY);
    assert!(matches!(vault.get("run.1"), Err(VaultError::Unknown(_))));
    assert!(matches!(vault.get("../run"), Err(VaultError::Unknown(_))));
}
