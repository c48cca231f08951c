//! The guest agent as a program of its own: it serves the byte stream that it finds at descriptor 0.

use std::process::ExitCode;

fn main() -> ExitCode {
    guest::serve::main()
}
