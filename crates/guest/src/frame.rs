//! Messages on a byte stream: a preamble each way, then frames of a length (u32, little endian) and a postcard body.
//!
//! The preamble carries the protocol version and a nonce of the host's. Whatever lies in the stream before it (a serial
//! line keeps bytes of an earlier connection) is dropped, up to [`MAX_STALE`] bytes.

use std::io::{self, Read};

use serde::{Deserialize, Serialize};

use crate::protocol::{MAX_FRAME, PROTOCOL_VERSION, Reply, Request, Stream};

const MAGIC: [u8; 12] = *b"\xfffiredog/fd\n";
const NONCE: usize = 16;

/// Length of a preamble in bytes: magic, version, nonce.
pub const PREAMBLE: usize = MAGIC.len() + 4 + NONCE;

/// Most bytes that are skipped in search of a preamble: what many processes had under way when their machine was copied.
pub const MAX_STALE: usize = 16 << 20;

/// Size of the buffer that frames are read through, in bytes.
pub const READ_BUFFER: usize = 64 * 1024;

/// What opens the stream in both directions; the agent answers with the host's nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preamble {
    /// The sender's [`PROTOCOL_VERSION`].
    pub version: u32,
    /// Chosen by the host for each connection.
    pub nonce: [u8; NONCE],
}

impl Preamble {
    /// A preamble of this build's version.
    pub fn new(nonce: [u8; NONCE]) -> Self {
        Self { version: PROTOCOL_VERSION, nonce }
    }

    /// Its bytes on the stream.
    pub fn encode(&self) -> [u8; PREAMBLE] {
        let mut bytes = [0; PREAMBLE];
        bytes[..MAGIC.len()].copy_from_slice(&MAGIC);
        bytes[MAGIC.len()..MAGIC.len() + 4].copy_from_slice(&self.version.to_le_bytes());
        bytes[MAGIC.len() + 4..].copy_from_slice(&self.nonce);
        bytes
    }
}

/// Why a stream cannot be understood.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant explains its fields")]
pub enum FrameError {
    /// Reading or writing failed.
    #[error("the stream to the guest agent failed")]
    Stream(#[from] io::Error),
    /// The stream ended inside a frame.
    #[error("the stream ended inside a frame, after {got} of {wanted} bytes")]
    Truncated { got: usize, wanted: usize },
    /// A frame announces more than [`MAX_FRAME`] bytes.
    #[error("a frame of {length} bytes is over the limit of {MAX_FRAME}")]
    Oversized { length: usize },
    /// A frame's body is no message.
    #[error("a frame of {length} bytes holds no message: {message}")]
    Malformed { length: usize, message: String },
    /// No preamble among the first [`MAX_STALE`] bytes.
    #[error("no greeting among the first {MAX_STALE} bytes of the stream")]
    NoPreamble,
    /// The stream ended before the preamble was complete.
    #[error("the stream ended before the other side greeted")]
    NotGreeted,
    /// The agent sent more for a request than the host had room for, or asked for.
    #[error("the agent sent more for request {id} than it may")]
    Unrequested { id: u32 },
    /// The host sent more input for a process than the agent had room for.
    #[error("the host sent more input for process {process} than it may")]
    Overrun { process: u32 },
    /// The other side is of another version.
    #[error("the other side speaks protocol version {theirs}, this side {PROTOCOL_VERSION}")]
    Version { theirs: u32 },
}

/// What a stream brings next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incoming {
    /// A frame; its body is in the buffer.
    Frame,
    /// In place of a frame, a preamble of this side's version: whoever is at the other end now knows nothing of what came before.
    Greeting(Preamble),
    /// Nothing: the stream ended between frames.
    End,
}

/// Finds a preamble in bytes that arrive piece by piece.
#[derive(Debug, Default)]
pub struct PreambleScanner {
    kept: Vec<u8>,
    dropped: usize,
}

impl PreambleScanner {
    /// Takes one more byte; returns the preamble that it completes.
    pub fn push(&mut self, byte: u8) -> Result<Option<Preamble>, FrameError> {
        self.kept.push(byte);
        while !self.kept.is_empty() && !self.kept.iter().zip(&MAGIC).all(|(kept, magic)| kept == magic) {
            self.kept.remove(0);
            self.dropped += 1;
        }
        // An earlier greeting was cut short; this is the beginning of the next.
        if self.kept.len() > MAGIC.len() && self.kept.ends_with(&MAGIC) {
            self.dropped += self.kept.len() - MAGIC.len();
            self.kept.drain(..self.kept.len() - MAGIC.len());
        }
        if self.dropped > MAX_STALE {
            return Err(FrameError::NoPreamble);
        }
        if self.kept.len() < PREAMBLE {
            return Ok(None);
        }
        let (version, nonce) = self.kept[MAGIC.len()..].split_at(4);
        let preamble = Preamble {
            version: u32::from_le_bytes(version.try_into().expect("split at four bytes")),
            nonce: nonce.try_into().expect("a preamble ends with its nonce"),
        };
        self.kept.clear();
        Ok(Some(preamble))
    }
}

/// Reads up to and including the next preamble; fails on one of another version.
pub fn read_preamble(stream: &mut impl Read) -> Result<Preamble, FrameError> {
    read_preamble_after(&[], stream)
}

