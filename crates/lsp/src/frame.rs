//! Messages on a stream of bytes, as the protocol's base layer frames them: headers, an empty line, JSON.
//!
//! Invariant: a peer cannot make this take more memory than [`MAX_MESSAGE`] and [`MAX_HEADER`] say. A message that is too
//! long is read over, so that the next one is found.

use std::io::{self, BufRead, Read, Write};

use lsp_server::Message;
use serde_json::{Value, json};

/// The longest message that is taken, in bytes.
pub(crate) const MAX_MESSAGE: u64 = 32 * 1024 * 1024;
/// The longest line of a header, in bytes.
const MAX_HEADER: u64 = 4096;
/// The most lines of a header.
const MAX_HEADERS: usize = 32;

/// JSON-RPC's code for text that is no JSON.
const PARSE_ERROR: i32 = -32700;
/// JSON-RPC's code for JSON that is no message.
const INVALID_REQUEST: i32 = -32600;

/// What came.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// A message.
    Message(Message),
    /// Something that is none, though it is clear where the next message begins.
    Malformed(Malformed),
}

/// Why something is no message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    /// JSON-RPC's number of the mistake.
    pub(crate) code: i32,
    /// One sentence.
    pub(crate) message: String,
}

/// Why no further message can be read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The stream failed.
    #[error("cannot read from the editor")]
    Read(#[source] io::Error),
    /// A header that does not tell where the message ends.
    #[error("the editor sent a header that is none: {0}")]
    Header(&'static str),
}

/// Reads the next message; `None` at the end of the stream.
pub(crate) fn read(input: &mut impl BufRead) -> Result<Option<Incoming>, FrameError> {
    let Some(length) = read_headers(input)? else { return Ok(None) };
    if length > MAX_MESSAGE {
        io::copy(&mut input.by_ref().take(length), &mut io::sink()).map_err(FrameError::Read)?;
        let message = format!("a message of {length} bytes is longer than {MAX_MESSAGE}");
        return Ok(Some(Incoming::Malformed(Malformed { code: INVALID_REQUEST, message })));
    }
    let mut body = Vec::new();
    let read = input.by_ref().take(length).read_to_end(&mut body).map_err(FrameError::Read)?;
    if u64::try_from(read).is_ok_and(|read| read < length) {
        return Ok(None);
    }
    Ok(Some(decode(&body)))
}

/// The length of the message that follows.
fn read_headers(input: &mut impl BufRead) -> Result<Option<u64>, FrameError> {
    let mut length = None;
    for count in 0..MAX_HEADERS {
        let mut line = Vec::new();
        input.by_ref().take(MAX_HEADER).read_until(b'\n', &mut line).map_err(FrameError::Read)?;
        if line.is_empty() && count == 0 {
            return Ok(None);
        }
        let Some(line) = line.strip_suffix(b"\n") else {
            return Err(FrameError::Header("a line without an end"));
        };
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return length.map(Some).ok_or(FrameError::Header("no Content-Length"));
        }
        let text = std::str::from_utf8(line).map_err(|_| FrameError::Header("a line that is not UTF-8"))?;
        let (name, value) = text.split_once(':').ok_or(FrameError::Header("a line without a colon"))?;
        if name.trim().eq_ignore_ascii_case("content-length") {
            let value =
                value.trim().parse().map_err(|_| FrameError::Header("a Content-Length that is no number"))?;
            length = Some(value);
        }
    }
    Err(FrameError::Header("too many lines"))
}

fn decode(body: &[u8]) -> Incoming {
    let malformed = |code, message| Incoming::Malformed(Malformed { code, message });
    match serde_json::from_slice::<Value>(body) {
        Err(error) => malformed(PARSE_ERROR, format!("the message is no JSON: {error}")),
        Ok(value) => match serde_json::from_value(value) {
            Ok(message) => Incoming::Message(message),
            Err(_) => {
                malformed(INVALID_REQUEST, "the message is no request, response or notification".into())
            }
        },
    }
}

/// Writes a message.
pub(crate) fn write(output: &mut impl Write, message: &Message) -> io::Result<()> {
    message.write(output)
}

