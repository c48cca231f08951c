//! `firedog lsp`: the language in an editor.

use std::io::{self, BufReader};
use std::path::Path;

use lsp::{ReadSettings, RepositorySettings};
use workflow::diagnostic::Diagnostic;
use workflow::lint::{ResolveAction, Settings};

use super::check::{Configuration, Lock};
use crate::config::Config;
use crate::failure::{Exit, Failure};

/// Arguments of `lsp`.
#[derive(Debug, clap::Args)]
pub(crate) struct LspArgs {
    /// Speak over standard input and output, as it always does; editors like to say it
    #[arg(long)]
    stdio: bool,
}

pub(crate) fn run(_: &LspArgs, config: &Config) -> Result<Exit, Failure> {
    match lsp::serve(BufReader::new(io::stdin()), &mut io::stdout().lock(), &Reader { config }) {
        Ok(lsp::Ending::Orderly) => Ok(Exit::Success),
        Ok(lsp::Ending::Abrupt) => Ok(Exit::Negative),
        Err(error) => Err(Failure::new(Exit::Usage, error)),
    }
}

/// Reads the configuration that `firedog check` obeys.
struct Reader<'c> {
    config: &'c Config,
}

#[derive(Debug, Default)]
struct Said {
    configuration: Configuration,
    lock: Lock,
}

impl ReadSettings for Reader<'_> {
    fn read(&self, root: Option<&Path>) -> Result<Box<dyn RepositorySettings>, String> {
        let Some(root) = root else { return Ok(Box::new(Said::default())) };
        let read = || {
            let configuration = Configuration::load(root, None, self.config)?;
            Ok(Said { configuration, lock: Lock::of(root, self.config)? })
        };
        read().map(|said| Box::new(said) as _).map_err(|failure: Failure| failure.cause())
    }
}

impl RepositorySettings for Said {
    fn settings<'a>(&'a self, actions: &'a dyn ResolveAction) -> Settings<'a> {
        self.configuration.settings(actions)
    }

    fn retain(&self, name: &Path, found: &mut Vec<Diagnostic>) {
        self.configuration.retain(name, found);
    }

    fn commit(&self, uses: &str) -> Option<String> {
        self.lock.commit(uses)
    }
}
