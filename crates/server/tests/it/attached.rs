//! Callers that are attached to a process.

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use machine::{ExitStatus, TerminalSize};
use server::attach::{FromProcess, PIPELINE, Start, ToProcess, UPGRADE};
use tokio::io::{ReadHalf, WriteHalf};
use tokio::net::TcpStream;

use crate::fixture::{Server, processes_with, until};

/// The stream to a process.
struct Attached {
    reader: ReadHalf<TokioIo<Upgraded>>,
    writer: WriteHalf<TokioIo<Upgraded>>,
}

impl Attached {
    async fn start(server: &Server, id: &str, script: &str, terminal: Option<(u16, u16)>) -> Self {
        let stream = TcpStream::connect(server.address).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection.with_upgrades());
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("/api/vms/{id}/processes"))
            .header("authorization", format!("Bearer {}", server.token()))
            .header("connection", "upgrade")
            .header("upgrade", UPGRADE)
            .body(Empty::<Bytes>::new())
            .unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        let upgraded = hyper::upgrade::on(response).await.unwrap();
        let (reader, writer) = tokio::io::split(TokioIo::new(upgraded));
        let mut attached = Self { reader, writer };
        let argv = ["bash", "-c", script].map(str::to_owned).to_vec();
        let env = vec![("TERM".to_owned(), "xterm".to_owned())];
        attached.send(ToProcess::Start(Start { argv, env, working_dir: None, terminal })).await;
        attached
    }

    async fn send(&mut self, frame: ToProcess) {
        frame.write(&mut self.writer).await.unwrap();
    }

    async fn next(&mut self) -> Option<FromProcess> {
        FromProcess::read(&mut self.reader).await.unwrap()
    }

    /// All output, with how many inputs were taken, and the last frame.
    async fn finish(&mut self) -> (String, usize, FromProcess) {
        let (mut text, mut taken) = (Vec::new(), 0);
        loop {
            match self.next().await.expect("there is a last frame") {
                FromProcess::Started => {}
                FromProcess::Taken => taken += 1,
                FromProcess::Stdout(bytes) | FromProcess::Stderr(bytes) => text.extend_from_slice(&bytes),
                last => return (String::from_utf8(text).unwrap(), taken, last),
            }
        }
    }
}

fn input(text: &'static str) -> ToProcess {
    ToProcess::Input(Bytes::from_static(text.as_bytes()))
}

#[tokio::test]
async fn input_goes_in_and_output_and_the_exit_code_come_out() {
    let server = Server::start().await;
    let id = server.machine().await;
    let mut attached = Attached::start(&server, &id, "cat; echo $TERM >&2; exit 7", None).await;
    assert_eq!(attached.next().await, Some(FromProcess::Started));
    attached.send(input("one\n")).await;
    attached.send(input("two\n")).await;
    attached.send(ToProcess::EndInput).await;
    let (text, _, last) = attached.finish().await;
    assert_eq!((text.as_str(), last), ("one\ntwo\nxterm\n", FromProcess::Exited(ExitStatus::Code(7))));
    assert_eq!(server.get(&format!("/api/vms/{id}")).await.json()["state"], "ready");
    server.stop().await;
}

#[tokio::test]
async fn a_terminal_has_a_size_that_changes() {
    let server = Server::start().await;
    let id = server.machine().await;
    let script = "trap 'stty size; exit 3' WINCH; stty size; while :; do sleep 0.01; done";
    let mut attached = Attached::start(&server, &id, script, Some((20, 70))).await;
    assert_eq!(attached.next().await, Some(FromProcess::Started));
    assert_eq!(attached.next().await, Some(FromProcess::Stdout("20 70\r\n".into())));
    attached.send(ToProcess::Resize(TerminalSize { rows: 30, columns: 90 })).await;
    let (text, _, last) = attached.finish().await;
    assert_eq!((text.as_str(), last), ("30 90\r\n", FromProcess::Exited(ExitStatus::Code(3))));
    server.stop().await;
}

#[tokio::test]
async fn a_caller_that_leaves_ends_the_process_also_when_it_does_not_read() {
    let server = Server::start().await;
    let id = server.machine().await;
    let mark = format!("{}", 5_500_000 + std::process::id());
    let mut attached = Attached::start(&server, &id, &format!("exec sleep {mark}"), None).await;
    assert_eq!(attached.next().await, Some(FromProcess::Started));
    for _ in 0..PIPELINE {
        attached.send(ToProcess::Input(vec![b'x'; 60_000].into())).await;
    }
    until(|| processes_with(&mark) == 1).await;
    drop(attached);
    until(|| processes_with(&mark) == 0).await;
    server.stop().await;
}

#[tokio::test]
async fn a_caller_that_does_not_keep_to_the_protocol_is_left() {
    let server = Server::start().await;
    let id = server.machine().await;
    let mark = format!("{}", 5_600_000 + std::process::id());
    let mut attached = Attached::start(&server, &id, &format!("exec sleep {mark}"), None).await;
    assert_eq!(attached.next().await, Some(FromProcess::Started));
    for _ in 0..20 {
        // The connection may have been closed by now.
        let _ = ToProcess::Input(vec![b'x'; 64_000].into()).write(&mut attached.writer).await;
    }
    until(|| processes_with(&mark) == 0).await;
    let mut garbage = Attached::start(&server, &id, &format!("exec sleep {mark}"), None).await;
    assert_eq!(garbage.next().await, Some(FromProcess::Started));
    tokio::io::AsyncWriteExt::write_all(&mut garbage.writer, &[255; 100]).await.unwrap();
    until(|| processes_with(&mark) == 0).await;
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_started_says_why() {
    let server = Server::start().await;
    let id = server.machine().await;
    let mut attached = Attached::start(&server, &id, "a\0b", None).await;
    assert!(matches!(attached.next().await, Some(FromProcess::Failed(_))));
    let answer = server.call(Method::POST, &format!("/api/vms/{id}/processes"), "").await;
    assert_eq!(answer.error(), (400, format!("`Upgrade` must be {UPGRADE}")));
    let missing = server.call(Method::POST, "/api/vms/vm-0/processes", "").await;
    assert_eq!(missing.error().0, 404);
    assert_eq!(server.get(&format!("/api/vms/{id}")).await.json()["state"], "ready");
    server.stop().await;
}