fn read_preamble_after(read: &[u8], stream: &mut impl Read) -> Result<Preamble, FrameError> {
    let mut scanner = PreambleScanner::default();
    for byte in read {
        scanner.push(*byte)?;
    }
    let mut byte = [0];
    loop {
        match stream.read(&mut byte) {
            Ok(0) => return Err(FrameError::NotGreeted),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(FrameError::Stream(error)),
        }
        if let Some(preamble) = scanner.push(byte[0])? {
            if preamble.version != PROTOCOL_VERSION {
                return Err(FrameError::Version { theirs: preamble.version });
            }
            return Ok(preamble);
        }
    }
}

/// Reads one frame's body into `body`; `false` is a stream that ended between frames.
pub fn read_frame(stream: &mut impl Read, body: &mut Vec<u8>) -> Result<bool, FrameError> {
    let Some(length) = read_length(stream)? else { return Ok(false) };
    read_body(length, stream, body)?;
    Ok(true)
}

/// Reads one frame's body into `body`, or a preamble in its place: its beginning is no length that a frame may have.
pub fn read_frame_or_preamble(stream: &mut impl Read, body: &mut Vec<u8>) -> Result<Incoming, FrameError> {
    match read_length(stream)? {
        None => Ok(Incoming::End),
        Some(begin) if MAGIC.starts_with(&begin) => {
            read_preamble_after(&begin, stream).map(Incoming::Greeting)
        }
        Some(length) => read_body(length, stream, body).map(|()| Incoming::Frame),
    }
}

fn read_length(stream: &mut impl Read) -> Result<Option<[u8; 4]>, FrameError> {
    let mut length = [0; 4];
    match fill(stream, &mut length)? {
        0 => Ok(None),
        4 => Ok(Some(length)),
        got => Err(FrameError::Truncated { got, wanted: 4 }),
    }
}

fn read_body(length: [u8; 4], stream: &mut impl Read, body: &mut Vec<u8>) -> Result<(), FrameError> {
    let length = body_length(length)?;
    body.clear();
    body.resize(length, 0);
    let got = fill(stream, body)?;
    if got < length {
        return Err(FrameError::Truncated { got, wanted: length });
    }
    Ok(())
}

/// The length that a frame's first four bytes announce, if it is allowed.
pub fn body_length(bytes: [u8; 4]) -> Result<usize, FrameError> {
    let length = u32::from_le_bytes(bytes) as usize;
    if length > MAX_FRAME {
        return Err(FrameError::Oversized { length });
    }
    Ok(length)
}

fn fill(stream: &mut impl Read, buffer: &mut [u8]) -> Result<usize, FrameError> {
    let mut filled = 0;
    while filled < buffer.len() {
        match stream.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A socket tells so of an other side that went away before it had read everything.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break,
            Err(error) => return Err(FrameError::Stream(error)),
        }
    }
    Ok(filled)
}

/// A request as a frame.
pub fn encode_request(request: &Request) -> Result<Vec<u8>, FrameError> {
    encode(request)
}

/// A reply as a frame.
pub fn encode_reply(reply: &Reply<'_>) -> Result<Vec<u8>, FrameError> {
    encode(reply)
}

fn encode(message: &impl Serialize) -> Result<Vec<u8>, FrameError> {
    let malformed = |message: String| FrameError::Malformed { length: 0, message };
    let mut frame = postcard::to_extend(message, vec![0; 4]).map_err(|error| malformed(error.to_string()))?;
    let length = frame.len() - 4;
    if length > MAX_FRAME {
        return Err(FrameError::Oversized { length });
    }
    let prefix = u32::try_from(length).expect("MAX_FRAME fits in 32 bits");
    frame[..4].copy_from_slice(&prefix.to_le_bytes());
    Ok(frame)
}

/// The request in a frame's body.
pub fn decode_request(body: &[u8]) -> Result<Request, FrameError> {
    decode(body)
}

/// The reply in a frame's body; its bytes are borrowed from there.
pub fn decode_reply(body: &[u8]) -> Result<Reply<'_>, FrameError> {
    decode(body)
}

fn decode<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, FrameError> {
    let malformed = |message: String| FrameError::Malformed { length: body.len(), message };
    let (message, rest) = postcard::take_from_bytes(body).map_err(|error| malformed(error.to_string()))?;
    if !rest.is_empty() {
        return Err(malformed(format!("{} bytes are left over", rest.len())));
    }
    Ok(message)
}

/// The longest [`output_head`], in bytes.
pub const MAX_OUTPUT_HEAD: usize = 4 + 1 + 5 + 1 + 10;

/// All of an output frame but the output itself, so that the two can be written together without copying the output.
pub fn output_head(id: u32, stream: Stream, data: usize, buffer: &mut [u8; MAX_OUTPUT_HEAD]) -> usize {
    const VARIANT: u32 = 0;
    let used = postcard::to_slice(&(VARIANT, id, stream, data), &mut buffer[4..])
        .expect("the buffer holds the longest head")
        .len();
    let length = u32::try_from(used + data).expect("output is sent in chunks of at most MAX_CHUNK");
    buffer[..4].copy_from_slice(&length.to_le_bytes());
    4 + used
}
