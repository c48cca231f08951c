//! The loop: messages in, answers out.
//!
//! ```text
//! reader thread: bytes ─▶ bounded channel ─▶ queue ─▶ session ─▶ answers
//!                                              └ when nothing is left: diagnostics of one document
//! ```
//!
//! Changes that have come are applied before anything is analysed, so that text that is typed fast is analysed once; a
//! request whose cancellation has come is not worked on.

use std::collections::VecDeque;
use std::io::{self, BufRead, Write};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;

use lsp_server::{ErrorCode, Message, RequestId, Response};
use lsp_types::notification::{Cancel, Exit, Notification};
use lsp_types::{CancelParams, NumberOrString};

use crate::frame::{self, FrameError, Incoming};
use crate::repository::ReadSettings;
use crate::session::Session;

/// Messages that wait between the reader and the loop, and again in the loop.
const MAX_QUEUE: usize = 256;

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The editor shut the server down before it let it exit.
    Orderly,
    /// The editor is gone, or let the server exit without a shutdown.
    Abrupt,
}

/// Why a session cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// What the editor sends cannot be read.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// Answers cannot be sent.
    #[error("cannot write to the editor")]
    Write(#[source] io::Error),
}

/// Speaks the protocol on a pair of streams until the editor ends it or is gone; `settings` reads what repositories say
/// about checking.
///
/// # Errors
/// A stream that fails, or in which messages cannot be told apart.
pub fn serve(
    input: impl BufRead + Send + 'static,
    output: &mut impl Write,
    settings: &dyn ReadSettings,
) -> Result<Ending, ServeError> {
    let (sender, receiver) = sync_channel(MAX_QUEUE);
    // The thread ends with the stream, or at its next message when the loop has ended.
    thread::spawn(move || read_all(input, &sender));
    let mut server = Server { receiver, queue: VecDeque::new(), session: Session::new(settings), output };
    server.run()
}

type Read = Result<Option<Incoming>, FrameError>;

fn read_all(mut input: impl BufRead, sender: &SyncSender<Read>) {
    loop {
        let read = frame::read(&mut input);
        let is_last = !matches!(read, Ok(Some(_)));
        if sender.send(read).is_err() || is_last {
            return;
        }
    }
}

struct Server<'o, W> {
    receiver: Receiver<Read>,
    queue: VecDeque<Read>,
    session: Session<'o>,
    output: &'o mut W,
}

impl<W: Write> Server<'_, W> {
    fn run(&mut self) -> Result<Ending, ServeError> {
        loop {
            self.take_what_has_come();
            let next = match self.queue.pop_front() {
                Some(next) => next,
                None => match self.session.next_diagnostics() {
                    Some(notification) => {
                        self.send(&notification.into())?;
                        continue;
                    }
                    // The reader is gone only after it has said why.
                    None => self.receiver.recv().unwrap_or(Ok(None)),
                },
            };
            match next? {
                None => return Ok(self.ending()),
                Some(Incoming::Malformed(malformed)) => {
                    frame::write_malformed(self.output, &malformed).map_err(ServeError::Write)?;
                }
                Some(Incoming::Message(Message::Notification(exit))) if exit.method == Exit::METHOD => {
                    return Ok(self.ending());
                }
                Some(Incoming::Message(message)) => self.handle(message)?,
            }
        }
    }

    fn take_what_has_come(&mut self) {
        while self.queue.len() < MAX_QUEUE {
            match self.receiver.try_recv() {
                Ok(read) => self.queue.push_back(read),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return,
            }
        }
    }

    fn handle(&mut self, message: Message) -> Result<(), ServeError> {
        match message {
            Message::Request(request) => {
                let answer = if self.is_cancelled(&request.id) {
                    let code = ErrorCode::RequestCanceled as i32;
                    Response::new_err(request.id, code, "the request was cancelled".into())
                } else {
                    self.session.answer(request)
                };
                self.send(&answer.into())
            }
            Message::Notification(notification) => {
                self.session.notice(notification);
                Ok(())
            }
            // Nothing is asked of the editor whose answer would matter.
            Message::Response(_) => Ok(()),
        }
    }

    /// Whether the request's cancellation is in the queue.
    fn is_cancelled(&self, id: &RequestId) -> bool {
        self.queue.iter().any(|read| {
            let Ok(Some(Incoming::Message(Message::Notification(notification)))) = read else { return false };
            if notification.method != Cancel::METHOD {
                return false;
            }
            match serde_json::from_value::<CancelParams>(notification.params.clone()) {
                Ok(CancelParams { id: NumberOrString::Number(number) }) => *id == RequestId::from(number),
                Ok(CancelParams { id: NumberOrString::String(text) }) => *id == RequestId::from(text),
                Err(_) => false,
            }
        })
    }

    fn send(&mut self, message: &Message) -> Result<(), ServeError> {
        frame::write(self.output, message).map_err(ServeError::Write)
    }

    fn ending(&self) -> Ending {
        if self.session.is_shut_down() { Ending::Orderly } else { Ending::Abrupt }
    }
}
