//! The two-way stream to a process in a machine.
//!
//! `POST /api/vms/{id}/processes` with `Connection: Upgrade` and `Upgrade: firedog-process` turns the connection into frames:
//! a byte for the kind, the payload's length (u32, little endian), the payload.
//!
//! ```text
//! caller                                   machine
//! Start (JSON) ------------------------->
//!              <------------------------- Started, or Failed (text) and the end
//! Input, Resize, Signal, EndInput ------>
//!              <------------------------- Taken for each Input, Stdout, Stderr
//!              <------------------------- Exited, and the end
//! ```
//!
//! A caller has at most [`PIPELINE`] inputs under way. Whoever closes the connection before `Exited` kills the process.

use std::io;

use bytes::Bytes;
use machine::{ExitStatus, TerminalSize};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The protocol's name in `Upgrade`.
pub const UPGRADE: &str = "firedog-process";

/// Longest payload, in bytes.
pub const MAX_PAYLOAD: usize = 256 * 1024;

/// Longest payload of input and output, in bytes.
pub const MAX_CHUNK: usize = 64 * 1024;

/// Most inputs that have not been answered.
pub const PIPELINE: usize = 4;

/// A process to start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// Program and arguments; none for the machine's own shell.
    #[serde(default)]
    pub argv: Vec<String>,
    /// Variables that are added to the machine's environment.
    #[serde(default)]
    pub env: Vec<(String, String)>,
    /// Where it starts; none for the workspace.
    #[serde(default)]
    pub working_dir: Option<String>,
    /// Its terminal's lines and columns; none for pipes.
    #[serde(default)]
    pub terminal: Option<(u16, u16)>,
}

/// What a caller sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToProcess {
    /// Start the process; the first frame, and only that.
    Start(Start),
    /// Bytes for the process to read.
    Input(Bytes),
    /// There is no more to read.
    EndInput,
    /// The caller's terminal has another size.
    Resize(TerminalSize),
    /// A signal for the process, by its number.
    Signal(i32),
}

/// What a caller gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromProcess {
    /// The process runs.
    Started,
    /// One input has been passed on.
    Taken,
    /// The process wrote this to standard output, or to its terminal.
    Stdout(Bytes),
    /// The process wrote this to standard error.
    Stderr(Bytes),
    /// The process has ended; the last frame.
    Exited(ExitStatus),
    /// The process could not be started, or the machine was lost; the last frame.
    Failed(String),
}

/// A frame that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The connection failed.
    #[error("the connection to the process failed")]
    Connection(#[from] io::Error),
    /// Something else than a frame came.
    #[error("a frame of kind {kind} and {length} bytes is not understood")]
    Malformed {
        /// The kind.
        kind: u8,
        /// The payload's length in bytes.
        length: usize,
    },
}

mod kind {
    pub(super) const START: u8 = 1;
    pub(super) const INPUT: u8 = 2;
    pub(super) const END_INPUT: u8 = 3;
    pub(super) const RESIZE: u8 = 4;
    pub(super) const SIGNAL: u8 = 5;
    pub(super) const STARTED: u8 = 17;
    pub(super) const TAKEN: u8 = 18;
    pub(super) const STDOUT: u8 = 19;
    pub(super) const STDERR: u8 = 20;
    pub(super) const EXITED: u8 = 21;
    pub(super) const SIGNALLED: u8 = 22;
    pub(super) const FAILED: u8 = 23;
}

impl ToProcess {
    /// Writes it as a frame.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn write(&self, stream: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        match self {
            Self::Start(start) => {
                let start = serde_json::to_vec(start).map_err(io::Error::other)?;
                write(stream, kind::START, &start).await
            }
            Self::Input(bytes) => write(stream, kind::INPUT, bytes).await,
            Self::EndInput => write(stream, kind::END_INPUT, &[]).await,
            Self::Resize(size) => {
                let [rows, columns] = [size.rows, size.columns].map(u16::to_le_bytes);
                write(stream, kind::RESIZE, &[rows, columns].concat()).await
            }
            Self::Signal(signal) => write(stream, kind::SIGNAL, &signal.to_le_bytes()).await,
        }
    }

    /// Reads the next; `None` at the end between frames.
    ///
    /// # Errors
    /// When the connection fails or something else comes.
    pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<Self>, FrameError> {
        let Some((kind, payload)) = read(stream).await? else { return Ok(None) };
        let malformed = || FrameError::Malformed { kind, length: payload.len() };
        Ok(Some(match kind {
            kind::START => Self::Start(serde_json::from_slice(&payload).map_err(|_| malformed())?),
            kind::INPUT if payload.len() <= MAX_CHUNK => Self::Input(payload.into()),
            kind::END_INPUT if payload.is_empty() => Self::EndInput,
            kind::RESIZE => match payload[..] {
                [a, b, c, d] => Self::Resize(TerminalSize {
                    rows: u16::from_le_bytes([a, b]),
                    columns: u16::from_le_bytes([c, d]),
                }),
                _ => return Err(malformed()),
            },
            kind::SIGNAL => Self::Signal(number(&payload).ok_or_else(malformed)?),
            _ => return Err(malformed()),
        }))
    }
}

