//! The leases on machines and their snapshots.

use store::{Admission, MachineRow, SnapshotRow, StoreError};

use crate::world::Place;

fn row(id: &str, memory_mib: u32) -> MachineRow {
    MachineRow {
        id: id.into(),
        name: "one".into(),
        kind: "namespace".into(),
        backend: "namespace".into(),
        image: None,
        vcpus: 2,
        memory_mib,
        state: "created".into(),
        reason: None,
        owner: "12@34@abc".into(),
        endpoint: "/run/x.sock".into(),
        leftovers: String::new(),
        created: 5,
        expires: Some(9),
    }
}

#[tokio::test]
async fn a_machine_has_a_row_until_it_is_removed_by_its_owner() {
    let place = Place::new();
    let store = place.open().await;
    let mut expected = row("vm-1", 512);
    assert_eq!(store.admit_machine(&expected, 512).await.unwrap(), Admission::Admitted);
    assert_eq!(store.machines().await.unwrap(), [expected.clone()]);
    store.set_machine_state("vm-1", "failed", Some("it was lost")).await.unwrap();
    store.set_machine_leftovers("vm-1", "group /a\ngroup /b").await.unwrap();
    expected.state = "failed".into();
    expected.reason = Some("it was lost".into());
    expected.leftovers = "group /a\ngroup /b".into();
    assert_eq!(place.open().await.machines().await.unwrap(), [expected]);
    let other =
        MachineRow { name: "two".into(), kind: "ci".into(), created: 7, expires: None, ..row("vm-1", 1) };
    store.adopt_machine(&other).await.unwrap();
    let found = store.machines().await.unwrap().remove(0);
    assert_eq!((found.name.as_str(), found.kind.as_str(), found.memory_mib), ("two", "ci", 512));
    assert_eq!((found.created, found.expires), (7, None));
    let missing = store.adopt_machine(&row("vm-2", 1)).await.unwrap_err();
    assert!(matches!(missing, StoreError::Missing { .. }), "{missing:?}");
    store.remove_machine("vm-1", "another").await.unwrap();
    assert_eq!(store.machines().await.unwrap().len(), 1);
    store.remove_machine("vm-1", "12@34@abc").await.unwrap();
    assert_eq!(store.machines().await.unwrap(), []);
    store.set_machine_state("vm-1", "ready", None).await.unwrap();
    assert_eq!(store.machines().await.unwrap(), []);
}

#[tokio::test]
async fn machines_are_admitted_as_long_as_there_is_memory_however_many_ask_at_once() {
    let place = Place::new();
    let stores = futures_util::future::join_all((0..4).map(|_| place.open())).await;
    let rows: Vec<MachineRow> = (0..12).map(|number| row(&format!("vm-{number}"), 100)).collect();
    let admissions = rows.iter().enumerate().map(|(number, row)| stores[number % 4].admit_machine(row, 550));
    let outcomes = futures_util::future::try_join_all(admissions).await.unwrap();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Admission::Admitted).count(), 5);
    assert_eq!(
        stores[0].admit_machine(&row("vm-x", 100), 550).await.unwrap(),
        Admission::Refused { committed_mib: 500 }
    );
    assert_eq!(stores[0].admit_machine(&row("vm-x", 50), 550).await.unwrap(), Admission::Admitted);
}

#[tokio::test]
async fn an_id_is_given_once() {
    let place = Place::new();
    let store = place.open().await;
    store.admit_machine(&row("vm-1", 1), 10).await.unwrap();
    let error = store.admit_machine(&row("vm-1", 1), 10).await.unwrap_err();
    assert!(matches!(error, StoreError::Twice { .. }), "{error:?}");
}

#[tokio::test]
async fn snapshots_outlive_their_machines() {
    let place = Place::new();
    let store = place.open().await;
    let snapshot = |id: &str, created| SnapshotRow {
        id: id.into(),
        machine: "vm-1".into(),
        name: "before".into(),
        description: "of the step".into(),
        kind: "qemu".into(),
        backend: "qemu".into(),
        image: Some("ci".into()),
        vcpus: 1,
        memory_mib: 256,
        folder: "/state/snapshots/x".into(),
        bytes: 1 << 40,
        created,
    };
    store.add_machine_snapshot(&snapshot("later", 2)).await.unwrap();
    store.add_machine_snapshot(&snapshot("first", 1)).await.unwrap();
    assert_eq!(store.machine_snapshots().await.unwrap(), [snapshot("first", 1), snapshot("later", 2)]);
    store.remove_machine_snapshot("first").await.unwrap();
    assert_eq!(store.machine_snapshots().await.unwrap(), [snapshot("later", 2)]);
}
