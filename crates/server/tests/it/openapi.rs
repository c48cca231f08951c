//! The interface's description against the interface.

use std::collections::BTreeSet;

use hyper::Method;
use serde_json::{Value, json};

use crate::fixture::Server;

/// The methods and paths of the document.
fn operations(document: &Value) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        let names = operations.as_object().unwrap().keys().filter(|name| *name != "parameters");
        found.extend(names.map(|name| (name.to_uppercase(), path.clone())));
    }
    found
}

#[tokio::test]
async fn the_document_has_the_routes_and_no_others() {
    let server = Server::start().await;
    let document = server.get("/openapi.json").await.json();
    let described = operations(&document);
    for path in document["paths"].as_object().unwrap().keys() {
        let concrete = path.replace("{id}", "vm-0").replace("{snapshot_id}", "snap-0");
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
            let answer = server.call(method.clone(), &concrete, "").await;
            let is_described = described.contains(&(method.to_string(), path.clone()));
            assert_eq!(answer.status != 405, is_described, "{method} {path}: {}", answer.status);
            if is_described {
                let operation = &document["paths"][path][method.as_str().to_lowercase()];
                let status = answer.status.as_u16().to_string();
                assert!(operation["responses"].get(&status).is_some(), "{method} {path}: {status}");
            }
        }
    }
    let routes: BTreeSet<String> = server::machines::routes::paths().map(str::to_owned).collect();
    let paths: BTreeSet<String> = described.into_iter().map(|(_, path)| path).collect();
    assert_eq!(paths, routes);
    server.stop().await;
}

/// Whether an object has the keys that a schema of the document requires, and no unknown ones.
fn check(document: &Value, schema: &str, object: &Value) {
    let schema = &document["components"]["schemas"][schema];
    let required = schema["required"].as_array().unwrap().iter().map(|key| key.as_str().unwrap());
    let object = object.as_object().unwrap();
    for key in required {
        assert!(object.contains_key(key), "{key} is missing: {object:?}");
    }
    for key in object.keys() {
        assert!(schema["properties"].get(key).is_some(), "{key} is not described");
    }
}

#[tokio::test]
async fn answers_are_as_described() {
    let server = Server::start().await;
    let document = server::machines::openapi::document();
    check(&document, "Health", &server.get("/health").await.json());
    let id = server.machine().await;
    check(&document, "Machine", &server.get(&format!("/api/vms/{id}")).await.json());
    let body = json!({"agent_id": "a", "language": "sh", "code": "true", "vm_id": id});
    check(&document, "Execution", &server.post("/api/llm/execute", &body).await.json());
    server.stop().await;
}

#[tokio::test]
async fn the_limits_are_as_described() {
    let server = Server::start().await;
    let document = server::machines::openapi::document();
    let schemas = &document["components"]["schemas"];
    let limit =
        |schema: &str, key: &str, kind: &str| schemas[schema]["properties"][key][kind].as_u64().unwrap();
    let is_refused = async |path: &str, body: Value| server.post(path, &body).await.status != 201;
    for (key, kind, beyond) in [
        ("vcpus", "minimum", -1),
        ("vcpus", "maximum", 1),
        ("memory_mb", "minimum", -1),
        ("memory_mb", "maximum", 1),
    ] {
        let value = limit("NewMachine", key, kind).checked_add_signed(beyond).unwrap();
        let answer = server.post("/api/vms", &json!({ key: value })).await;
        assert_eq!(answer.status, 400, "{key} {kind}");
    }
    assert!(
        !is_refused(
            "/api/vms",
            json!({"name": "x".repeat(limit("NewMachine", "name", "maxLength") as usize)})
        )
        .await
    );
    assert!(
        is_refused(
            "/api/vms",
            json!({"name": "x".repeat(limit("NewMachine", "name", "maxLength") as usize + 1)})
        )
        .await
    );
    for (key, value) in [
        ("code", json!("x".repeat(limit("NewExecution", "code", "maxLength") as usize + 1))),
        ("timeout_seconds", json!(limit("NewExecution", "timeout_seconds", "maximum") + 1)),
        ("timeout_seconds", json!(limit("NewExecution", "timeout_seconds", "minimum") - 1)),
    ] {
        let mut body = json!({"agent_id": "a", "language": "sh", "code": ""});
        body[key] = value;
        let status = server.post("/api/llm/execute", &body).await.status;
        assert!(status == 400 || status == 413, "{key}: {status}");
    }
    for language in schemas["NewExecution"]["properties"]["language"]["enum"].as_array().unwrap() {
        let body = json!({"agent_id": "a", "language": language, "code": ""});
        assert_eq!(server.post("/api/llm/execute", &body).await.status, 200, "{language}");
    }
    server.stop().await;
}
