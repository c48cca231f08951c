//! A process inside a machine.

use std::sync::Arc;

use bytes::Bytes;
use guest::protocol::{ExitStatus, FRAME_COST, MAX_CHUNK, Request, Scope, Stream, TerminalSize, WINDOW};
use tokio::sync::Semaphore;

use crate::connection::{Budget, Event, Pending, unexpected};
use crate::machine::MachineError;

/// How much is taken before the agent is told; a fraction of the window, so that output does not stutter.
const GRANT_STEP: u32 = WINDOW / 4;

/// A piece of a process's output, up to 64 KiB, cut anywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Where it was written; always `Stdout` when the output is merged.
    pub stream: Stream,
    /// What was written; any bytes.
    pub bytes: Bytes,
}

/// A process that runs in a machine.
///
/// Its output must be taken: a process whose output nobody takes blocks once [`WINDOW`] bytes are under way. Dropping a
/// `Process` that has not ended kills it and all its descendants.
#[derive(Debug)]
pub struct Process {
    pending: Pending,
    input: Option<ProcessInput>,
    taken: u32,
    end: Option<Result<ExitStatus, MachineError>>,
}

impl Process {
    pub(crate) fn new(pending: Pending, is_fed: bool) -> Self {
        let connection = pending.connection();
        let input = is_fed.then(|| ProcessInput {
            process: pending.id,
            room: connection.input_room(pending.id),
            connection: connection.clone(),
        });
        Self { pending, input, taken: 0, end: None }
    }

    /// Where its input goes, the first time, if that is [`Stdin::Stream`](crate::Stdin::Stream).
    pub fn take_input(&mut self) -> Option<ProcessInput> {
        self.input.take()
    }

    /// The next piece of output, or `None` when there will be no more: the process has ended or the machine is lost,
    /// which [`Process::wait`] tells apart. May be cancelled without losing output.
    pub async fn next_output(&mut self) -> Option<Output> {
        if self.end.is_some() {
            return None;
        }
        match self.pending.next().await {
            Event::Output(stream, bytes) => {
                self.taken += u32::try_from(bytes.len()).expect("a frame fits in 32 bits") + FRAME_COST;
                if self.taken >= GRANT_STEP {
                    self.pending.grant(std::mem::take(&mut self.taken));
                }
                return Some(Output { stream, bytes });
            }
            Event::Exited(status) => self.end = Some(Ok(status)),
            Event::Lost(reason) => self.end = Some(Err(MachineError::Lost { reason: reason.to_string() })),
            other => self.end = Some(Err(unexpected(&other))),
        }
        None
    }

    /// Sends a signal by its number. A process that has ended meanwhile is no error.
    pub async fn signal(&self, signal: i32, scope: Scope) -> Result<(), MachineError> {
        self.signaller().send(signal, scope).await
    }

    /// A handle that sends signals while this process's output is being taken elsewhere.
    pub fn signaller(&self) -> Signaller {
        Signaller { process: self.pending.id, connection: self.pending.connection().clone() }
    }

    /// Waits for the end and discards output that has not been taken. A machine that is lost first is an error.
    pub async fn wait(&mut self) -> Result<ExitStatus, MachineError> {
        while self.next_output().await.is_some() {}
        self.end.clone().expect("there is no more output only after the end")
    }
}

/// The input of a process of a machine. Dropping it is the end of the input.
#[derive(Debug)]
pub struct ProcessInput {
    process: u32,
    room: Arc<Semaphore>,
    connection: crate::connection::Connection,
}

impl ProcessInput {
    /// Sends bytes to the process, waiting as long as it takes none. `false` when nobody takes them any more: the process
    /// has ended or the machine is lost, which [`Process::wait`] tells apart. Bytes to a process that has closed its input
    /// are dropped. May be cancelled, but leaves open how much was sent.
    pub async fn write(&mut self, bytes: &[u8]) -> bool {
        for chunk in bytes.chunks(MAX_CHUNK) {
            let Ok(room) = self.room.acquire().await else { return false };
            // The answer makes the room again.
            room.forget();
            let request = Request::Input { process: self.process, data: chunk.to_vec().into() };
            // A chunk is far below the limit of a frame.
            let _ = self.connection.send(&request);
        }
        !self.room.is_closed()
    }
}

impl Drop for ProcessInput {
    fn drop(&mut self) {
        // The request is far below the limit of a frame.
        let _ = self.connection.send(&Request::EndInput { process: self.process });
    }
}

/// Sends signals to a process of a machine, resizes its terminal, and brings about its end.
#[derive(Debug, Clone)]
pub struct Signaller {
    process: u32,
    connection: crate::connection::Connection,
}

impl Signaller {
    /// Sends a signal by its number. A process that has ended meanwhile is no error.
    pub async fn send(&self, signal: i32, scope: Scope) -> Result<(), MachineError> {
        let process = self.process;
        let make = |id| Request::Signal { id, process, signal, scope };
        self.connection.request(Budget::SHORT, make)?.done().await
    }

    /// Gives the process's terminal another size. A process that has none or has ended is no error.
    pub async fn resize(&self, size: TerminalSize) -> Result<(), MachineError> {
        let process = self.process;
        self.connection.request(Budget::SHORT, |id| Request::Resize { id, process, size })?.done().await
    }

    /// From now on nothing of the process's tree outlives it: what it leaves is killed before it counts as ended. A process
    /// that counts as ended already is no error.
    pub async fn kill_rest(&self) -> Result<(), MachineError> {
        let process = self.process;
        self.connection.request(Budget::SHORT, |id| Request::KillRest { id, process })?.done().await
    }
}
