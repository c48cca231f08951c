//! Becomes another program as a user, for whom starts it in a root that may have no tool for that.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

/// The first argument of the agent that asks for this; user, group and the program with its arguments follow.
pub const RUN_AS: &str = "run-as";

/// The status that shells give for a program that cannot be started.
const NOT_STARTED: u8 = 127;

/// Does what the arguments behind [`RUN_AS`] say. All that the program prints goes to the standard error. Returns only where the
/// program cannot be started.
#[expect(clippy::print_stderr, reason = "whoever started this reads it there")]
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let error = become_program(arguments);
    eprintln!("{error}");
    ExitCode::from(NOT_STARTED)
}

fn become_program(mut arguments: impl Iterator<Item = OsString>) -> io::Error {
    let mut number = || arguments.next()?.to_str()?.parse::<u32>().ok();
    let (Some(uid), Some(gid)) = (number(), number()) else {
        return io::Error::other("expected the numbers of a user and a group");
    };
    let Some(program) = arguments.next() else {
        return io::Error::other("expected a program");
    };
    let error = Command::new(&program).args(arguments).uid(uid).gid(gid).stdout(io::stderr()).exec();
    io::Error::new(error.kind(), format!("cannot start `{}`: {error}", program.display()))
}
