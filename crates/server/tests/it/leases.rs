//! Leases, and what becomes of machines whose owners die.

use std::process::{Command, Stdio};

use hyper::Method;
use machine::leftovers::ProcessIdentity;
use rustix::process::Pid;
use serde_json::json;
use server::machines::collect;
use store::{Admission, MachineRow};

use crate::fixture::{Server, until};

fn row(id: &str, owner: &str, leftovers: &str) -> MachineRow {
    MachineRow {
        id: id.into(),
        name: id.into(),
        kind: "namespace".into(),
        backend: "namespace".into(),
        image: None,
        vcpus: 1,
        memory_mib: 64,
        state: "ready".into(),
        reason: None,
        owner: owner.into(),
        endpoint: "/no/such.sock".into(),
        leftovers: leftovers.into(),
        created: 1,
        expires: None,
    }
}

/// A process that sleeps, and its name in leases.
fn sleeper() -> (std::process::Child, String) {
    let child = Command::new("sleep").arg("1000").stdout(Stdio::null()).spawn().unwrap();
    let identity = ProcessIdentity::of(Pid::from_child(&child)).unwrap();
    (child, identity.to_string())
}

#[tokio::test]
async fn a_machine_has_a_lease_as_long_as_it_is_there() {
    let server = Server::start().await;
    let id = server.machine().await;
    let rows = server.store.machines().await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].id.as_str(), rows[0].memory_mib), (id.as_str(), 128));
    assert_eq!(rows[0].owner, ProcessIdentity::own().unwrap().to_string());
    let body = json!({"agent_id": "a", "language": "sh", "code": "true", "vm_id": id});
    server.post("/api/llm/execute", &body).await;
    // The lease's state follows.
    let store = server.store.clone();
    while store.machines().await.unwrap()[0].state != "ready" {
        tokio::task::yield_now().await;
    }
    // Its owner lives, so that nobody else touches it.
    assert_eq!(collect(&server.store, &server.folder.path().join("scratch")).await.unwrap(), []);
    assert_eq!(server.get(&format!("/api/vms/{id}")).await.json()["status"], "running");
    server.call(Method::DELETE, &format!("/api/vms/{id}"), "").await;
    assert_eq!(server.store.machines().await.unwrap(), []);
    server.stop().await;
}

#[tokio::test]
async fn what_dead_owners_left_is_removed_and_nothing_else() {
    let server = Server::start().await;
    let (mut living, living_name) = sleeper();
    let (mut stray, stray_name) = sleeper();
    let (mut dead, dead_name) = sleeper();
    dead.kill().unwrap();
    dead.wait().unwrap();
    let store = &server.store;
    let socket = server.folder.path().join("stray.sock");
    std::fs::write(&socket, "").unwrap();
    let mut of_dead = row("vm-dead", &dead_name, &format!("process {stray_name}"));
    of_dead.endpoint = socket.display().to_string();
    // The number of a living process, which started at another time than the owner.
    let (number, rest) = living_name.split_once('@').unwrap();
    let (_, boot) = rest.split_once('@').unwrap();
    let reused = format!("{number}@1@{boot}");
    let rows = [
        row("vm-living", &living_name, "process 1@1@x"),
        of_dead,
        // What it names has another start than the living process of that number.
        row("vm-reused", &reused, &format!("process {reused}")),
    ];
    for row in &rows {
        assert_eq!(store.admit_machine(row, 1000).await.unwrap(), Admission::Admitted);
    }
    let scratch = server.folder.path().join("scratch");
    let mut collected = collect(store, &scratch).await.unwrap();
    collected.sort_by(|a, b| a.id.cmp(&b.id));
    let found: Vec<_> = collected.iter().map(|one| (one.id.as_str(), one.left.len())).collect();
    assert_eq!(found, [("vm-dead", 0), ("vm-reused", 0)]);
    assert_eq!(store.machines().await.unwrap(), [rows[0].clone()]);
    assert!(!socket.exists());
    stray.wait().unwrap();
    assert!(living.try_wait().unwrap().is_none());
    assert_eq!(collect(store, &scratch).await.unwrap(), []);
    living.kill().unwrap();
    living.wait().unwrap();
    assert_eq!(collect(store, &scratch).await.unwrap().len(), 1);
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_removed_keeps_its_lease() {
    let server = Server::start().await;
    let row = row("vm-1", "1@1@x", "nonsense");
    server.store.admit_machine(&row, 1000).await.unwrap();
    let collected = collect(&server.store, server.folder.path()).await.unwrap();
    assert_eq!(collected[0].left, ["`nonsense` names nothing that a machine leaves"]);
    assert_eq!(server.store.machines().await.unwrap().len(), 1);
    server.store.remove_machine("vm-1", "1@1@x").await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_full_host_refuses_until_dead_owners_leases_are_collected() {
    let server = Server::start().await;
    // More than any host has.
    let all = u32::MAX / 4;
    let dead = MachineRow { memory_mib: all, ..row("vm-dead", "1@1@x", "") };
    server.store.admit_machine(&dead, u64::MAX).await.unwrap();
    let id = server.machine().await;
    let own = ProcessIdentity::own().unwrap().to_string();
    let living = MachineRow { memory_mib: all, ..row("vm-living", &own, "") };
    server.store.admit_machine(&living, u64::MAX).await.unwrap();
    let (status, error) = server.post("/api/vms", &json!({})).await.error();
    assert_eq!(status, 503);
    assert!(error.starts_with("there is no memory for a machine of 128 MiB: machines have "), "{error}");
    server.store.remove_machine("vm-living", &own).await.unwrap();
    server.call(Method::DELETE, &format!("/api/vms/{id}"), "").await;
    server.stop().await;
}

#[tokio::test]
async fn a_machine_ends_at_the_end_of_its_time() {
    let server = Server::start().await;
    let size = machine::Size { vcpus: 1, memory_mib: 64 };
    let wanted = server::machines::Wanted { name: None, kind: None, size };
    let lifetime = Some(std::time::Duration::from_millis(50));
    let made = server.machines.create(wanted, lifetime).await.unwrap();
    assert!(made.id.starts_with("vm-"));
    server.machines.until_empty().await;
    until(|| server.machines.list().is_empty()).await;
    server.stop().await;
}

#[tokio::test]
async fn a_server_whose_store_is_gone_ends_all_the_same() {
    let server = Server::start().await;
    server.machine().await;
    std::fs::remove_file(server.folder.path().join("store.sqlite")).unwrap();
    std::fs::create_dir(server.folder.path().join("store.sqlite")).unwrap();
    server.machines.end().await;
    assert!(server.machines.list().is_empty());
}
