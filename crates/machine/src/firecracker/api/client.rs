//! HTTP over Firecracker's Unix socket: one connection, one request at a time, answers bounded in size and time.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::task::AbortHandle;

use super::action::Action;
use super::bodies::Fault;
use super::{ApiError, Deadlines};

/// Longest body of an answer, in bytes. A balloon's statistics, the longest that is asked for, take less than one KiB.
const MAX_ANSWER: usize = 64 * 1024;

/// Longest head of an answer, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// Most of a fault's text that is quoted, in characters.
const MAX_FAULT: usize = 1000;

/// A connection to the API.
#[derive(Debug)]
pub(super) struct Client {
    sender: SendRequest<Full<Bytes>>,
    connection: AbortHandle,
    deadlines: Deadlines,
}

impl Client {
    /// Connects to the socket at `socket`; `named` is what an error calls it.
    pub(super) async fn connect(
        socket: &Path,
        named: PathBuf,
        deadlines: Deadlines,
    ) -> Result<Self, ApiError> {
        let stream = UnixStream::connect(socket)
            .await
            .map_err(|source| ApiError::Connect { socket: named.clone(), source })?;
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_HEAD)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|source| ApiError::Handshake { socket: named, source })?;
        // What ends it ends the request that is under way as well, which reports it.
        let connection = tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender, connection: connection.abort_handle(), deadlines })
    }

    /// Sends a request and returns the body of an answer that tells of success.
    pub(super) async fn send(&mut self, action: &Action) -> Result<Bytes, ApiError> {
        let deadline = action.deadline(&self.deadlines);
        let (status, body) = match tokio::time::timeout(deadline, self.exchange(action)).await {
            Ok(answer) => answer?,
            Err(_) => {
                return Err(ApiError::Silent { action: action.to_string(), seconds: deadline.as_secs() });
            }
        };
        if status.is_success() {
            return Ok(body);
        }
        let (action, fault) = (action.to_string(), fault(&body));
        match status {
            StatusCode::BAD_REQUEST => Err(ApiError::Refused { action, fault }),
            _ => Err(ApiError::Failed { action, status: status.as_u16(), fault }),
        }
    }

    async fn exchange(&mut self, action: &Action) -> Result<(StatusCode, Bytes), ApiError> {
        let broken = |source| ApiError::Broken { action: action.to_string(), source };
        let wire = action.wire();
        let mut request = Request::builder()
            .method(wire.method)
            .uri(wire.path)
            .header(header::HOST, "localhost")
            .header(header::ACCEPT, "application/json");
        if !wire.body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::from(wire.body)).expect("every action makes a legal request");
        self.sender.ready().await.map_err(broken)?;
        let response: Response<hyper::body::Incoming> =
            self.sender.send_request(request).await.map_err(broken)?;
        let status = response.status();
        match Limited::new(response.into_body(), MAX_ANSWER).collect().await {
            Ok(body) => Ok((status, body.to_bytes())),
            Err(error) if error.is::<LengthLimitError>() => {
                Err(ApiError::Oversized { action: action.to_string(), limit: MAX_ANSWER })
            }
            Err(error) => match error.downcast::<hyper::Error>() {
                Ok(source) => Err(broken(*source)),
                Err(other) => {
                    Err(ApiError::Garbage { action: action.to_string(), reason: other.to_string() })
                }
            },
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// What an answer says went wrong: its fault message, or what it holds instead; printable, and not longer than is quoted.
fn fault(body: &[u8]) -> String {
    let text = match serde_json::from_slice(body) {
        Ok(Fault { fault_message }) => fault_message,
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    let text = text.trim();
    if text.is_empty() {
        return "it does not say why".to_owned();
    }
    let printable = |character: char| if character.is_control() { ' ' } else { character };
    text.chars().take(MAX_FAULT).map(printable).collect()
}

#[cfg(test)]
mod tests {
    use super::{MAX_FAULT, fault};

    fn check(body: &str, expected: &str) {
        assert_eq!(fault(body.as_bytes()), expected, "{body:?}");
    }

    #[test]
    fn a_fault_is_quoted_whatever_it_is() {
        check(r#"{"fault_message": "The kernel file cannot be opened"}"#, "The kernel file cannot be opened");
        check(r#"{"fault_message": "two\nlines"}"#, "two lines");
        check("<html>", "<html>");
        check("", "it does not say why");
        check(r#"{"fault_message": ""}"#, "it does not say why");
        check(r#"{"fault_message": 3}"#, r#"{"fault_message": 3}"#);
        assert_eq!(fault("\u{1b}[2J".repeat(3000).as_bytes()).chars().count(), MAX_FAULT);
        assert!(!fault("\u{1b}[2J".as_bytes()).contains('\u{1b}'));
    }
}
