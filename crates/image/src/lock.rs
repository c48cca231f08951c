//! Locks that end with the process that holds them, however it ends.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

/// Held until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits until nobody else has the lock at `path`, a file that is made where it is missing.
    pub(crate) fn wait(path: &Path) -> io::Result<Self> {
        let file = open(path)?;
        loop {
            match flock(&file, FlockOperation::LockExclusive) {
                Ok(()) => return Ok(Self { _file: file }),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Takes the lock, alone, if nobody has it.
    pub(crate) fn try_alone(path: &Path) -> io::Result<Option<Self>> {
        attempt(open(path)?, FlockOperation::NonBlockingLockExclusive)
    }

    /// Takes the lock together with others that share it, if nobody has it alone. The file exists.
    pub(crate) fn try_shared(path: &Path) -> io::Result<Option<Self>> {
        attempt(File::open(path)?, FlockOperation::NonBlockingLockShared)
    }
}

fn attempt(file: File, operation: FlockOperation) -> io::Result<Option<Lock>> {
    match flock(&file, operation) {
        Ok(()) => Ok(Some(Lock { _file: file })),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn open(path: &Path) -> io::Result<File> {
    File::options().create(true).truncate(false).write(true).open(path)
}
