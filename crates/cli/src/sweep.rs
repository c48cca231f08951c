//! Puts in order what processes that died have left behind: runs that nobody will end any more, and what
//! is left of their machines. Costs the reading of two folders when there is nothing to do.

use std::collections::HashSet;

use control::{Clock, SystemClock};
use store::Store;

use crate::failure::{Exit, Failure};
use crate::output;
use crate::owner;
use crate::state::StateFolder;

/// Closes the runs of owners that are gone, and removes what is left of their machines.
pub(crate) async fn sweep(store: &Store, state: &StateFolder) -> Result<(), Failure> {
    let failed = |error| {
        let what = format!("cannot look for what ended processes left in `{}`", state.path().display());
        Failure::new(Exit::Usage, error).while_doing(what)
    };
    let departed = owner::departed(state.path()).map_err(failed)?;
    if !departed.is_empty() {
        let gone: HashSet<&str> = departed.iter().map(owner::Departed::id).collect();
        let is_alive = |owner: &str| !gone.contains(owner);
        let closed = control::close_departed(store, SystemClock.now(), &is_alive).await.map_err(|error| {
            Failure::new(Exit::Usage, error).while_doing("cannot close the runs of a dead process")
        })?;
        for run in closed {
            output::to_stderr(&format!("note: run {run} is closed as failed: {}", control::ABANDONED));
        }
        // A machine that could not be removed whole keeps its lease, for `firedog machine gc`.
        drop(server::machines::collect(store, &state.scratch()).await);
        // Only now: an owner that is forgotten too early leaves runs that nobody ever closes.
        departed.into_iter().try_for_each(owner::Departed::forget).map_err(failed)?;
    }
    // A folder that cannot be removed now stays for the next start; it harms nobody.
    if let Err(error) = machine::scratch::sweep(&state.scratch()) {
        let folder = state.scratch().display().to_string();
        output::to_stderr(&format!("warning: cannot remove old machines' folders in `{folder}`: {error}"));
    }
    Ok(())
}
