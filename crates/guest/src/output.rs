//! The agent's side of the stream to the host: whole frames, one at a time, from any thread.

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::frame::{self, MAX_OUTPUT_HEAD};
use crate::protocol::{FRAME_COST, Reply, Stream, WINDOW};

/// Locks a mutex whose data stays valid when a thread panics while holding it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where replies go. Writing blocks while the host does not read.
#[derive(Debug)]
pub(crate) struct Replies {
    /// `None` once they are closed.
    stream: Mutex<Option<File>>,
}

fn open(stream: &mut Option<File>) -> io::Result<&mut File> {
    stream.as_mut().ok_or_else(|| io::Error::new(io::ErrorKind::BrokenPipe, "the host has greeted anew"))
}

impl Replies {
    pub(crate) fn new(stream: File) -> Self {
        Self { stream: Mutex::new(Some(stream)) }
    }

    /// Writes bytes that are no frame: the preamble.
    pub(crate) fn send_raw(&self, bytes: &[u8]) -> io::Result<()> {
        open(&mut lock(&self.stream))?.write_all(bytes)
    }

    /// Sends a reply. An error means that the host is gone, which the reading side notices as well.
    pub(crate) fn send(&self, reply: &Reply<'_>) -> io::Result<()> {
        let frame = frame::encode_reply(reply).map_err(io::Error::other)?;
        open(&mut lock(&self.stream))?.write_all(&frame)
    }

    /// From now on there is nobody to reply to: whatever is sent fails. Waits for a frame that is being written.
    pub(crate) fn close(&self) {
        *lock(&self.stream) = None;
    }

    /// Reports that a request failed.
    pub(crate) fn fail(&self, id: u32, operation: impl Into<String>, error: &dyn ToString) -> io::Result<()> {
        self.send(&Reply::Failed { id, operation: operation.into(), message: error.to_string() })
    }

    /// Answers `Done`, or `Failed` with the operation of the error.
    pub(crate) fn finish(&self, id: u32, result: Result<(), Failure>) -> io::Result<()> {
        match result {
            Ok(()) => self.send(&Reply::Done { id }),
            Err(failure) => self.fail(id, failure.operation, &failure.message),
        }
    }

    /// Sends a chunk of output without copying it.
    pub(crate) fn send_output(&self, id: u32, stream: Stream, data: &[u8]) -> io::Result<()> {
        let mut head = [0; MAX_OUTPUT_HEAD];
        let length = frame::output_head(id, stream, data.len(), &mut head);
        let mut parts = [IoSlice::new(&head[..length]), IoSlice::new(data)];
        let mut parts: &mut [IoSlice<'_>] = &mut parts;
        let mut stream = lock(&self.stream);
        let file = open(&mut stream)?;
        while !parts.is_empty() {
            match file.write_vectored(parts) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => IoSlice::advance_slices(&mut parts, written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Why a request could not be carried out: what was being done, and what the system said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) operation: String,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(operation: impl Into<String>, error: &dyn ToString) -> Self {
        Self { operation: operation.into(), message: error.to_string() }
    }
}

/// The room that the host has left for one process's output.
#[derive(Debug)]
pub(crate) struct Window {
    room: Mutex<Room>,
    changed: Condvar,
}

#[derive(Debug, Clone, Copy)]
enum Room {
    Bytes(u32),
    /// Nobody will ever read more.
    Abandoned,
}

impl Window {
    pub(crate) fn new() -> Self {
        Self { room: Mutex::new(Room::Bytes(WINDOW)), changed: Condvar::new() }
    }

    /// Waits until a frame with `length` bytes of content fits, and takes its room; `false` when it is not wanted.
    pub(crate) fn take(&self, length: usize) -> bool {
        let cost = u32::try_from(length).expect("chunks are at most MAX_CHUNK long") + FRAME_COST;
        let mut room = lock(&self.room);
        loop {
            match *room {
                Room::Abandoned => return false,
                Room::Bytes(bytes) if bytes >= cost => {
                    *room = Room::Bytes(bytes - cost);
                    return true;
                }
                Room::Bytes(_) => {
                    room = self.changed.wait(room).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// Adds room that the host hands back; never beyond [`WINDOW`].
    pub(crate) fn grant(&self, more: u32) {
        let mut room = lock(&self.room);
        if let Room::Bytes(bytes) = *room {
            *room = Room::Bytes(bytes.saturating_add(more).min(WINDOW));
        }
        self.changed.notify_all();
    }

    pub(crate) fn abandon(&self) {
        *lock(&self.room) = Room::Abandoned;
        self.changed.notify_all();
    }
}
