//! The caller's terminal while a process in a machine has it.

use std::io;
use std::os::fd::AsFd;

use machine::TerminalSize;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// A terminal that passes every key on as it is; as it was again when dropped.
#[derive(Debug)]
pub(super) struct RawTerminal {
    before: Termios,
}

impl RawTerminal {
    /// Takes over the terminal at standard input.
    pub(super) fn take() -> io::Result<Self> {
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
pub(super) fn size() -> io::Result<TerminalSize> {
    let size = tcgetwinsize(io::stdin().as_fd())?;
    Ok(TerminalSize { rows: size.ws_row, columns: size.ws_col })
}
