//! The host's side of the stream to a guest agent.
//!
//! One task reads and never waits for anybody: what it reads goes to the owner of the request's id. What may pile up
//! there is limited by a budget that grows only as the owner hands room back; an agent that sends beyond it breaks the
//! protocol and loses the machine. One task writes, so that a caller that gives up leaves no half of a frame behind.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use guest::frame::{self, FrameError, Preamble, PreambleScanner};
use guest::protocol::{
    ExitStatus, FRAME_COST, Found, INPUT_PIPELINE, PROTOCOL_VERSION, Reply, Request, Stream, Usage, WINDOW,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use crate::backend::{ByteStream, PostMortem};
use crate::machine::MachineError;

/// How long an agent may take to answer the greeting.
pub(crate) const GREETING_DEADLINE: Duration = Duration::from_secs(30);

/// Room that the reading task asks the system to fill at once, in bytes.
const READ_SIZE: usize = 128 * 1024;

/// Shorter pieces of output are copied, so that they do not keep a whole read's memory.
const MIN_SHARED: usize = 8 * 1024;

/// Most of a log that is quoted in an error, in bytes.
const MAX_LOG: u64 = 4096;

/// What becomes of requests whose stream is closed for a snapshot.
const BROKEN: &str = "the machine was kept as a snapshot, for which its connection had to be closed";

/// What the owner of a request gets to know.
#[derive(Debug)]
pub(crate) enum Event {
    Started,
    Output(Stream, Bytes),
    Data(u32, Bytes),
    File(u32, Found),
    Exited(ExitStatus),
    Paths(Vec<Option<String>>),
    Hashed(String),
    Taken,
    Done,
    Failed(String, String),
    Usage(Usage),
    Lost(Arc<str>),
}

impl Event {
    /// Whether nothing can follow for the same request.
    fn is_last(&self) -> bool {
        match self {
            Self::Started | Self::Output(..) | Self::Data(..) | Self::File(..) | Self::Taken => false,
            Self::Exited(_)
            | Self::Hashed(_)
            | Self::Paths(_)
            | Self::Done
            | Self::Failed(..)
            | Self::Usage(_)
            | Self::Lost(_) => true,
        }
    }

    /// What it takes of its request's budget.
    fn cost(&self) -> u64 {
        let content = match self {
            Self::Output(_, data) | Self::Data(_, data) => data.len() as u64,
            Self::Paths(paths) => paths.iter().flatten().map(|path| path.len() as u64).sum(),
            _ => 0,
        };
        content + u64::from(FRAME_COST)
    }
}

/// What a request may receive besides what its owner hands room back for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget(pub(crate) u64);

impl Budget {
    /// For a process or an archive: a window, and the frames that are not output.
    pub(crate) const WINDOWED: Self = Self(WINDOW as u64 + 8 * FRAME_COST as u64);
    /// For a request with one short answer.
    pub(crate) const SHORT: Self = Self(1 << 20);
}

#[derive(Debug)]
struct Entry {
    events: UnboundedSender<Event>,
    budget: u64,
    /// Room for input: a permit for each chunk that may be sent. Closed when nobody takes it any more.
    input: Option<Arc<Semaphore>>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(input) = &self.input {
            input.close();
        }
    }
}

#[derive(Debug, Default)]
struct Table {
    next: u32,
    entries: HashMap<u32, Entry>,
    lost: Option<Arc<str>>,
    /// Who wants to know when it is lost.
    watchers: Vec<UnboundedSender<Event>>,
    /// What the two tasks of the stream that there is are told by.
    stream: Option<Attached>,
}

/// The two tasks of a stream.
#[derive(Debug)]
struct Attached {
    reading: AbortHandle,
    writing: AbortHandle,
}

/// A connection whose stream was closed, until it gets another. What is asked for meanwhile waits.
#[derive(Debug)]
pub(crate) struct Detached {
    frames: UnboundedReceiver<Outgoing>,
}

/// What the writing task is given.
#[derive(Debug)]
enum Outgoing {
    Frame(Vec<u8>),
    /// Nothing more is written until the sender of this tells, or is gone.
    Hold(oneshot::Receiver<()>),
}

/// No request reaches the agent while this exists.
#[derive(Debug)]
pub(crate) struct Held {
    _release: oneshot::Sender<()>,
}

/// The connection to an agent; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    outgoing: Arc<Mutex<UnboundedSender<Outgoing>>>,
    table: Arc<Mutex<Table>>,
}

impl Connection {
    /// Greets the agent and starts the two tasks. An error says what happened instead.
    pub(crate) async fn open(stream: ByteStream, post_mortem: Arc<dyn PostMortem>) -> Result<Self, String> {
        let (outgoing, frames) = unbounded_channel();
        let connection = Self { outgoing: Arc::new(Mutex::new(outgoing)), table: Arc::default() };
        connection.attach(Detached { frames }, stream, post_mortem).await.map(|()| connection)
    }

