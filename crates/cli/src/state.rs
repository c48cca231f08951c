//! The state folder: the database of runs, the owners' locks and the machines' scratch folders.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::config::StatePlace;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::owner::Owner;

/// The state folder, with this process registered in it.
#[derive(Debug)]
pub(crate) struct StateFolder {
    path: PathBuf,
    owner: Owner,
}

impl StateFolder {
    /// Opens the folder, made where it is missing. Where a user has no folder for state that can be written, it is
    /// one below the folder for temporary files, and standard error says so.
    pub(crate) fn open(place: &StatePlace) -> Result<Self, Failure> {
        match place {
            StatePlace::Given(folder) => Self::at(folder).map_err(|error| unusable(folder, error)),
            StatePlace::Convention(Some(folder)) => {
                Self::at(folder).or_else(|error| Self::temporary(&unusable(folder, error)))
            }
            StatePlace::Convention(None) => Self::temporary(&Failure::usage("HOME is not set")),
        }
    }

    /// The database of runs.
    pub(crate) fn database(&self) -> PathBuf {
        self.path.join("firedog.sqlite")
    }

    /// Where machines keep their private files.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.path.join("machines")
    }

    /// Where checkpoints of jobs are kept.
    pub(crate) fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// This process's name in the store.
    pub(crate) fn owner(&self) -> &Owner {
        &self.owner
    }

    fn at(folder: &Path) -> io::Result<Self> {
        let path = std::path::absolute(folder)?;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
        let owner = Owner::register(&path)?;
        Ok(Self { path, owner })
    }

    fn temporary(why: &Failure) -> Result<Self, Failure> {
        let user = rustix::process::getuid().as_raw();
        let folder = std::env::temp_dir().join(format!("firedog-{user}"));
        private_folder(&folder, user)
            .and_then(|()| Self::at(&folder))
            .map_err(|error| unusable(&folder, error))
            .inspect(|_| {
                let why = why.cause();
                output::to_stderr(&format!("note: runs are kept in `{}`: {why}", folder.display()));
            })
    }
}

fn unusable(folder: &Path, error: io::Error) -> Failure {
    Failure::new(Exit::Usage, error)
        .while_doing(format!("cannot use the state folder `{}`", folder.display()))
        .with_help("choose a folder that can be written with `--state-dir FOLDER`")
}

/// Makes a folder that only this user can enter. One that is somebody else's is refused: names below the folder for
/// temporary files can be guessed.
fn private_folder(folder: &Path, user: u32) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => return other,
    }
    let found = fs::symlink_metadata(folder)?;
    if found.is_dir() && found.uid() == user && found.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        "it is there, but is not a private folder of this user",
    ))
}

#[cfg(test)]
mod tests {
    use super::{StateFolder, private_folder};
    use crate::config::StatePlace;
    use crate::render::style::Style;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let file = folder.path().join("file");
        std::fs::write(&file, "").expect("a file can be written");
        let failure =
            StateFolder::open(&StatePlace::Given(file.join("state"))).expect_err("it is below a file");
        let text = failure.text(Style { colours: false });
        assert!(text.starts_with("error: cannot use the state folder `"), "{text}");
        assert!(text.contains("help: choose a folder"), "{text}");
    }

    #[test]
    fn a_folder_that_others_can_enter_is_no_place_for_state() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let user = rustix::process::getuid().as_raw();
        let private = folder.path().join("private");
        private_folder(&private, user).expect("it is made");
        private_folder(&private, user).expect("it is still private");
        private_folder(&private, user + 1).expect_err("it is somebody else's");
        let link = folder.path().join("link");
        symlink(&private, &link).expect("a link can be made");
        private_folder(&link, user).expect_err("it is a link");
        std::fs::set_permissions(&private, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
        private_folder(&private, user).expect_err("others can enter it");
    }
}
