//! Calls of other programs, bounded in time and output, and the private folders that they read.

use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::Command;

/// How long one call may take.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// Bytes that one call may print.
const MAX_OUTPUT: u64 = 16 * 1024 * 1024;

/// Why a tool said nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum ToolError {
    #[error("cannot write the scripts")]
    Lay(#[source] io::Error),
    #[error("cannot run `{program}`: {source}")]
    Run { program: String, source: io::Error },
    #[error("it took longer than {} s", TIME_LIMIT.as_secs())]
    TimedOut,
    #[error("it printed what is not its format")]
    Output,
}

/// Calls a program and returns what it prints on standard output. Its exit code says nothing: tools end with others
/// when they find something.
pub(super) fn call(program: &Path, arguments: Vec<OsString>) -> Result<Vec<u8>, ToolError> {
    let failed = |source| ToolError::Run { program: program.display().to_string(), source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.kill_on_drop(true);
    runtime.block_on(async {
        let mut child = command.spawn().map_err(failed)?;
        let mut printed = Vec::new();
        let output = child.stdout.take().expect("standard output is a pipe");
        let mut output = output.take(MAX_OUTPUT);
        let end = async {
            output.read_to_end(&mut printed).await?;
            child.wait().await
        };
        match tokio::time::timeout(TIME_LIMIT, end).await {
            Ok(ended) => ended.map(|_| printed).map_err(failed),
            Err(_) => Err(ToolError::TimedOut),
        }
    })
}

/// A folder that only this user can read, removed at the end.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Result<Self, ToolError> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("firedog-scripts-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&path).map_err(ToolError::Lay)?;
        Ok(Self(path))
    }

    pub(super) fn write(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let path = self.0.join(name);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(text.as_bytes())?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is of no use to anybody.
        drop(fs::remove_dir_all(&self.0));
    }
}
