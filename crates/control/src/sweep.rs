//! The runs that nobody will end any more.

use run::event::Timestamp;
use run::id::RunId;
use run::state::RunState;
use store::{Outcome, RunWrite, Store, StoreError};

use crate::live::abandon;

/// Why a run failed whose process is gone.
pub const ABANDONED: &str = "the firedog process that ran it ended without finishing it";

/// Events of one reading.
const PAGE: u32 = 256;

/// Closes one run whose owner is gone as failed. `None` when there is none. Whoever does the same at the same time
/// closes it or another one, never the same twice.
///
/// # Errors
/// When the database cannot be read or written.
pub async fn close_one(
    store: &Store,
    now: Timestamp,
    is_alive: &(dyn Fn(&str) -> bool + Sync),
) -> Result<Option<RunId>, StoreError> {
    for (run, owner) in store.unfinished().await? {
        if !is_alive(&owner) && close(store, &run, owner, now).await? {
            return Ok(Some(run));
        }
    }
    Ok(None)
}

/// Closes all runs whose owners are gone, one after the other. Returns them.
///
/// # Errors
/// When the database cannot be read or written: the runs before stay closed.
pub async fn close_departed(
    store: &Store,
    now: Timestamp,
    is_alive: &(dyn Fn(&str) -> bool + Sync),
) -> Result<Vec<RunId>, StoreError> {
    let mut closed = Vec::new();
    while let Some(run) = close_one(store, now, is_alive).await? {
        closed.push(run);
    }
    Ok(closed)
}

/// Closes the run, unless somebody else has written to it since.
async fn close(store: &Store, run: &RunId, owner: String, now: Timestamp) -> Result<bool, StoreError> {
    let mut state = RunState::default();
    loop {
        let page = store.outline_after(run, state.sequence(), PAGE).await?;
        if page.is_empty() {
            break;
        }
        page.iter().for_each(|event| state.apply(event));
    }
    let leases = store.leases(run).await?;
    let turn = abandon(state, &leases, now, ABANDONED);
    let (after, events, changes) = (turn.after, turn.events.into(), turn.changes);
    let outcomes = store.commit(&[RunWrite { run: run.clone(), owner, after, events, changes }]).await?;
    Ok(outcomes == [Outcome::Kept])
}
