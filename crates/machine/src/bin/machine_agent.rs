//! The guest agent, for this crate's integration tests; the product's own binary serves as agent elsewhere.

use std::process::ExitCode;

fn main() -> ExitCode {
    match std::env::args_os().nth(1) {
        Some(argument) if argument == "--machine" => guest::serve::main_of_machine(),
        _ => guest::serve::main(),
    }
}
