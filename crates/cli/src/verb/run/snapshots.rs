//! What is kept before steps: the arguments, and the folder where it is kept.

use std::sync::Arc;

use clap::ValueEnum;
use run::id::CheckpointId;
use runner::checkpoint::{Checkpoints, Keep};
use store::Store;
use tokio::task::spawn_blocking;
use vault::{Limits, Vault, VaultError};

use crate::failure::{Exit, Failure};
use crate::output;
use crate::state::StateFolder;

/// The units of sizes, as multiples of 1,024 bytes.
const UNITS: [&str; 5] = ["", "K", "M", "G", "T"];

/// Arguments that say what is kept before steps.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct SnapshotArgs {
    /// Keep what is there before steps, for `firedog rewind` and `firedog fork`: never, before steps that then fail, or
    /// before all
    #[arg(long, value_name = "WHEN", default_value = "off", help_heading = "Snapshots")]
    pub(crate) snapshots: SnapshotChoice,
    /// Undo a step that fails and try it again, at most so many times; a step that passes then is marked
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "1", default_value = "0")]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=99), hide_default_value = true)]
    #[arg(help_heading = "Snapshots")]
    pub(crate) rollback: u32,
    /// Keep the snapshots of so many runs, those of the newest
    #[arg(long, value_name = "N", default_value = "10", help_heading = "Snapshots")]
    pub(crate) snapshot_runs: u32,
    /// Let all snapshots together take so much room, such as 500M or 20G
    #[arg(long, value_name = "SIZE", default_value = "10G", value_parser = size, help_heading = "Snapshots")]
    pub(crate) snapshot_space: u64,
}

/// Which snapshots are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SnapshotChoice {
    Off,
    Failure,
    Steps,
}

impl SnapshotArgs {
    /// What checkpoints may take.
    pub(super) fn limits(&self) -> Limits {
        Limits { runs: self.snapshot_runs as usize, bytes: self.snapshot_space }
    }

    fn wants_any(&self) -> bool {
        self.snapshots != SnapshotChoice::Off || self.rollback > 0
    }

    /// Which checkpoints stay.
    pub(super) fn keep(&self) -> Keep {
        match self.snapshots {
            SnapshotChoice::Off => Keep::Nothing,
            SnapshotChoice::Failure => Keep::Failures,
            SnapshotChoice::Steps => Keep::Steps,
        }
    }

    /// What the runner keeps, and where; nothing where nothing is asked for. A folder that cannot be used is said, and the run
    /// goes on without.
    pub(crate) async fn open(
        &self,
        state: &StateFolder,
        store: &Store,
    ) -> Result<Option<Checkpoints>, Failure> {
        if !self.wants_any() {
            return Ok(None);
        }
        let (folder, limits) = (state.checkpoints(), self.limits());
        let opened = spawn_blocking(move || {
            let vault = Vault::open(&folder, limits.bytes)?;
            // Half of the room is for the run that begins.
            let is_full = vault.used() > limits.bytes / 2;
            let half = Limits { bytes: limits.bytes / 2, ..limits };
            let gone = if is_full { vault.prune(half)?.checkpoints } else { Vec::new() };
            Ok((vault, gone))
        });
        let opened: Result<_, VaultError> = opened.await.expect("opening a folder does not panic");
        match opened {
            Ok((vault, gone)) => {
                forget(store, gone).await?;
                remove_untold(&vault, store).await?;
                let (vault, keep, retries) = (Arc::new(vault), self.keep(), self.rollback);
                Ok(Some(Checkpoints { vault, keep, renew_workspace: false, retries }))
            }
            Err(error) => {
                let reason = Failure::new(Exit::Usage, error).cause();
                output::to_stderr(&format!("warning: no snapshots are kept in this run: {reason}"));
                Ok(None)
            }
        }
    }

    /// Forgets what is too old or too much, once the runs have ended.
    pub(crate) async fn tidy(&self, vault: Arc<Vault>, store: &Store) -> Result<(), Failure> {
        let limits = self.limits();
        let pruned = spawn_blocking(move || vault.settle(limits));
        match pruned.await.expect("tidying does not panic") {
            Ok(pruned) => forget(store, pruned.checkpoints).await,
            Err(error) => {
                let reason = Failure::new(Exit::Usage, error).cause();
                output::to_stderr(&format!("warning: old snapshots cannot be removed: {reason}"));
                Ok(())
            }
        }
    }
}

/// Removes checkpoints that no run tells of: whoever made them died before it could.
async fn remove_untold(vault: &Vault, store: &Store) -> Result<(), Failure> {
    let untold = store.untold_checkpoints(vault.found()).await;
    for id in untold.map_err(|error| Failure::new(Exit::Usage, error))? {
        // One that cannot be removed now is found by the next start.
        drop(vault.remove(&id));
    }
    Ok(())
}

async fn forget(store: &Store, gone: Vec<String>) -> Result<(), Failure> {
    if gone.is_empty() {
        return Ok(());
    }
    let gone: Vec<CheckpointId> = gone.into_iter().map(CheckpointId).collect();
    store.forget_checkpoints(&gone).await.map_err(|error| Failure::new(Exit::Usage, error))
}

/// A size in bytes, or with a unit.
fn size(text: &str) -> Result<u64, String> {
    let expected = || "expected a size such as 500M or 20G".to_owned();
    let upper = text.trim().to_uppercase();
    let number = upper.trim_end_matches("IB").trim_end_matches('B');
    let digits = number.trim_end_matches(|unit: char| unit.is_ascii_alphabetic());
    let unit = &number[digits.len()..];
    let power = UNITS.iter().position(|known| *known == unit).ok_or_else(expected)?;
    let count: u64 = digits.trim().parse().map_err(|_| expected())?;
    let factor = 1024u64.pow(u32::try_from(power).map_err(|_| expected())?);
    count.checked_mul(factor).ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_have_units() {
        let check = |text: &str, expected: Option<u64>| assert_eq!(size(text).ok(), expected, "{text}");
        check("0", Some(0));
        check("1000", Some(1000));
        check("2K", Some(2048));
        check("500m", Some(500 << 20));
        check("10G", Some(10 << 30));
        check("10 GiB", Some(10 << 30));
        check("1TB", Some(1 << 40));
        check("", None);
        check("G", None);
        check("-1", None);
        check("1X", None);
        check("99999999T", None);
    }
}