    /// Closes the stream. Whoever waits for an answer gets none; processes in the machine run on.
    pub(crate) fn detach(&self) -> Detached {
        let (outgoing, frames) = unbounded_channel();
        *self.outgoing() = outgoing;
        let mut table = lock(&self.table);
        if let Some(Attached { reading, writing }) = table.stream.take() {
            reading.abort();
            writing.abort();
        }
        for (_, entry) in table.entries.drain() {
            // An owner that is gone needs no news.
            let _ = entry.events.send(Event::Lost(Arc::from(BROKEN)));
        }
        Detached { frames }
    }

    /// Greets the agent on another stream.
    pub(crate) async fn attach(
        &self,
        detached: Detached,
        mut stream: ByteStream,
        post_mortem: Arc<dyn PostMortem>,
    ) -> Result<(), String> {
        let patience = post_mortem.patience();
        let mut buffer = BytesMut::new();
        let greeted = tokio::time::timeout(patience, greet(&mut stream, &mut buffer)).await;
        let failure = match greeted {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(describe(&error)),
            Err(_) => Some(format!("no greeting within {} seconds", patience.as_secs())),
        };
        if let Some(failure) = failure {
            return Err(post_mortem.examine(failure).await);
        }
        let writing = tokio::spawn(write(stream.write, detached.frames)).abort_handle();
        let table = Arc::clone(&self.table);
        let reading = tokio::spawn(async move {
            let reason = match read(stream.read, buffer, &table).await {
                Ok(()) => "its guest agent ended".to_owned(),
                Err(error) => describe(&error),
            };
            if lock(&table).lost.is_none() {
                let reason = post_mortem.examine(reason).await;
                lose(&table, &reason);
            }
        });
        lock(&self.table).stream = Some(Attached { reading: reading.abort_handle(), writing });
        Ok(())
    }

    /// Sends the request that `make` builds around a fresh id; what comes back arrives at the result.
    pub(crate) fn request(
        &self,
        budget: Budget,
        make: impl FnOnce(u32) -> Request,
    ) -> Result<Pending, MachineError> {
        let (sender, events) = unbounded_channel();
        let id = {
            let mut table = lock(&self.table);
            if let Some(reason) = &table.lost {
                return Err(MachineError::Lost { reason: reason.to_string() });
            }
            table.next = table.next.wrapping_add(1);
            let id = table.next;
            table.entries.insert(id, Entry { events: sender, budget: budget.0, input: None });
            id
        };
        let pending = Pending { id, events, connection: self.clone(), is_ended: false };
        self.send(&make(id)).inspect_err(|_| self.forget(id))?;
        Ok(pending)
    }

    /// Room for the input of a process that is being started: from now on its `Taken`s make room there.
    pub(crate) fn input_room(&self, id: u32) -> Arc<Semaphore> {
        let room = Arc::new(Semaphore::new(INPUT_PIPELINE));
        match lock(&self.table).entries.get_mut(&id) {
            Some(entry) => entry.input = Some(Arc::clone(&room)),
            None => room.close(),
        }
        room
    }

    fn outgoing(&self) -> MutexGuard<'_, UnboundedSender<Outgoing>> {
        self.outgoing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn send(&self, request: &Request) -> Result<(), MachineError> {
        let frame = frame::encode_request(request)
            .map_err(|source| MachineError::Request { message: describe(&source) })?;
        // A writer that is gone means a stream that has failed; the reader reports it.
        let _ = self.outgoing().send(Outgoing::Frame(frame));
        Ok(())
    }

    /// Waits until the agent has read all requests so far, and holds back the later ones: whoever greets a copy of the machine
    /// finds the agent between two requests.
    pub(crate) async fn hold(&self) -> Result<Held, MachineError> {
        let (release, released) = oneshot::channel();
        let reached = self.request(Budget::SHORT, |id| Request::Reach { id })?;
        // As above.
        let _ = self.outgoing().send(Outgoing::Hold(released));
        reached.done().await.map(|()| Held { _release: release })
    }

    /// Lets the agent send that much more for a request.
    fn credit(&self, id: u32, bytes: u64) {
        if let Some(entry) = lock(&self.table).entries.get_mut(&id) {
            entry.budget = entry.budget.saturating_add(bytes);
        }
    }

    fn forget(&self, id: u32) {
        lock(&self.table).entries.remove(&id);
    }

