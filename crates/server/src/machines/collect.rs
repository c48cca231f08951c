//! What owners that died have left, removed by the leases.
//!
//! A lease whose owner lives is never touched, whoever looks: the owner is told from every process that has its number later.

use std::path::Path;

use machine::leftovers::{Leftover, ProcessIdentity};
use store::{MachineRow, Store, StoreError};

/// A machine whose owner died.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collected {
    /// The machine's id.
    pub id: String,
    /// What people called it.
    pub name: String,
    /// What could not be removed, and why; nothing where all is gone. Its lease stays for another try.
    pub left: Vec<String>,
}

/// Removes what owners that died have left: their machines' processes, groups, sockets and private folders below `scratch`,
/// and their leases. Any number of processes may do so at once.
///
/// # Errors
/// When the store cannot be read or written.
pub async fn collect(store: &Store, scratch: &Path) -> Result<Vec<Collected>, StoreError> {
    let mut collected = Vec::new();
    for row in store.machines().await?.into_iter().filter(is_stray) {
        let (id, name, owner) = (row.id.clone(), row.name.clone(), row.owner.clone());
        let removing = tokio::task::spawn_blocking(move || remove(&row));
        let left = removing.await.unwrap_or_else(|error| vec![error.to_string()]);
        if left.is_empty() {
            store.remove_machine(&id, &owner).await?;
        }
        collected.push(Collected { id, name, left });
    }
    if !collected.is_empty() {
        let scratch = scratch.to_owned();
        let sweeping = tokio::task::spawn_blocking(move || machine::scratch::sweep(&scratch));
        // A folder that cannot be removed now is found by every later sweep.
        let _ = sweeping.await;
    }
    Ok(collected)
}

/// Whether nobody owns a machine any more. An owner that cannot be read is nobody that could live.
fn is_stray(row: &MachineRow) -> bool {
    row.owner.parse::<ProcessIdentity>().map_or(true, |owner| !owner.is_alive())
}

/// Removes what a machine left; what could not be removed is returned.
fn remove(row: &MachineRow) -> Vec<String> {
    let mut left = Vec::new();
    for line in row.leftovers.lines().filter(|line| !line.is_empty()) {
        match line.parse::<Leftover>() {
            Ok(leftover) => {
                left.extend(leftover.remove().err().map(|error| format!("{line}: {error}")));
            }
            Err(unreadable) => left.push(unreadable.to_string()),
        }
    }
    match std::fs::remove_file(&row.endpoint) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            left.push(format!("{}: {error}", row.endpoint));
        }
        _ => {}
    }
    left
}