/// Answers what was no message: there is no request whose id the answer could carry.
pub(crate) fn write_malformed(output: &mut impl Write, malformed: &Malformed) -> io::Result<()> {
    let error = json!({ "code": malformed.code, "message": malformed.message });
    let body = json!({ "jsonrpc": "2.0", "id": null, "error": error }).to_string();
    write!(output, "Content-Length: {}\r\n\r\n{body}", body.len())?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read};

    use proptest::prelude::{any, proptest};

    use super::{FrameError, Incoming, MAX_MESSAGE, read};

    fn show(result: Result<Option<Incoming>, FrameError>) -> String {
        match result {
            Ok(None) => "end".into(),
            Ok(Some(Incoming::Malformed(malformed))) => format!("malformed {}", malformed.code),
            Ok(Some(Incoming::Message(lsp_server::Message::Request(request)))) => request.method,
            Ok(Some(Incoming::Message(lsp_server::Message::Notification(notification)))) => {
                notification.method
            }
            Ok(Some(Incoming::Message(lsp_server::Message::Response(_)))) => "response".into(),
            Err(error) => error.to_string(),
        }
    }

    /// What the stream holds, one after the other, up to its end or an error.
    fn check(stream: &[u8], expected: &[&str]) {
        let mut input = stream;
        let mut found = Vec::new();
        loop {
            let next = read(&mut input);
            let is_last = !matches!(next, Ok(Some(_)));
            found.push(show(next));
            if is_last {
                break;
            }
        }
        assert_eq!(found, expected, "{:?}", String::from_utf8_lossy(stream));
    }

    #[test]
    fn messages_follow_each_other() {
        check(b"", &["end"]);
        let one = r#"{"jsonrpc":"2.0","id":1,"method":"shutdown"}"#;
        let two = r#"{"jsonrpc":"2.0","method":"exit"}"#;
        let stream = format!(
            "Content-Length: {}\r\n\r\n{one}content-length:{}\r\nContent-Type: x\r\n\r\n{two}",
            one.len(),
            two.len()
        );
        check(stream.as_bytes(), &["shutdown", "exit", "end"]);
    }

    #[test]
    fn what_is_no_message_does_not_hide_the_next() {
        let next = "Content-Length: 33\r\n\r\n{\"jsonrpc\":\"2.0\",\"method\":\"exit\"}";
        for (bad, code) in
            [("{", "-32700"), ("[]", "-32600"), ("{\"id\":1.5}", "-32600"), ("\u{fffd}", "-32700")]
        {
            let stream = format!("Content-Length: {}\r\n\r\n{bad}{next}", bad.len());
            check(stream.as_bytes(), &[&format!("malformed {code}"), "exit", "end"]);
        }
        check(b"Content-Length: 1\r\n\r\n\xff", &["malformed -32700", "end"]);
    }

    #[test]
    fn long_messages_are_read_over() {
        let length = MAX_MESSAGE + 1;
        let header = format!("Content-Length: {length}\r\n\r\n");
        let next = "Content-Length: 33\r\n\r\n{\"jsonrpc\":\"2.0\",\"method\":\"exit\"}";
        let stream = header.as_bytes().chain(std::io::repeat(b' ').take(length)).chain(next.as_bytes());
        let mut input = BufReader::new(stream);
        assert_eq!(show(read(&mut input)), "malformed -32600");
        assert_eq!(show(read(&mut input)), "exit");
        assert!(input.fill_buf().expect("the end can be read").is_empty());
        check(b"Content-Length: 18446744073709551615\r\n\r\n{}", &["malformed -32600", "end"]);
    }

    #[test]
    fn broken_headers_end_the_stream() {
        let start = "the editor sent a header that is none: ";
        let check = |stream: &str, why: &str| check(stream.as_bytes(), &[&format!("{start}{why}")]);
        check("\r\n", "no Content-Length");
        check("Content-Length: x\r\n\r\n", "a Content-Length that is no number");
        check("Content-Length: -1\r\n\r\n", "a Content-Length that is no number");
        check("Content-Length 5\r\n\r\n", "a line without a colon");
        check("Content-Length: 5", "a line without an end");
        check(&"x".repeat(10_000), "a line without an end");
        check(&"a: b\r\n".repeat(100), "too many lines");
    }

    #[test]
    fn a_message_that_is_cut_off_is_the_end() {
        check(b"Content-Length: 99\r\n\r\n{", &["end"]);
    }

    proptest! {
        #[test]
        fn no_stream_panics(stream in any::<Vec<u8>>()) {
            let mut input = stream.as_slice();
            while let Ok(Some(_)) = read(&mut input) {}
        }
    }
}
