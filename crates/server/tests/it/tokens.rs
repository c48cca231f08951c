//! Who is let in.

use std::time::Duration;

use hyper::{Method, StatusCode};
use server::jwt::Key;

use crate::fixture::{SECRET, Server, now};

async fn check(server: &Server, headers: &[(&str, &str)], expected: Result<(), &str>) {
    let answer = server.request(Method::GET, "/api/vms", headers, "").await;
    match expected {
        Ok(()) => assert_eq!(answer.status, StatusCode::OK, "{headers:?}"),
        Err(reason) => {
            let expected = (401, format!("a valid bearer token is needed: {reason}"));
            assert_eq!(answer.error(), expected, "{headers:?}");
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
        }
    }
}

#[tokio::test]
async fn only_valid_tokens_are_let_in() {
    let server = Server::start().await;
    let key = Key::new(SECRET, None).unwrap();
    let bearer = |token: &str| format!("Bearer {token}");
    let valid = bearer(server.token());
    check(&server, &[("authorization", &valid)], Ok(())).await;
    check(&server, &[("authorization", &valid.replace("Bearer", "bearer"))], Ok(())).await;
    let none = Err("there is none");
    check(&server, &[], none).await;
    check(&server, &[("authorization", server.token())], none).await;
    check(&server, &[("authorization", "Basic dXNlcjpwYXNz")], none).await;
    check(&server, &[("authorization", &valid), ("authorization", &valid)], none).await;
    let expired = bearer(&key.sign(now() - 1));
    check(&server, &[("authorization", &expired)], Err("the token has expired")).await;
    let other = Key::new(b"another secret of thirty-two bytes", None).unwrap();
    let forged = bearer(&other.sign(now() + 1000));
    check(&server, &[("authorization", &forged)], Err("the token's signature is wrong")).await;
    // {"alg":"none"} and {"exp":9999999999}
    let unsigned = "Bearer eyJhbGciOiJub25lIn0.eyJleHAiOjk5OTk5OTk5OTl9.";
    check(&server, &[("authorization", unsigned)], Err("the token is not signed by HS256")).await;
    let everywhere = [
        (Method::GET, "/api/vms"),
        (Method::POST, "/api/vms"),
        (Method::GET, "/api/vms/vm-1"),
        (Method::DELETE, "/api/vms/vm-1"),
        (Method::POST, "/api/llm/execute"),
        (Method::POST, "/api/llm/execute/stream"),
        (Method::POST, "/api/vms/vm-1/processes"),
        (Method::GET, "/openapi.json"),
        (Method::GET, "/nowhere"),
        (Method::GET, "/health/"),
        (Method::PATCH, "/api/vms"),
    ];
    for (method, path) in everywhere {
        let answer = server.request(method.clone(), path, &[], "{}").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path}");
    }
    server.stop().await;
}

#[tokio::test]
async fn tokens_are_for_the_configured_audience() {
    let server = Server::start_with(|_| {}, Duration::from_secs(30), Some("machines")).await;
    check(&server, &[("authorization", &format!("Bearer {}", server.token()))], Ok(())).await;
    let without = Key::new(SECRET, None).unwrap().sign(now() + 1000);
    let reason = Err("the token is for another audience");
    check(&server, &[("authorization", &format!("Bearer {without}"))], reason).await;
    server.stop().await;
}

#[tokio::test]
async fn health_needs_no_token() {
    let server = Server::start().await;
    let answer = server.request(Method::GET, "/health", &[], "").await;
    let health = answer.json();
    assert_eq!((&health["service"], &health["status"]), (&"firedog".into(), &"healthy".into()));
    assert!(health["timestamp"].as_str().unwrap().ends_with('Z'), "{health}");
    server.stop().await;
}
