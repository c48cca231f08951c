//! `firedog lsp`: the language in an editor.

use std::io::{self, BufReader};

use crate::failure::{Exit, Failure};

/// Arguments of `lsp`.
#[derive(Debug, clap::Args)]
pub(crate) struct LspArgs {
    /// Speak over standard input and output, as it always does; editors like to say it
    #[arg(long)]
    stdio: bool,
}

pub(crate) fn run(_: &LspArgs) -> Result<Exit, Failure> {
    match lsp::serve(BufReader::new(io::stdin()), &mut io::stdout().lock()) {
        Ok(lsp::Ending::Orderly) => Ok(Exit::Success),
        Ok(lsp::Ending::Abrupt) => Ok(Exit::Negative),
        Err(error) => Err(Failure::new(Exit::Usage, error)),
    }
}
