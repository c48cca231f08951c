//! Calls to a machine's owner over its Unix socket.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use server::attach;
use tokio::net::UnixStream;

use crate::failure::{Exit, Failure};

/// Longest answer, in bytes.
const MAX_ANSWER: usize = 16 << 20;

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::new(Exit::Usage, error).while_doing("cannot speak with the machine's owner")
}

async fn connect(endpoint: &str) -> Result<http1::SendRequest<Full<Bytes>>, Failure> {
    let stream = UnixStream::connect(endpoint).await.map_err(|error| {
        failed(error).with_help("`firedog machine gc` removes what machines of dead processes left")
    })?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    // Its end is seen by whoever waits for the answer.
    tokio::spawn(connection.with_upgrades());
    Ok(sender)
}

/// Sends a request; the answer's body, which is null where there is none. A refusal is a failure.
pub(super) async fn call(endpoint: &str, method: Method, path: &str, body: &Value) -> Result<Value, Failure> {
    let request = Request::builder().method(method).uri(path).header(HOST, "localhost");
    let request = request.body(Full::new(Bytes::from(body.to_string()))).map_err(failed)?;
    let response = connect(endpoint).await?.send_request(request).await.map_err(failed)?;
    read(response).await
}

async fn read(response: Response<hyper::body::Incoming>) -> Result<Value, Failure> {
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
    let body = body.map_err(|error| Failure::usage(format!("cannot read the owner's answer: {error}")))?;
    let body: Value = match body.to_bytes() {
        bytes if bytes.is_empty() => Value::Null,
        bytes => serde_json::from_slice(&bytes).map_err(failed)?,
    };
    if status.is_success() {
        return Ok(body);
    }
    let cause = body["error"].as_str().unwrap_or("the owner refused without a reason").to_owned();
    Err(match status {
        StatusCode::SERVICE_UNAVAILABLE => Failure::missing(cause),
        _ => Failure::usage(cause),
    })
}

/// The stream to a process of a machine, before the process is started.
pub(super) async fn attach(endpoint: &str, machine: &str) -> Result<TokioIo<Upgraded>, Failure> {
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("/api/vms/{machine}/processes"))
        .header(HOST, "localhost")
        .header(CONNECTION, "upgrade")
        .header(UPGRADE, attach::UPGRADE)
        .body(Full::default())
        .map_err(failed)?;
    let response = connect(endpoint).await?.send_request(request).await.map_err(failed)?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        read(response).await?;
        return Err(Failure::usage("the machine's owner does not know how to attach to a process"));
    }
    Ok(TokioIo::new(hyper::upgrade::on(response).await.map_err(failed)?))
}