    /// Waits until every request fails; says why.
    pub(crate) async fn lost(&self) -> String {
        let mut receiver = {
            let mut table = lock(&self.table);
            if let Some(reason) = &table.lost {
                return reason.to_string();
            }
            let (sender, receiver) = unbounded_channel();
            table.watchers.retain(|watcher: &UnboundedSender<Event>| !watcher.is_closed());
            table.watchers.push(sender);
            receiver
        };
        match receiver.recv().await {
            Some(Event::Lost(reason)) => reason.to_string(),
            _ => "its connection has ended".to_owned(),
        }
    }

    /// Fails every request, present and future.
    pub(crate) fn close(&self, reason: &str) {
        lose(&self.table, reason);
    }
}

/// A request that is being carried out. Dropping it before its end tells the agent to give it up.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) id: u32,
    events: UnboundedReceiver<Event>,
    connection: Connection,
    is_ended: bool,
}

impl Pending {
    /// The next event; [`Event::Lost`] for ever once the machine is gone.
    pub(crate) async fn next(&mut self) -> Event {
        let lost = || Event::Lost(Arc::from("the request has ended"));
        let event = self.events.recv().await.unwrap_or_else(lost);
        self.is_ended |= event.is_last();
        event
    }

    /// Tells the agent that `bytes` of output have been taken, frames' cost included.
    pub(crate) fn grant(&self, bytes: u32) {
        self.connection.credit(self.id, u64::from(bytes));
        // The request is far below the limit of a frame.
        let _ = self.connection.send(&Request::Grant { id: self.id, bytes });
    }

