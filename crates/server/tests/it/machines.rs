//! Machines that are made, seen and removed.

use hyper::{Method, StatusCode};
use serde_json::json;

use crate::fixture::Server;

#[tokio::test]
async fn a_machine_is_made_seen_and_removed_once() {
    let server = Server::start().await;
    assert_eq!(server.get("/api/vms").await.json(), json!({"vms": []}));
    let body = json!({"name": "one", "vm_type": "focal", "vcpus": 2, "memory_mb": 64});
    let made = server.post("/api/vms", &body).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let made = made.json();
    let id = made["id"].as_str().unwrap();
    assert!(id.starts_with("vm-"), "{id}");
    let expected = json!({
        "id": id, "name": "one", "status": "running", "state": "ready", "vm_type": "focal", "vcpus": 2,
        "memory_mb": 64, "created_at": made["created_at"],
    });
    assert_eq!(made, expected);
    assert_eq!(server.get("/api/vms").await.json(), json!({"vms": [expected]}));
    assert_eq!(server.get(&format!("/api/vms/{id}")).await.json(), expected);
    let path = format!("/api/vms/{id}");
    let removed = server.call(Method::DELETE, &path, "").await;
    assert_eq!((removed.status, removed.body.len()), (StatusCode::NO_CONTENT, 0));
    let missing = (404, format!("there is no machine `{id}`"));
    assert_eq!(server.call(Method::DELETE, &path, "").await.error(), missing);
    assert_eq!(server.get(&path).await.error(), missing);
    server.stop().await;
}

#[tokio::test]
async fn machines_are_many_at_once_and_all_end_with_the_server() {
    let server = Server::start().await;
    let made = futures_util::future::join_all((0..6).map(|_| server.machine())).await;
    let listed = server.get("/api/vms").await.json();
    assert_eq!(listed["vms"].as_array().unwrap().len(), 6);
    let removals = made[..2].iter().flat_map(|id| [id, id]);
    let removals = removals.map(|id| server_delete(&server, id));
    let statuses = futures_util::future::join_all(removals).await;
    for pair in statuses.chunks(2) {
        // Two at once: one of them is the first.
        let mut pair = pair.to_vec();
        pair.sort_unstable();
        assert_eq!(pair, [204, 404]);
    }
    server.stop().await;
}

async fn server_delete(server: &Server, id: &str) -> u16 {
    server.call(Method::DELETE, &format!("/api/vms/{id}"), "").await.status.as_u16()
}

