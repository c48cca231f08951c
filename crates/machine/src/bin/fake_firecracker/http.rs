//! As much of HTTP as Firecracker speaks.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};

/// Longest body, as the real one has it.
const MAX_BODY: usize = 51_200;

pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) body: Vec<u8>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Option<Value>,
}

impl Answer {
    pub(crate) fn done() -> Self {
        Self { status: 204, body: None }
    }

    pub(crate) fn with(body: Value) -> Self {
        Self { status: 200, body: Some(body) }
    }

    pub(crate) fn fault(status: u16, message: impl Into<String>) -> Self {
        Self { status, body: Some(json!({ "fault_message": message.into() })) }
    }
}

pub(crate) struct Connection(BufReader<UnixStream>);

impl Connection {
    pub(crate) fn new(stream: UnixStream) -> Self {
        Self(BufReader::new(stream))
    }

    /// The next request; `None` where the client has gone.
    pub(crate) fn request(&mut self) -> io::Result<Option<Request>> {
        let line = self.line()?;
        if line.is_empty() {
            return Ok(None);
        }
        let wrong = |what: &str| io::Error::other(format!("{what}: {line}"));
        let mut words = line.split(' ');
        let (Some(method), Some(path), Some("HTTP/1.1")) = (words.next(), words.next(), words.next()) else {
            return Err(wrong("no request line"));
        };
        let (mut length, mut has_host) = (0, false);
        loop {
            let header = self.line()?;
            if header.is_empty() {
                break;
            }
            let (name, value) = header.split_once(':').ok_or_else(|| wrong("no header"))?;
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().map_err(|_| wrong("no length"))?,
                "host" => has_host = true,
                "transfer-encoding" | "expect" => {
                    return Err(wrong("the real one does not know this header"));
                }
                _ => {}
            }
        }
        if length > MAX_BODY || !has_host {
            return Err(wrong("it is too long or names no host"));
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        Ok(Some(Request { method: method.to_owned(), path: path.to_owned(), body }))
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        Ok(line.trim_end_matches("\r\n").to_owned())
    }

    pub(crate) fn answer(&mut self, answer: &Answer) -> io::Result<()> {
        let body = answer.body.as_ref().map(Value::to_string).unwrap_or_default();
        let head = match answer.status {
            204 => "HTTP/1.1 204 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n\r\n".to_owned(),
            status => format!(
                "HTTP/1.1 {status} \r\nServer: Firecracker API\r\nConnection: keep-alive\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                body.len()
            ),
        };
        self.raw(format!("{head}{body}").as_bytes())
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }
}
