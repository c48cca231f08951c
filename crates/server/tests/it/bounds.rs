//! Callers that send too much or too slowly.

use std::time::Duration;

use hyper::{Method, StatusCode};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::fixture::Server;

const SHORT: Duration = Duration::from_millis(200);

/// Sends bytes on a connection of its own and reads until the server closes it.
async fn say(server: &Server, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // A server that gives up with bytes unread resets the connection; what came before counts.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_announced_or_not() {
    let server = Server::start().await;
    let long = json!({"name": "x".repeat(2 << 20)});
    let answer = server.post("/api/vms", &long).await;
    assert_eq!(answer.error(), (413, "the body is longer than 1048576 bytes".to_owned()));
    let bearer = format!("Bearer {}", server.token());
    let head = format!("POST /api/vms HTTP/1.1\r\nhost: x\r\nauthorization: {bearer}\r\n");
    // Refused before it comes.
    let announced = say(&server, format!("{head}content-length: 99999999999\r\n\r\n").as_bytes()).await;
    assert!(announced.starts_with("HTTP/1.1 413"), "{announced}");
    let mut chunked = format!("{head}transfer-encoding: chunked\r\n\r\n").into_bytes();
    for _ in 0..20 {
        chunked.extend_from_slice(b"10000\r\n");
        chunked.extend_from_slice(&[b' '; 0x10000]);
        chunked.extend_from_slice(b"\r\n");
    }
    let endless = say(&server, &chunked).await;
    assert!(endless.starts_with("HTTP/1.1 413"), "{endless}");
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_given_up() {
    let change = |settings: &mut server::machines::Settings| settings.body_deadline = SHORT;
    let server = Server::start_with(change, Duration::from_secs(30), None).await;
    let bearer = format!("Bearer {}", server.token());
    let head = format!(
        "POST /api/vms HTTP/1.1\r\nhost: x\r\nauthorization: {bearer}\r\ncontent-length: 10\r\n\r\n{{"
    );
    let answer = say(&server, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("the body did not arrive within"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn a_caller_that_sends_its_headers_slowly_is_left_and_holds_up_nobody() {
    let server = Server::start_with(|_| {}, SHORT, None).await;
    let mut slow = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"GET /health HTTP/1.1\r\nx: ").await.unwrap();
        slow.push(stream);
    }
    assert_eq!(server.request(Method::GET, "/health", &[], "").await.status, StatusCode::OK);
    for mut stream in slow {
        // The end of the connection, or an answer and then the end.
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    }
    assert_eq!(say(&server, b"").await, "");
    server.stop().await;
}

#[tokio::test]
async fn what_is_no_http_is_answered_or_left() {
    let server = Server::start().await;
    for bytes in [&b"\x16\x03\x01\x02\x00\x01\x00"[..], b"nonsense\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"] {
        let answer = say(&server, bytes).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    let long = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(100_000));
    let answer = say(&server, long.as_bytes()).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    let many: String = (0..500).map(|number| format!("x{number}: y\r\n")).collect();
    let answer = say(&server, format!("GET /health HTTP/1.1\r\n{many}\r\n").as_bytes()).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    server.stop().await;
}
