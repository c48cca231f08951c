//! What a process reads: from the host to its standard input or its terminal.
//!
//! The agent's main loop puts chunks into an [`Inbox`] and never waits; the process's relay takes them out as the process
//! reads, and answers each. An inbox holds at most [`INPUT_PIPELINE`] chunks, because the host sends no more before an answer.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;

use crate::output::{Replies, lock};
use crate::protocol::{INPUT_PIPELINE, MAX_CHUNK, Reply};
use crate::terminal;

/// The host sent more than it may.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Overrun;

/// Input that waits for a process.
#[derive(Debug)]
pub(crate) struct Inbox {
    waiting: Mutex<Waiting>,
    /// Readable when there is something new.
    wake: OwnedFd,
}

#[derive(Debug, Default)]
struct Waiting {
    chunks: VecDeque<Vec<u8>>,
    is_ended: bool,
}

enum Next {
    Chunk(Vec<u8>),
    NothingYet,
    End,
}

impl Inbox {
    pub(crate) fn new() -> io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { waiting: Mutex::default(), wake })
    }

    /// Adds a chunk; one that comes after the end is dropped.
    pub(crate) fn push(&self, data: Vec<u8>) -> Result<(), Overrun> {
        let mut waiting = lock(&self.waiting);
        if waiting.chunks.len() >= INPUT_PIPELINE || data.len() > MAX_CHUNK {
            return Err(Overrun);
        }
        if !waiting.is_ended {
            waiting.chunks.push_back(data);
        }
        self.wake();
        Ok(())
    }

    pub(crate) fn end(&self) {
        lock(&self.waiting).is_ended = true;
        self.wake();
    }

    fn wake(&self) {
        // It fails only when it would go beyond 64 bits.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }

    fn next(&self) -> Next {
        let mut waiting = lock(&self.waiting);
        // Nothing was new, or this takes notice of it.
        let _ = rustix::io::read(&self.wake, &mut [0; 8]);
        match waiting.chunks.pop_front() {
            Some(chunk) => Next::Chunk(chunk),
            None if waiting.is_ended => Next::End,
            None => Next::NothingYet,
        }
    }
}

/// Passes input on to one process.
#[derive(Debug)]
pub(crate) struct Feed {
    /// None when nobody reads it any more: what comes is dropped.
    sink: Option<Sink>,
    chunk: Vec<u8>,
    written: usize,
    /// None when `chunk` is the last.
    inbox: Option<Arc<Inbox>>,
    /// Whether the host waits to hear that `chunk` has been passed on.
    is_answered: bool,
}

/// Where a process's input goes; not blocking.
#[derive(Debug)]
pub(crate) enum Sink {
    /// Ends by being closed.
    Pipe(OwnedFd),
    /// Ends by a character.
    Terminal(Arc<OwnedFd>),
}

impl Feed {
    /// Input that is there already, and its end.
    pub(crate) fn whole(sink: Sink, bytes: Vec<u8>) -> Self {
        Self { sink: Some(sink), chunk: bytes, written: 0, inbox: None, is_answered: true }
    }

    /// Input that the inbox brings.
    pub(crate) fn streamed(sink: Sink, inbox: Arc<Inbox>) -> Self {
        Self { sink: Some(sink), chunk: Vec::new(), written: 0, inbox: Some(inbox), is_answered: true }
    }

    /// What to write to, while something is to be written.
    pub(crate) fn waits_for_room(&self) -> Option<&OwnedFd> {
        match self.sink.as_ref().filter(|_| self.written < self.chunk.len())? {
            Sink::Pipe(pipe) => Some(pipe),
            Sink::Terminal(terminal) => Some(terminal),
        }
    }

    /// What becomes readable when there is more, while that is waited for.
    pub(crate) fn waits_for_more(&self) -> Option<&OwnedFd> {
        let inbox = self.inbox.as_ref().filter(|_| self.waits_for_room().is_none())?;
        Some(&inbox.wake)
    }

    /// Passes on what the process `id` takes now; `false` when there will be no more.
    pub(crate) fn advance(&mut self, id: u32, replies: &Replies) -> bool {
        loop {
            if self.written < self.chunk.len() {
                match self.write() {
                    Ok(count) => self.written += count,
                    Err(Errno::INTR) => {}
                    Err(Errno::AGAIN) => return true,
                    Err(_) => {
                        self.sink = None;
                        self.written = self.chunk.len();
                    }
                }
                continue;
            }
            if !std::mem::replace(&mut self.is_answered, true) {
                // A host that is gone ends the agent from its reading side.
                let _ = replies.send(&Reply::Taken { id });
            }
            match self.inbox.as_ref().map_or(Next::End, |inbox| inbox.next()) {
                Next::Chunk(chunk) => {
                    (self.chunk, self.written) = (chunk, 0);
                    self.is_answered = false;
                }
                Next::NothingYet => return true,
                Next::End => {
                    let Some(last) = self.sink.as_ref().and_then(Sink::last) else { return false };
                    // With its last character nothing more is to be said to a terminal.
                    *self = Self::whole(Sink::Pipe(last.0), vec![last.1]);
                }
            }
        }
    }

