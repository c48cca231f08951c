//! What a machine's folders begin with.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use crate::backend::BootError;
use crate::spec::{Content, MachineSpec, Place};

/// Makes the folders of all places at `folder_of`, and those above them.
pub(crate) fn make(folder_of: impl Fn(Place) -> PathBuf) -> Result<(), BootError> {
    Place::ALL.into_iter().try_for_each(|place| {
        let folder = folder_of(place);
        fs::create_dir_all(&folder).map_err(|source| BootError::Scratch { path: folder, source })
    })
}

/// Copies into the folders what they begin with.
pub(crate) async fn copy(spec: &MachineSpec, folder_of: impl Fn(Place) -> PathBuf) -> Result<(), BootError> {
    let mut copies = Vec::new();
    for place in Place::ALL {
        if let Content::Copy { root, entries } = spec.content(place) {
            copies.push((root.clone(), entries.clone(), folder_of(place)));
        }
    }
    if copies.is_empty() {
        return Ok(());
    }
    let copying = tokio::task::spawn_blocking(move || {
        copies.iter().try_for_each(|(root, entries, folder)| copy_all(root, entries, folder))
    });
    copying.await.expect("copying files does not panic")
}

fn copy_all(root: &Path, entries: &[PathBuf], destination: &Path) -> Result<(), BootError> {
    let mut made = HashSet::from([destination.to_owned()]);
    entries.iter().try_for_each(|entry| {
        let from = root.join(entry);
        copy_entry(&from, entry, destination, &mut made)
            .map_err(|source| BootError::Copy { path: from, source })
    })
}

fn copy_entry(from: &Path, entry: &Path, destination: &Path, made: &mut HashSet<PathBuf>) -> io::Result<()> {
    if !entry.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path leads out of its folder"));
    }
    let to = destination.join(entry);
    if let Some(parent) = to.parent()
        && !made.contains(parent)
    {
        fs::create_dir_all(parent)?;
        made.insert(parent.to_owned());
    }
    let metadata = from.symlink_metadata()?;
    if metadata.is_symlink() {
        std::os::unix::fs::symlink(fs::read_link(from)?, &to)
    } else if metadata.is_dir() {
        fs::create_dir_all(&to)?;
        fs::set_permissions(&to, fs::Permissions::from_mode(metadata.permissions().mode() | 0o700))
    } else if metadata.is_file() {
        fs::copy(from, &to).map(|_| ())
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "it is neither a file nor a folder nor a link"))
    }
}
