//! Reads bytes from standard input as a workflow and as an action: a target for fuzzers that feed a plain binary.
//!
//! A panic or an abort is a finding; the exit code is otherwise 0.

use std::io::{self, Read};

use workflow::read::{ReadOptions, Strictness, parse, parse_action};
use workflow::source::SourceFile;

fn main() -> io::Result<()> {
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes)?;
    let file = SourceFile::from_bytes("stdin", &bytes);
    for strictness in [Strictness::Author, Strictness::Runner] {
        let options = ReadOptions { strictness, background_steps: true, ..ReadOptions::default() };
        drop(parse(&file, &options));
        drop(parse_action(&file, &options));
    }
    Ok(())
}