    fn write(&self) -> Result<usize, Errno> {
        let rest = &self.chunk[self.written..];
        match &self.sink {
            Some(Sink::Pipe(pipe)) => rustix::io::write(pipe, rest),
            Some(Sink::Terminal(terminal)) => rustix::io::write(&**terminal, rest),
            None => Ok(rest.len()),
        }
    }
}

impl Sink {
    /// What tells a terminal of the end, and where to write it.
    fn last(&self) -> Option<(OwnedFd, u8)> {
        let Self::Terminal(terminal) = self else { return None };
        Some((terminal.try_clone().ok()?, terminal::end_of_file(terminal)))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;

    use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
    use proptest::strategy::{Just, Strategy};

    use super::{Feed, Inbox, Overrun, Sink};
    use crate::output::Replies;
    use crate::protocol::{INPUT_PIPELINE, MAX_CHUNK};

    /// A feed, its inbox, what its process reads, and what the host reads.
    fn feed() -> (Feed, Arc<Inbox>, UnixStream, UnixStream) {
        let (ours, process) = UnixStream::pair().unwrap();
        let (agent, host) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        process.set_nonblocking(true).unwrap();
        host.set_nonblocking(true).unwrap();
        let inbox = Arc::new(Inbox::new().unwrap());
        let feed = Feed::streamed(Sink::Pipe(ours.into()), Arc::clone(&inbox));
        REPLIES.with(|replies| {
            *replies.borrow_mut() = Some(Replies::new(std::os::fd::OwnedFd::from(agent).into()))
        });
        (feed, inbox, process, host)
    }

    thread_local! {
        static REPLIES: std::cell::RefCell<Option<Replies>> = const { std::cell::RefCell::new(None) };
    }

    fn advance(feed: &mut Feed) -> bool {
        REPLIES.with(|replies| feed.advance(7, replies.borrow().as_ref().unwrap()))
    }

    fn available(stream: &mut UnixStream) -> Vec<u8> {
        let mut bytes = Vec::new();
        // The stream has no more now.
        let _ = stream.read_to_end(&mut bytes);
        bytes
    }

    #[derive(Debug, Clone)]
    enum Move {
        Push(Vec<u8>),
        Advance,
        Read,
        End,
    }

    fn moves() -> impl Strategy<Value = Vec<Move>> {
        let chunk = proptest::collection::vec(any::<u8>(), 0..3000);
        proptest::collection::vec(
            prop_oneof![
                6 => chunk.prop_map(Move::Push),
                4 => Just(Move::Advance),
                3 => Just(Move::Read),
                1 => Just(Move::End),
            ],
            0..60,
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn what_is_pushed_before_the_end_arrives_once_and_in_order(moves in moves()) {
            let (mut feed, inbox, mut process, mut host) = feed();
            let (mut expected, mut got, mut pushed, mut ended) = (Vec::new(), Vec::new(), 0, false);
            let mut answered = 0;
            for step in moves {
                match step {
                    Move::Push(data) => match inbox.push(data.clone()) {
                        Ok(()) if !ended => {
                            pushed += 1;
                            expected.extend(data);
                        }
                        Ok(()) => {}
                        Err(Overrun) => prop_assert!(pushed - answered >= INPUT_PIPELINE),
                    },
                    Move::Advance => drop(advance(&mut feed)),
                    Move::Read => got.extend(available(&mut process)),
                    Move::End => {
                        inbox.end();
                        ended = true;
                    }
                }
                // A `Taken` is one byte of length before two of message.
                answered += available(&mut host).len() / 6;
                prop_assert!(answered <= pushed);
            }
            inbox.end();
            while advance(&mut feed) {
                got.extend(available(&mut process));
            }
            answered += available(&mut host).len() / 6;
            drop(feed);
            got.extend(available(&mut process));
            prop_assert_eq!(got, expected);
            prop_assert_eq!(answered, pushed);
        }
    }

    #[test]
    fn a_host_that_does_not_wait_for_answers_is_found_out() {
        let (_feed, inbox, _process, _host) = feed();
        for _ in 0..INPUT_PIPELINE {
            assert_eq!(inbox.push(vec![1]), Ok(()));
        }
        assert_eq!(inbox.push(vec![1]), Err(Overrun));
        let (_feed, inbox, _process, _host) = feed();
        assert_eq!(inbox.push(vec![0; MAX_CHUNK + 1]), Err(Overrun));
    }

    #[test]
    fn what_nobody_reads_is_dropped_and_answered() {
        let (mut feed, inbox, process, mut host) = feed();
        drop(process);
        for _ in 0..10 {
            inbox.push(vec![1; 1000]).unwrap();
            assert!(advance(&mut feed));
            assert_eq!(available(&mut host).len(), 6);
        }
    }
}
