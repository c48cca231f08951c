//! Modules of the kernel, from the initramfs.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use super::InitError;

/// Loads modules in the order given. One that is loaded already, or is built into the kernel and therefore has no file although its
/// like has, is no error only in the first case.
pub(super) fn load(folder: &Path, names: &[String]) -> Result<(), InitError> {
    names.iter().try_for_each(|name| {
        let failed = |source| InitError::Module { name: name.clone(), source };
        let file = find(folder, name).map_err(failed)?;
        match insert(&file) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            inserted => inserted.map_err(failed),
        }
    })
}

/// A module's file: its name has dashes or underscores, which mean the same.
fn find(folder: &Path, name: &str) -> io::Result<File> {
    let candidates = [name.to_owned(), name.replace('_', "-"), name.replace('-', "_")];
    let path = |name: &String| -> PathBuf { folder.join(format!("{name}.ko")) };
    let found = candidates.iter().map(path).find(|path| path.is_file());
    File::open(found.unwrap_or_else(|| path(&candidates[0])))
}

#[expect(unsafe_code, reason = "no safe binding offers it")]
fn insert(file: &File) -> io::Result<()> {
    let parameters: &CStr = c"";
    // SAFETY: the parameters are a string with a zero at its end, which the call only reads; the descriptor is open.
    let inserted =
        unsafe { libc::syscall(libc::SYS_finit_module, file.as_raw_fd(), parameters.as_ptr(), 0_i32) };
    if inserted == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