#[tokio::test]
async fn what_is_asked_wrongly_is_refused() {
    let server = Server::start().await;
    let check = async |method: Method, path: &str, body: &str, expected: (u16, &str)| {
        let (status, error) = server.call(method.clone(), path, body).await.error();
        assert_eq!((status, error.as_str()), expected, "{method} {path} {body}");
    };
    check(Method::POST, "/api/vms", r#"{"vcpus": 0}"#, (400, "`vcpus` must be between 1 and 64")).await;
    let shape = "the body is not as it should be: ";
    let syntax = format!("{shape}key must be a string at line 1 column 2");
    check(Method::POST, "/api/vms", "{nonsense", (400, &syntax)).await;
    let kind = format!("{shape}invalid type: string \"two\", expected u32 at line 1 column 15");
    check(Method::POST, "/api/vms", r#"{"vcpus": "two"}"#, (400, &kind)).await;
    check(Method::PATCH, "/api/vms", "", (405, "this address does not take PATCH")).await;
    check(Method::DELETE, "/api/vms", "", (405, "this address does not take DELETE")).await;
    check(Method::GET, "/api/llm/execute", "", (405, "this address does not take GET")).await;
    check(Method::GET, "/", "", (404, "there is nothing at this address")).await;
    check(Method::GET, "/api/vms/", "", (404, "there is nothing at this address")).await;
    check(Method::GET, "/api/vms/%ff", "", (404, "there is nothing at this address")).await;
    check(Method::GET, "/api/vms/..%2f..", "", (404, "there is no machine `../..`")).await;
    server.stop().await;
}

#[tokio::test]
async fn a_machine_that_is_too_large_for_the_host_is_refused() {
    let server = Server::start().await;
    let answer = server.post("/api/vms", &json!({"memory_mb": 1_048_576})).await;
    let (status, error) = answer.error();
    assert_eq!(status, 503);
    assert!(error.starts_with("there is no memory for a machine of 1048576 MiB: the host has "), "{error}");
    assert!(answer.headers.contains_key("retry-after"));
    assert_eq!(server.store.machines().await.unwrap(), []);
    server.stop().await;
}

#[tokio::test]
async fn a_machine_that_cannot_be_made_leaves_nothing() {
    let change = |settings: &mut server::machines::Settings| {
        settings.spec.agent.program = "/no/such/agent".into();
        settings.backend = std::sync::Arc::new(machine::host::Host);
    };
    let server = Server::start_with(change, std::time::Duration::from_secs(30), None).await;
    let (status, error) = server.post("/api/vms", &json!({})).await.error();
    assert_eq!(status, 503);
    assert!(error.starts_with("cannot make the machine `vm-"), "{error}");
    assert!(error.contains("cannot start `/no/such/agent`"), "{error}");
    assert_eq!(server.get("/api/vms").await.json(), json!({"vms": []}));
    server.stop().await;
}

#[tokio::test]
async fn machines_without_snapshots_say_so() {
    let server = Server::start().await;
    let id = server.machine().await;
    let snapshots = format!("/api/vms/{id}/snapshots");
    let (status, error) = server.post(&snapshots, &json!({"name": "before"})).await.error();
    assert_eq!(status, 409);
    assert!(error.contains("have no snapshots of memory"), "{error}");
    assert_eq!(server.get(&snapshots).await.json(), json!({"snapshots": []}));
    let back = server.post(&format!("/api/vms/{id}/rollback/snap-1"), &json!({})).await;
    assert_eq!(back.error(), (404, "there is no snapshot `snap-1` of this machine".to_owned()));
    assert_eq!(server.get("/api/vms/vm-0/snapshots").await.error().0, 404);
    assert_eq!(server.post("/api/vms/vm-0/snapshots", &json!({})).await.error().0, 404);
    server.stop().await;
}

#[tokio::test]
async fn a_machine_that_is_lost_says_so() {
    let server = Server::start().await;
    let id = server.machine().await;
    let mark = format!("{}", 9_100_000 + std::process::id());
    let code = json!({
        "agent_id": "a", "vm_id": id, "language": "sh", "code": format!("sleep {mark} & wait"),
    });
    let killing = async {
        crate::fixture::until(|| crate::fixture::processes_with(&format!("sleep {mark} & wait")) > 0).await;
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            if String::from_utf8_lossy(&command).contains(&format!("sleep {mark} & wait")) {
                let status = std::fs::read_to_string(entry.path().join("status")).unwrap();
                let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
                let parent = rustix::process::Pid::from_raw(parent.trim().parse().unwrap()).unwrap();
                rustix::process::kill_process(parent, rustix::process::Signal::KILL).unwrap();
            }
        }
    };
    let (answer, ()) = tokio::join!(server.post("/api/llm/execute", &code), killing);
    let (status, error) = answer.error();
    assert_eq!(status, 503);
    assert!(error.contains("the machine was lost"), "{error}");
    // The machine is told of before its caller.
    let seen = server.get(&format!("/api/vms/{id}")).await.json();
    assert_eq!(seen["status"], "failed");
    assert!(seen["error"].as_str().is_some(), "{seen}");
    let after = server.post("/api/llm/execute", &code).await.error();
    assert_eq!(after, (409, "a machine that is failed cannot execute anything".to_owned()));
    server.stop().await;
}
