//! Files into and out of the guest.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::output::{Failure, Replies};
use crate::protocol::{FileWrite, Found, MAX_CHUNK, Placement, Reply};

/// Writes the files in their order; stops at the first failure.
pub(crate) fn write(files: &[FileWrite]) -> Result<(), Failure> {
    files.iter().try_for_each(|file| {
        write_one(file).map_err(|error| Failure::new(format!("write `{}`", file.path), &error))
    })
}

/// A pipe that a step put in a file's place would block whoever opens it, and with it the agent, until another end comes.
fn without_waiting() -> i32 {
    rustix::fs::OFlags::NONBLOCK.bits() as i32
}

fn not_regular() -> io::Error {
    io::Error::other("it is not a regular file")
}

fn write_one(file: &FileWrite) -> io::Result<()> {
    let path = Path::new(&file.path);
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).mode(file.mode).custom_flags(without_waiting());
    match file.placement {
        Placement::Replace => options.write(true),
        Placement::Append => options.append(true),
    };
    let mut opened = match options.open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            options.open(path)?
        }
        other => other?,
    };
    let metadata = opened.metadata()?;
    if !metadata.is_file() {
        return Err(not_regular());
    }
    opened.write_all(&file.data)?;
    // Cut afterwards: ext4 flushes a file to the disk that is emptied and then written.
    if file.placement == Placement::Replace && metadata.len() > file.data.len() as u64 {
        opened.set_len(file.data.len() as u64)?;
    }
    // The mask of the process applies to new files, and an existing file keeps its mode.
    if metadata.permissions().mode() & 0o7777 != file.mode {
        opened.set_permissions(fs::Permissions::from_mode(file.mode))?;
    }
    Ok(())
}

/// Sends the files' contents, then whether each was there. Fails on one longer than `max_bytes`.
pub(crate) fn read(id: u32, paths: &[String], max_bytes: u64, replies: &Replies) -> Result<(), Failure> {
    for (index, path) in paths.iter().enumerate() {
        let index = u32::try_from(index).expect("a frame holds fewer than 2^32 paths");
        let found = read_one(id, index, path, max_bytes, replies)
            .map_err(|error| Failure::new(format!("read `{path}`"), &error))?;
        // A host that is gone ends the agent from its reading side.
        let _ = replies.send(&Reply::File { id, index, found });
    }
    Ok(())
}

fn read_one(id: u32, index: u32, path: &str, max_bytes: u64, replies: &Replies) -> io::Result<Found> {
    let file = match OpenOptions::new().read(true).custom_flags(without_waiting()).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Missing),
        Err(error) => return Err(error),
    };
    if !file.metadata()?.is_file() {
        return Err(not_regular());
    }
    let mut file = Read::take(file, max_bytes.saturating_add(1));
    let mut buffer = vec![0; MAX_CHUNK];
    let mut total = 0;
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(Found::Read);
        }
        total += count as u64;
        if total > max_bytes {
            return Err(io::Error::other(format!("it is longer than {max_bytes} bytes")));
        }
        replies.send(&Reply::Data { id, index, data: &buffer[..count] })?;
    }
}
