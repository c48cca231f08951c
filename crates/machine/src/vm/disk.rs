//! Disks of virtual machines, as sparse files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

use crate::backend::BootError;
use crate::scratch::Scratch;
use crate::spec::MachineSpec;

/// How large a machine's own disk is, in MiB. It takes only what is written to it.
pub const OWN_DISK_MIB: u64 = 16 * 1024;

/// What is copied at once, in bytes.
const PIECE: usize = 1 << 20;

/// Why a machine has no disk of its own.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant explains its fields")]
pub enum DiskError {
    /// There is no program that makes file systems.
    #[error("there is no `mke2fs` on PATH; install e2fsprogs")]
    NoProgram,
    /// That program failed.
    #[error("`{}` cannot make a file system: {message}", program.display())]
    Program { program: PathBuf, message: String },
    /// A file could not be made or copied.
    #[error("cannot make the disk `{}`", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Makes the machine's own disk at `path`: a copy of the one that it goes on `from`, or an empty one. It belongs to `user`.
pub(crate) async fn make_own(
    spec: &MachineSpec,
    scratch: &Arc<Scratch>,
    path: &Path,
    from: Option<File>,
    user: Option<u32>,
) -> Result<File, BootError> {
    let failed = |source| BootError::Scratch { path: path.to_owned(), source };
    let (root, to, search) = (spec.scratch.clone(), path.to_owned(), spec.caller.path.clone());
    // Held as long as something is written there.
    let held = Arc::clone(scratch);
    let making = tokio::task::spawn_blocking(move || {
        let made = match from {
            None => make_empty(&root, &to, &search).map_err(|source| BootError::Disk { source }),
            Some(from) => copy_to(&from, &to).map_err(|source| BootError::Copy { path: to, source }),
        };
        drop(held);
        made
    });
    let disk = making.await.expect("making a disk does not panic")?;
    std::os::unix::fs::fchown(&disk, user, user).map_err(failed)?;
    Ok(disk)
}

/// Makes the file `to`, an empty ext4 disk. The first is made and kept below `root`, all others are its copies.
pub(crate) fn make_empty(root: &Path, to: &Path, search: &[PathBuf]) -> Result<File, DiskError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| DiskError::File { path, source }
    };
    let template = root.join(format!("spare-disk-1-{OWN_DISK_MIB}.ext4"));
    let from = match File::open(&template) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            make_template(&template, to, search)?;
            File::open(&template).map_err(failed(&template))?
        }
        opened => opened.map_err(failed(&template))?,
    };
    copy_to(&from, to).map_err(failed(to))
}

/// Makes the template beside the disk that it is wanted for, and then renames it: nobody sees half of one.
fn make_template(template: &Path, beside: &Path, search: &[PathBuf]) -> Result<(), DiskError> {
    let unfinished = beside.with_extension("new");
    let failed = |source| DiskError::File { path: unfinished.clone(), source };
    let file = File::create(&unfinished).map_err(failed)?;
    file.set_len(OWN_DISK_MIB << 20).map_err(failed)?;
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let candidates = search.iter().chain(&system).map(|folder| folder.join("mke2fs"));
    let program = candidates.into_iter().find(|file| file.is_file()).ok_or(DiskError::NoProgram)?;
    // No journal: a disk that is thrown away with its machine needs none.
    let arguments = ["-q", "-F", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-E"];
    let extended = "lazy_itable_init=1,nodiscard,root_owner=0:0";
    let mut command = Command::new(&program);
    command.args(arguments).arg(extended).arg(&unfinished).stdin(Stdio::null());
    let output = command.output().map_err(|source| DiskError::File { path: program.clone(), source })?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(DiskError::Program { program, message });
    }
    fs::rename(&unfinished, template).map_err(failed)
}

/// Copies a file, holes included, to a new one at `to`.
pub fn copy_to(from: &File, to: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(to)?;
    copy(from, &file)?;
    Ok(file)
}

/// Copies what a file holds into an empty one; holes stay holes. Where the file system can, the two share what they hold.
pub fn copy(from: &File, to: &File) -> io::Result<()> {
    if rustix::fs::ioctl_ficlone(to, from).is_ok() {
        return Ok(());
    }
    let length = from.metadata()?.len();
    to.set_len(length)?;
    let mut buffer = vec![0; PIECE];
    let mut position = 0;
    while position < length {
        let Some(start) = next_data(from, position)? else { break };
        let end = rustix::fs::seek(from, SeekFrom::Hole(start))?;
        position = start;
        while position < end {
            let wanted = usize::try_from(end - position).unwrap_or(usize::MAX).min(PIECE);
            from.read_exact_at(&mut buffer[..wanted], position)?;
            to.write_all_at(&buffer[..wanted], position)?;
            position += wanted as u64;
        }
    }
    Ok(())
}

/// Where what a file holds goes on from a position; none where there is nothing but a hole up to the end.
pub(crate) fn next_data(file: &File, position: u64) -> io::Result<Option<u64>> {
    match rustix::fs::seek(file, SeekFrom::Data(position)) {
        Ok(start) => Ok(Some(start)),
        Err(Errno::NXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The bytes that a file takes on its disk.
pub fn allocated(file: &File) -> io::Result<u64> {
    Ok(file.metadata()?.blocks() * 512)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    use super::{allocated, copy_to, make_empty};

    #[test]
    fn a_copy_has_the_same_bytes_and_holes() {
        let folder = tempfile::tempdir().unwrap();
        let from =
            File::options().read(true).write(true).create_new(true).open(folder.path().join("from")).unwrap();
        from.set_len(100 << 20).unwrap();
        let pieces = [(0, 3000), (5 << 20, (3 << 20) + 17), ((100 << 20) - 4096, 4096)];
        for (position, length) in pieces {
            from.write_all_at(&vec![7; length], position).unwrap();
        }
        let to = copy_to(&from, &folder.path().join("to")).unwrap();
        assert_eq!(to.metadata().unwrap().len(), 100 << 20);
        assert!(allocated(&to).unwrap() < 5 << 20);
        for (position, length) in pieces {
            let mut bytes = vec![0; length];
            to.read_exact_at(&mut bytes, position).unwrap();
            assert!(bytes.iter().all(|&byte| byte == 7));
        }
        assert!(copy_to(&from, &folder.path().join("to")).is_err(), "it is there already");
    }

    #[test]
    fn an_empty_disk_is_made_once_and_copied() {
        let root = tempfile::tempdir().unwrap();
        let made = ["one", "two"].map(|name| {
            let disk = make_empty(root.path(), &root.path().join(name), &[]).unwrap();
            let mut magic = [0; 2];
            disk.read_exact_at(&mut magic, 1024 + 56).unwrap();
            magic
        });
        assert_eq!(made, [[0x53, 0xef]; 2]);
        let names = std::fs::read_dir(root.path()).unwrap().count();
        assert_eq!(names, 3);
    }
}
