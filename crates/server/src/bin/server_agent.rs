//! The guest agent, for this crate's integration tests; the product's own binary serves as agent elsewhere.

use std::process::ExitCode;

fn main() -> ExitCode {
    guest::serve::main()
}
