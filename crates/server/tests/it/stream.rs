//! Code whose output arrives while it runs.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::fixture::{Server, processes_with, until};

/// A stream of events under way.
struct Events {
    body: hyper::body::Incoming,
    text: String,
}

impl Events {
    async fn start(server: &Server, path: &str, accept: &str, body: &Value) -> Self {
        let stream = TcpStream::connect(server.address).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header("accept", accept)
            .header("authorization", format!("Bearer {}", server.token()))
            .body(Full::new(Bytes::from(body.to_string())))
            .unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { body: response.into_body(), text: String::new() }
    }

    /// The next event's name and data; comments are left out.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                if event.starts_with(':') {
                    continue;
                }
                let (name, data) = event.split_once('\n').unwrap();
                let data = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
                return Some((name.strip_prefix("event: ").unwrap().to_owned(), data));
            }
            let frame = self.body.frame().await?.unwrap();
            self.text.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
        }
    }

    /// The text of `stdout` and `stderr`, and the last event.
    async fn finish(mut self) -> (String, String, (String, Value)) {
        let (mut stdout, mut stderr) = (String::new(), String::new());
        loop {
            let (name, data) = self.next().await.expect("there is a last event");
            match name.as_str() {
                "stdout" => stdout.push_str(data["text"].as_str().unwrap()),
                "stderr" => stderr.push_str(data["text"].as_str().unwrap()),
                _ => {
                    assert_eq!(self.next().await, None);
                    return (stdout, stderr, (name, data));
                }
            }
        }
    }
}

fn code(text: &str) -> Value {
    json!({"agent_id": "test", "language": "bash", "code": text})
}

const STREAM: &str = "/api/llm/execute/stream";

#[tokio::test]
async fn output_arrives_while_the_code_runs() {
    let server = Server::start().await;
    let id = server.machine().await;
    let mut body = code("echo one; while ! test -e go; do sleep 0.01; done; echo two >&2; exit 3");
    body["vm_id"] = id.as_str().into();
    let mut events = Events::start(&server, STREAM, "*/*", &body).await;
    assert_eq!(events.next().await, Some(("stdout".to_owned(), json!({"text": "one\n"}))));
    let mut go = code("touch go");
    go["vm_id"] = id.as_str().into();
    assert_eq!(server.post("/api/llm/execute", &go).await.json()["exit_code"], 0);
    let (stdout, stderr, (name, exit)) = events.finish().await;
    assert_eq!((stdout.as_str(), stderr.as_str(), name.as_str()), ("", "two\n", "exit"));
    assert_eq!((&exit["exit_code"], &exit["vm_id"], &exit["error"]), (&json!(3), &json!(id), &Value::Null));
    assert!(exit.get("stdout").is_none());
    server.stop().await;
}

#[tokio::test]
async fn the_accepted_content_type_asks_for_a_stream_too() {
    let server = Server::start().await;
    let accept = "application/json;q=0.5, text/event-stream";
    let events = Events::start(
        &server,
        "/api/llm/execute",
        accept,
        &code("printf '\\303'; sleep 0.05; printf '\\244'"),
    )
    .await;
    let (stdout, _, (name, _)) = events.finish().await;
    assert_eq!((stdout.as_str(), name.as_str()), ("ä", "exit"));
    server.machines.until_empty().await;
    server.stop().await;
}

#[tokio::test]
async fn a_deadline_holds_also_for_a_caller_that_does_not_read() {
    let server = Server::start().await;
    let mark = format!("{}", 5_300_000 + std::process::id());
    let mut body = code(&format!("yes {mark}"));
    body["timeout_seconds"] = 1.into();
    let events = Events::start(&server, STREAM, "*/*", &body).await;
    until(|| processes_with(&mark) > 0).await;
    until(|| processes_with(&mark) == 0).await;
    let (stdout, _, (name, exit)) = events.finish().await;
    assert!(stdout.starts_with(&mark));
    assert_eq!((name.as_str(), &exit["exit_code"]), ("exit", &json!(124)));
    server.stop().await;
}

#[tokio::test]
async fn a_caller_that_leaves_ends_its_code() {
    let server = Server::start().await;
    let mark = format!("{}", 5_400_000 + std::process::id());
    let body = code(&format!("echo up; sleep {mark} & sleep {mark}"));
    let mut events = Events::start(&server, STREAM, "*/*", &body).await;
    events.next().await.unwrap();
    drop(events);
    until(|| processes_with(&mark) == 0).await;
    server.machines.until_empty().await;
    server.stop().await;
}

#[tokio::test]
async fn much_output_arrives_whole() {
    let server = Server::start().await;
    let events = Events::start(&server, STREAM, "*/*", &code("seq 1 300000")).await;
    let (stdout, _, (_, exit)) = events.finish().await;
    assert_eq!(exit["exit_code"], 0);
    assert_eq!(stdout, (1..=300_000).map(|number| format!("{number}\n")).collect::<String>());
    server.stop().await;
}
