//! The caller's terminal and standard input while a process in a machine has them.

use std::io::{self, Read};
use std::os::fd::AsFd;

use bytes::Bytes;
use machine::TerminalSize;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::sync::mpsc;

/// A terminal that passes every key on as it is; as it was again when dropped.
#[derive(Debug)]
pub(crate) struct RawTerminal {
    before: Termios,
}

impl RawTerminal {
    /// Takes over the terminal at standard input.
    pub(crate) fn take() -> io::Result<Self> {
        let before = tcgetattr(io::stdin().as_fd())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin().as_fd(), OptionalActions::Drain, &raw)?;
        Ok(Self { before })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = tcsetattr(io::stdin().as_fd(), OptionalActions::Drain, &self.before);
    }
}

/// The size of the terminal at standard input.
pub(crate) fn size() -> io::Result<TerminalSize> {
    let size = tcgetwinsize(io::stdin().as_fd())?;
    Ok(TerminalSize { rows: size.ws_row, columns: size.ws_col })
}

/// Standard input in pieces of at most `largest` bytes, read by a thread that is left behind: nothing can end a reading of it.
pub(crate) fn read_stdin(largest: usize) -> mpsc::Receiver<Bytes> {
    let (sender, receiver) = mpsc::channel(1);
    let read = move || {
        let mut buffer = vec![0; largest];
        loop {
            match io::stdin().lock().read(&mut buffer) {
                Ok(0) => return,
                Ok(count) => {
                    if sender.blocking_send(Bytes::copy_from_slice(&buffer[..count])).is_err() {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    };
    // Without a thread there is no input.
    drop(std::thread::Builder::new().name("stdin".to_owned()).spawn(read));
    receiver
}
