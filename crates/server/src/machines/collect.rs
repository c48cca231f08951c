//! What owners that died have left, removed by the leases.
//!
//! A lease whose owner lives is never touched, whoever looks: the owner is told from every process that has its number later.

use std::path::Path;
use std::time::{Duration, Instant};

use machine::leftovers::{Leftover, ProcessIdentity};
use store::{MachineRow, Store, StoreError};

/// How long what ran in a machine may keep its private folder.
const FOLDER_DEADLINE: Duration = Duration::from_secs(10);

/// The pause between two tries to remove a private folder.
const FOLDER_PAUSE: Duration = Duration::from_millis(10);

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
        let scratch = scratch.to_owned();
        let removing = tokio::task::spawn_blocking(move || remove(&row, &scratch));
        let left = removing.await.unwrap_or_else(|error| vec![error.to_string()]);
        if left.is_empty() {
            store.remove_machine(&id, &owner).await?;
        }
        collected.push(Collected { id, name, left });
    }
    Ok(collected)
}

/// Whether nobody owns a machine any more. An owner that cannot be read is nobody that could live.
fn is_stray(row: &MachineRow) -> bool {
    row.owner.parse::<ProcessIdentity>().map_or(true, |owner| !owner.is_alive())
}

/// Removes what a machine left; what could not be removed is returned.
fn remove(row: &MachineRow, scratch: &Path) -> Vec<String> {
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
    left.extend(remove_folder(&row.id, scratch));
    left
}

/// Removes a machine's private folder. What ran in the machine, and its owner's last threads, may still be ending.
fn remove_folder(id: &str, scratch: &Path) -> Option<String> {
    let deadline = Instant::now() + FOLDER_DEADLINE;
    loop {
        let swept = machine::scratch::sweep(scratch);
        let entries = std::fs::read_dir(scratch).into_iter().flatten().flatten();
        let is_left = |entry: std::fs::DirEntry| {
            entry
                .file_name()
                .to_str()
                .and_then(|name| name.strip_prefix(id))
                .is_some_and(|rest| rest.starts_with('-'))
        };
        if !entries.into_iter().any(is_left) {
            return None;
        }
        if Instant::now() > deadline {
            let reason =
                swept.err().map_or_else(|| "it is still in use".to_owned(), |error| error.to_string());
            return Some(format!("{}: {reason}", scratch.join(id).display()));
        }
        std::thread::sleep(FOLDER_PAUSE);
    }
}
