//! Writing to the standard streams without a panic when the reader is gone.

use std::io::{self, Write};

use serde_json::Value;

use crate::failure::{Exit, Failure};

/// Writes a line for people to standard error. That nobody reads it stops nothing.
pub(crate) fn to_stderr(text: &str) {
    let mut stream = io::stderr().lock();
    drop(stream.write_all(text.as_bytes()).and_then(|()| stream.write_all(b"\n")));
}

/// Writes text to standard output. A reader that has gone away wanted no more: that is a success.
pub(crate) fn to_stdout(text: &str) -> Result<(), Failure> {
    let mut stream = io::stdout().lock();
    let written = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::Usage, error).while_doing("cannot write to standard output"))
        }
        _ => Ok(()),
    }
}

/// Writes one JSON object and a newline to standard output.
pub(crate) fn json_to_stdout(object: &Value) -> Result<(), Failure> {
    to_stdout(&format!("{object}\n"))
}
