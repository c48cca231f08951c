//! The other side of a machine's connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// What a machine's connection leads to.
pub(super) enum Upstream {
    /// A connection of the host.
    Stream(TcpStream),
    /// The name server of this process, in a task of its own.
    Names(DuplexStream, JoinHandle<()>),
}

impl Upstream {
    /// Writes bytes; how many.
    pub(super) fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        match self {
            Self::Stream(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Names(stream, _) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    /// Reads into room that is not empty; how many bytes, none at the end.
    pub(super) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        room: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(room);
        let read = match self {
            Self::Stream(stream) => Pin::new(stream).poll_read(context, &mut buffer),
            Self::Names(stream, _) => Pin::new(stream).poll_read(context, &mut buffer),
        };
        read.map_ok(|()| buffer.filled().len())
    }

    /// Says that nothing more will be written.
    pub(super) fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Stream(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Names(stream, _) => Pin::new(stream).poll_shutdown(context),
        }
    }

    /// Lets the end of this value be a reset for the other side.
    pub(super) fn reset(&mut self) {
        match self {
            // Where it fails the other side is gone already.
            Self::Stream(stream) => drop(stream.set_zero_linger()),
            Self::Names(_, task) => task.abort(),
        }
    }
}
