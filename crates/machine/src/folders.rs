//! What a machine's folders begin with.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::backend::BootError;
use crate::scratch::{Removal, Scratch};
use crate::spec::{Content, MachineSpec, Place};

/// Makes the folders of all places at `folder_of`, and those above them.
pub(crate) fn make(folder_of: impl Fn(Place) -> PathBuf) -> Result<(), BootError> {
    Place::ALL.into_iter().try_for_each(|place| {
        let folder = folder_of(place);
        fs::create_dir_all(&folder).map_err(|source| BootError::Scratch { path: folder, source })
    })
}

/// Copies into the folders below `scratch` what they begin with. It keeps the folder as long as it writes to it, and stops
/// when nobody else does, because the machine was given up.
pub(crate) async fn copy(
    spec: &MachineSpec,
    scratch: &Arc<Scratch>,
    folder_of: impl Fn(Place) -> PathBuf,
) -> Result<(), BootError> {
    let mut copies = Vec::new();
    for place in Place::ALL {
        if let Content::Copy { root, entries } = spec.content(place) {
            copies.push((root.clone(), Arc::clone(entries), folder_of(place)));
        }
    }
    if copies.is_empty() {
        return Ok(());
    }
    let (scratch, removal) = (Arc::clone(scratch), Removal::start());
    let copying = tokio::task::spawn_blocking(move || {
        let _removal = removal;
        let is_wanted = || Arc::strong_count(&scratch) > 1;
        let copied =
            copies.iter().try_for_each(|(root, entries, folder)| copy_all(root, entries, folder, &is_wanted));
        drop(scratch);
        copied
    });
    copying.await.expect("copying files does not panic")
}

fn copy_all(
    root: &Path,
    entries: &[PathBuf],
    destination: &Path,
    is_wanted: &dyn Fn() -> bool,
) -> Result<(), BootError> {
    let mut made = HashSet::from([destination.to_owned()]);
    entries.iter().take_while(|_| is_wanted()).try_for_each(|entry| {
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
        make_parents(parent, destination)?;
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

/// Makes a folder below `destination` with those above it. A link that was copied before may lead anywhere.
fn make_parents(folder: &Path, destination: &Path) -> io::Result<()> {
    let mut above = folder.ancestors().take_while(|above| *above != destination);
    if above.any(|above| above.is_symlink()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path leads through a link"));
    }
    fs::create_dir_all(folder)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::copy_all;

    /// What copying these entries says, of a folder in which `link` leads to `outside`.
    fn check(entries: &[&str], expected: Result<(), &str>) {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["from/a", "to", "outside"] {
            fs::create_dir_all(at(name)).unwrap();
        }
        fs::write(at("from/a/file"), "text").unwrap();
        fs::write(at("outside/file"), "theirs").unwrap();
        std::os::unix::fs::symlink(at("outside"), at("from/link")).unwrap();
        let entries: Vec<PathBuf> = entries.iter().map(PathBuf::from).collect();
        let copied = copy_all(&at("from"), &entries, &at("to"), &|| true);
        let reason = |error: crate::BootError| std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(copied.map_err(reason).as_ref().map_err(String::as_str).copied(), expected, "{entries:?}");
        let theirs: Vec<_> =
            fs::read_dir(at("outside")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(theirs, ["file"], "{entries:?}");
        assert_eq!(fs::read(Path::new(&at("outside/file"))).unwrap(), b"theirs");
    }

    #[test]
    fn nothing_is_copied_outside_of_the_folder() {
        check(&["a/file", "link"], Ok(()));
        check(&["link", "link/file"], Err("the path leads through a link"));
        check(&["link", "link/new/file"], Err("the path leads through a link"));
        check(&["../outside/file"], Err("the path leads out of its folder"));
        check(&["/etc/hostname"], Err("the path leads out of its folder"));
    }
}
