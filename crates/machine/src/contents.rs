//! Copying files of the host into a machine through its agent.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Component, Path, PathBuf};

use crate::backend::{BootError, Copied};
use crate::machine::Machine;

/// Bytes that are gathered before they are handed to the sending side.
const BUFFER: usize = 128 * 1024;

/// Copies files to `destination` inside. One that cannot be read on the host is an error that names it.
pub(crate) async fn put(machine: &Machine, copied: Copied, destination: String) -> Result<(), BootError> {
    let failed = |source| BootError::Copy { path: copied.root.clone(), source };
    let (reader, writer) = io::pipe().map_err(failed)?;
    let root = copied.root.clone();
    let packing = tokio::task::spawn_blocking(move || pack(&copied, writer));
    let put = machine.put(destination, reader).await;
    match packing.await.expect("packing files does not panic") {
        // Whoever unpacks has gone before the end, and says why.
        Err(BootError::Copy { source, .. }) if source.kind() == io::ErrorKind::BrokenPipe => {}
        packed => packed?,
    }
    put.map_err(|error| BootError::Copy { path: root, source: io::Error::other(error) })
}

fn pack(copied: &Copied, archive: impl Write) -> Result<(), BootError> {
    let mut builder = tar::Builder::new(BufWriter::with_capacity(BUFFER, archive));
    builder.follow_symlinks(false);
    builder.sparse(false);
    match &copied.entries {
        None => builder
            .append_dir_all("", &copied.root)
            .map_err(|source| BootError::Copy { path: copied.root.clone(), source })?,
        Some(entries) => entries.iter().try_for_each(|entry| {
            let from = copied.root.join(entry);
            append(&mut builder, &from, entry).map_err(|source| BootError::Copy { path: from, source })
        })?,
    }
    let finished = builder.into_inner().and_then(|mut archive| archive.flush());
    finished.map_err(|source| BootError::Copy { path: copied.root.clone(), source })
}

fn append<W: Write>(builder: &mut tar::Builder<W>, from: &Path, entry: &PathBuf) -> io::Result<()> {
    if !entry.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path leads out of its folder"));
    }
    let metadata = from.symlink_metadata()?;
    if metadata.is_file() {
        builder.append_file(entry, &mut File::open(from)?)
    } else if metadata.is_dir() || metadata.is_symlink() {
        builder.append_path_with_name(from, entry)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "it is neither a file nor a folder nor a link"))
    }
}
