//! Programs by name, as `execvp` finds them, but with an answer that says what was missing.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

/// The executable file that `name` means: as it is when it has a slash (relative to `folder`), else from `path`.
pub(crate) fn which(name: &str, path: &str, folder: &Path) -> Option<PathBuf> {
    if name.is_empty() {
        return None;
    }
    if name.contains('/') {
        let file = folder.join(name);
        return is_executable(&file).then_some(file);
    }
    path.split(':')
        .map(|entry| folder.join(if entry.is_empty() { "." } else { entry }).join(name))
        .find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    file.is_file() && access(file, Access::EXEC_OK).is_ok()
}
