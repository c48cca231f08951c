//! The guest agent as a program of its own: it serves the byte stream that it finds at descriptor 0, or becomes another
//! program as a user.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == guest::run_as::RUN_AS) {
        return guest::run_as::main(arguments);
    }
    guest::serve::main()
}