impl FromProcess {
    /// Writes it as a frame.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn write(&self, stream: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        match self {
            Self::Started => write(stream, kind::STARTED, &[]).await,
            Self::Taken => write(stream, kind::TAKEN, &[]).await,
            Self::Stdout(bytes) => write(stream, kind::STDOUT, bytes).await,
            Self::Stderr(bytes) => write(stream, kind::STDERR, bytes).await,
            Self::Exited(ExitStatus::Code(code)) => write(stream, kind::EXITED, &code.to_le_bytes()).await,
            Self::Exited(ExitStatus::Signal(signal)) => {
                write(stream, kind::SIGNALLED, &signal.to_le_bytes()).await
            }
            Self::Failed(reason) => write(stream, kind::FAILED, reason.as_bytes()).await,
        }
    }

    /// Reads the next; `None` at the end between frames.
    ///
    /// # Errors
    /// When the connection fails or something else comes.
    pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<Self>, FrameError> {
        let Some((kind, payload)) = read(stream).await? else { return Ok(None) };
        let malformed = || FrameError::Malformed { kind, length: payload.len() };
        Ok(Some(match kind {
            kind::STARTED if payload.is_empty() => Self::Started,
            kind::TAKEN if payload.is_empty() => Self::Taken,
            kind::STDOUT => Self::Stdout(payload.into()),
            kind::STDERR => Self::Stderr(payload.into()),
            kind::EXITED => Self::Exited(ExitStatus::Code(number(&payload).ok_or_else(malformed)?)),
            kind::SIGNALLED => Self::Exited(ExitStatus::Signal(number(&payload).ok_or_else(malformed)?)),
            kind::FAILED => Self::Failed(String::from_utf8_lossy(&payload).into_owned()),
            _ => return Err(malformed()),
        }))
    }
}

fn number(payload: &[u8]) -> Option<i32> {
    payload.try_into().ok().map(i32::from_le_bytes)
}

async fn write(stream: &mut (impl AsyncWrite + Unpin), kind: u8, payload: &[u8]) -> io::Result<()> {
    let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
    let mut frame = Vec::with_capacity(5 + payload.len());
    frame.push(kind);
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(payload);
    stream.write_all(&frame).await?;
    stream.flush().await
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<(u8, Vec<u8>)>, FrameError> {
    let mut head = [0; 5];
    match stream.read(&mut head[..1]).await? {
        0 => return Ok(None),
        _ => stream.read_exact(&mut head[1..]).await?,
    };
    let length = u32::from_le_bytes(head[1..].try_into().expect("a head has four bytes of length")) as usize;
    if length > MAX_PAYLOAD {
        return Err(FrameError::Malformed { kind: head[0], length });
    }
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).await?;
    Ok(Some((head[0], payload)))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use machine::{ExitStatus, TerminalSize};
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::{FromProcess, Start, ToProcess};

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            argv: Vec<String>, env: Vec<(String, String)>, working_dir: Option<String>, terminal: Option<(u16, u16)>,
            bytes: Vec<u8>, number: i32,
        ) {
            let start = Start { argv, env, working_dir, terminal };
            let size = TerminalSize { rows: 3, columns: number as u16 };
            let bytes = Bytes::from(bytes);
            let to = [
                ToProcess::Start(start), ToProcess::Input(bytes.clone()), ToProcess::EndInput, ToProcess::Resize(size),
                ToProcess::Signal(number),
            ];
            let from = [
                FromProcess::Started, FromProcess::Taken, FromProcess::Stdout(bytes.clone()), FromProcess::Stderr(bytes),
                FromProcess::Exited(ExitStatus::Code(number)), FromProcess::Exited(ExitStatus::Signal(number)),
                FromProcess::Failed("why".to_owned()),
            ];
            block_on(async {
                let mut stream = Vec::new();
                for frame in &to {
                    frame.write(&mut stream).await.unwrap();
                }
                let mut rest = &stream[..];
                for frame in &to {
                    prop_assert_eq!(ToProcess::read(&mut rest).await.unwrap(), Some(frame.clone()));
                }
                prop_assert!(ToProcess::read(&mut rest).await.unwrap().is_none());
                let mut stream = Vec::new();
                for frame in &from {
                    frame.write(&mut stream).await.unwrap();
                }
                let mut rest = &stream[..];
                for frame in &from {
                    prop_assert_eq!(FromProcess::read(&mut rest).await.unwrap(), Some(frame.clone()));
                }
                prop_assert!(FromProcess::read(&mut rest).await.unwrap().is_none());
                Ok(())
            })?;
        }

        #[test]
        fn any_bytes_are_frames_or_an_error(bytes: Vec<u8>) {
            block_on(async {
                let mut rest = &bytes[..];
                while let Ok(Some(_)) = ToProcess::read(&mut rest).await {}
                let mut rest = &bytes[..];
                while let Ok(Some(_)) = FromProcess::read(&mut rest).await {}
            });
        }
    }

    #[test]
    fn what_is_too_long_or_cut_is_refused() {
        block_on(async {
            for bytes in [
                &[2, 255, 255, 255, 255][..],
                &[2, 1, 0, 1, 0],
                &[2, 3, 0, 0, 0, 1],
                &[2, 3],
                &[99, 0, 0, 0, 0],
            ] {
                assert!(ToProcess::read(&mut &bytes[..]).await.is_err(), "{bytes:?}");
            }
        });
    }
}