    /// Sends a further part of this request, to which the agent answers with one short event.
    pub(crate) fn send_part(&self, request: &Request) -> Result<(), MachineError> {
        self.connection.credit(self.id, u64::from(FRAME_COST));
        self.connection.send(request)
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Waits for the one answer of a request that has no other events.
    pub(crate) async fn answer(mut self) -> Result<Event, MachineError> {
        match self.next().await {
            Event::Failed(operation, message) => Err(MachineError::Failed { operation, message }),
            Event::Lost(reason) => Err(MachineError::Lost { reason: reason.to_string() }),
            event => Ok(event),
        }
    }

    pub(crate) async fn done(self) -> Result<(), MachineError> {
        match self.answer().await? {
            Event::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.is_ended {
            self.connection.forget(self.id);
            // The request is far below the limit of a frame.
            let _ = self.connection.send(&Request::Abandon { id: self.id });
        }
    }
}

/// The error for an answer that does not fit its request.
pub(crate) fn unexpected(event: &Event) -> MachineError {
    // Only its kind: what a guest sent is in no message.
    let kind = match event {
        Event::Started => "Started",
        Event::Output(..) => "Output",
        Event::Data(..) => "Data",
        Event::File(..) => "File",
        Event::Exited(_) => "Exited",
        Event::Paths(_) => "Paths",
        Event::Hashed(_) => "Hashed",
        Event::Taken => "Taken",
        Event::Done => "Done",
        Event::Failed(..) => "Failed",
        Event::Usage(_) => "Usage",
        Event::Lost(_) => "Lost",
    };
    MachineError::Lost { reason: format!("its guest agent broke the protocol with the answer `{kind}`") }
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

fn lose(table: &Mutex<Table>, reason: &str) {
    let mut table = lock(table);
    let reason = Arc::clone(table.lost.get_or_insert_with(|| Arc::from(reason)));
    for (_, entry) in table.entries.drain() {
        // An owner that is gone needs no news.
        let _ = entry.events.send(Event::Lost(Arc::clone(&reason)));
    }
    for watcher in table.watchers.drain(..) {
        // As above.
        let _ = watcher.send(Event::Lost(Arc::clone(&reason)));
    }
}

/// An error with its causes, on one line.
pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// A reason, with what the agent's log says.
pub(crate) fn with_log(reason: String, log: Option<&File>) -> String {
    let tail = log.and_then(|log| tail(log).ok()).unwrap_or_default();
    let tail = tail.trim();
    if tail.is_empty() { reason } else { format!("{reason}; its log says: {tail}") }
}

fn tail(log: &File) -> io::Result<String> {
    let length = log.metadata()?.len();
    let quoted = length.min(MAX_LOG);
    let mut bytes = vec![0; usize::try_from(quoted).expect("the limit is small")];
    // What is written meanwhile goes behind what is read.
    log.read_exact_at(&mut bytes, length - quoted)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Greets and waits for the answer; what follows it is left in `buffer`.
async fn greet(stream: &mut ByteStream, buffer: &mut BytesMut) -> Result<(), FrameError> {
    let ours = Preamble::new(nonce().map_err(FrameError::Stream)?);
    stream.write.write_all(&ours.encode()).await.map_err(FrameError::Stream)?;
    let mut scanner = PreambleScanner::default();
    loop {
        while !buffer.is_empty() {
            match scanner.push(buffer.get_u8())? {
                Some(theirs) if theirs.version != PROTOCOL_VERSION => {
                    return Err(FrameError::Version { theirs: theirs.version });
                }
                Some(theirs) if theirs.nonce == ours.nonce => return Ok(()),
                // An answer to an earlier connection's greeting is as stale as what is before it.
                _ => {}
            }
        }
        buffer.reserve(READ_SIZE);
        if stream.read.read_buf(buffer).await.map_err(FrameError::Stream)? == 0 {
            return Err(FrameError::NotGreeted);
        }
    }
}

fn nonce() -> io::Result<[u8; 16]> {
    let mut nonce = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut nonce)?;
    Ok(nonce)
}

async fn write(mut stream: Box<dyn AsyncWrite + Send + Unpin>, mut outgoing: UnboundedReceiver<Outgoing>) {
    while let Some(next) = outgoing.recv().await {
        match next {
            Outgoing::Frame(frame) => {
                if stream.write_all(&frame).await.is_err() {
                    // The reading task finds the stream ended and reports it.
                    return;
                }
            }
            Outgoing::Hold(released) => drop(released.await),
        }
    }
}

async fn read(
    mut stream: Box<dyn AsyncRead + Send + Unpin>,
    mut buffer: BytesMut,
    table: &Mutex<Table>,
) -> Result<(), FrameError> {
    loop {
        while let Some(body) = next_body(&mut buffer)? {
            let (id, event) = event(frame::decode_reply(&body)?, &body);
            deliver(table, id, event)?;
        }
        buffer.reserve(READ_SIZE);
        if stream.read_buf(&mut buffer).await.map_err(FrameError::Stream)? == 0 {
            let got = buffer.len();
            return if got == 0 { Ok(()) } else { Err(FrameError::Truncated { got, wanted: got + 1 }) };
        }
    }
}

fn next_body(buffer: &mut BytesMut) -> Result<Option<Bytes>, FrameError> {
    let Some((length, rest)) = buffer.split_first_chunk::<4>() else { return Ok(None) };
    let length = frame::body_length(*length)?;
    if rest.len() < length {
        buffer.reserve(length + 4 - buffer.len());
        return Ok(None);
    }
    let mut frame = buffer.split_to(length + 4).freeze();
    Ok(Some(frame.split_off(4)))
}

fn event(reply: Reply<'_>, body: &Bytes) -> (u32, Event) {
    match reply {
        Reply::Output { id, stream, data } => (id, Event::Output(stream, shared(data, body))),
        Reply::Data { id, index, data } => (id, Event::Data(index, shared(data, body))),
        Reply::Started { id, .. } => (id, Event::Started),
        Reply::Exited { id, status } => (id, Event::Exited(status)),
        Reply::File { id, index, found } => (id, Event::File(index, found)),
        Reply::Paths { id, paths } => (id, Event::Paths(paths)),
        Reply::Hashed { id, hash } => (id, Event::Hashed(hash)),
        Reply::Taken { id } => (id, Event::Taken),
        Reply::Done { id } => (id, Event::Done),
        Reply::Failed { id, operation, message } => (id, Event::Failed(operation, message)),
        Reply::Usage { id, usage } => (id, Event::Usage(usage)),
    }
}

fn shared(data: &[u8], body: &Bytes) -> Bytes {
    if data.len() < MIN_SHARED { Bytes::copy_from_slice(data) } else { body.slice_ref(data) }
}

/// Passes an event on. One for an id that nobody owns any more is dropped.
fn deliver(table: &Mutex<Table>, id: u32, event: Event) -> Result<(), FrameError> {
    let mut table = lock(table);
    let Some(entry) = table.entries.get_mut(&id) else { return Ok(()) };
    if let (Some(input), Event::Taken) = (&entry.input, &event) {
        if input.available_permits() >= INPUT_PIPELINE {
            return Err(FrameError::Unrequested { id });
        }
        input.add_permits(1);
        return Ok(());
    }
    let Some(left) = entry.budget.checked_sub(event.cost()) else {
        return Err(FrameError::Unrequested { id });
    };
    entry.budget = left;
    let is_last = event.is_last();
    // An owner that is gone has told the agent so.
    let _ = entry.events.send(event);
    if is_last {
        table.entries.remove(&id);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{Event, unexpected};

    #[test]
    fn what_a_guest_sent_is_in_no_error() {
        let error = unexpected(&Event::Data(0, Bytes::from_static(b"hunter2"))).to_string();
        assert_eq!(error, "the machine was lost: its guest agent broke the protocol with the answer `Data`");
    }
}
