//! Terminals for processes: a pair of which the agent holds one side and the process the other.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::pty::OpenptFlags;
use rustix::termios::{SpecialCodeIndex, Winsize, tcgetattr, tcsetwinsize};

use crate::protocol::TerminalSize;

/// What a terminal takes as the end of input unless it is told otherwise: Ctrl-D.
const END_OF_FILE: u8 = 4;

/// Makes a pair: the agent's side, not blocking, and the process's.
pub(crate) fn open(size: TerminalSize) -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let ours = rustix::pty::openpt(flags)?;
    rustix::pty::grantpt(&ours)?;
    rustix::pty::unlockpt(&ours)?;
    let theirs = rustix::pty::ioctl_tiocgptpeer(&ours, flags)?;
    resize(&ours, size)?;
    rustix::io::ioctl_fionbio(&ours, true)?;
    Ok((ours, theirs))
}

/// Gives a terminal another size; its foreground processes are told.
pub(crate) fn resize(terminal: &OwnedFd, size: TerminalSize) -> io::Result<()> {
    let size = Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    Ok(tcsetwinsize(terminal, size)?)
}

/// The character that ends input there.
pub(crate) fn end_of_file(terminal: &OwnedFd) -> u8 {
    let set = tcgetattr(terminal).map(|settings| settings.special_codes[SpecialCodeIndex::VEOF]);
    set.unwrap_or(END_OF_FILE)
}

/// Makes the process lead a session with this terminal, which is its input and output.
#[expect(unsafe_code, reason = "what happens between fork and exec is not safe by itself")]
pub(crate) fn attach(command: &mut Command, theirs: OwnedFd) -> io::Result<()> {
    command.stdin(theirs.try_clone()?).stdout(theirs.try_clone()?).stderr(theirs);
    let lead_session = || {
        rustix::process::setsid()?;
        rustix::process::ioctl_tiocsctty(rustix::stdio::stdin().as_fd())?;
        Ok(())
    };
    // SAFETY: the closure makes two system calls and takes no memory and no locks.
    unsafe {
        command.pre_exec(lead_session);
    }
    Ok(())
}
