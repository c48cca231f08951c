//! The working tree that jobs find in their workspace: which files, and which repository they belong to.
//!
//! Read once, on the host. In a git repository these are the tracked files, as they are now, and those that are
//! neither tracked nor ignored; elsewhere all files.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;

use tokio::sync::{OnceCell, watch};

use crate::git::{Head, Repository, command};
use crate::sink::with_sources;

/// The most files of a working tree.
const MAX_FILES: usize = 1_000_000;

/// How deep folders may be nested where no git says which files there are.
const MAX_FOLDER_DEPTH: usize = 100;

/// A working tree could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TreeError {
    /// A folder cannot be listed.
    #[error("cannot list the folder `{}`", path.display())]
    List {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// git is there, but fails.
    #[error("git cannot list the files of `{}`: {message}", root.display())]
    Git { root: PathBuf, message: String },
    /// The tree is too large.
    #[error("`{}` has more than {MAX_FILES} files", .0.display())]
    TooLarge(PathBuf),
}

/// A working tree.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) root: PathBuf,
    /// The files, and folders without files, relative to `root`.
    pub(crate) entries: Arc<Vec<PathBuf>>,
    /// Its repository, where `root` is the top of a git working tree.
    pub(crate) git: Option<Repository>,
    state: OnceCell<State>,
}

/// What a checkout writes into its repository.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    /// `ref: refs/heads/main`, or a commit.
    pub(crate) head: String,
    /// The commit of `HEAD`; none in a repository without commits.
    pub(crate) commit: Option<String>,
    /// A packed-refs file with all refs.
    pub(crate) packed_refs: String,
    /// The index.
    pub(crate) index: Option<Vec<u8>>,
    /// The borders of a shallow clone.
    pub(crate) shallow: Option<Vec<u8>>,
}

/// A working tree that is being read, or has been.
#[derive(Clone, Debug)]
pub struct WorkingTree {
    found: watch::Receiver<Option<FoundTree>>,
}

/// A working tree, or why it cannot be read.
pub(crate) type FoundTree = Result<Arc<Tree>, String>;

impl WorkingTree {
    /// Starts to read the tree below `root`, an absolute path, beside whatever else is done.
    #[must_use]
    pub fn read(root: PathBuf) -> Self {
        let (send, found) = watch::channel(None);
        let send = Arc::new(send);
        let reading = {
            let send = Arc::clone(&send);
            let root = root.clone();
            move || {
                let tree = Tree::read(root).map(Arc::new).map_err(|error| with_sources(&error));
                send.send_replace(Some(tree));
            }
        };
        if let Err(source) = std::thread::Builder::new().name("tree".to_owned()).spawn(reading) {
            send.send_replace(Some(Err(with_sources(&TreeError::List { path: root, source }))));
        }
        Self { found }
    }

    /// The tree, once it is read.
    pub(crate) async fn found(&self) -> FoundTree {
        let mut found = self.found.clone();
        let found = found.wait_for(Option::is_some).await.expect("reading a tree does not panic");
        found.clone().expect("a tree was waited for")
    }
}

impl Tree {
    fn read(root: PathBuf) -> Result<Self, TreeError> {
        let (entries, git) = match Repository::find(&root) {
            Some(repository) => {
                let files = command(&root, &["ls-files", "-co", "--exclude-standard", "-z"]).output();
                (list_by_git(&root, files)?, Some(repository))
            }
            None => (list_all(&root)?, None),
        };
        let is_top = |git: &Repository| root.canonicalize().is_ok_and(|root| root == git.top());
        let git = git.filter(is_top);
        Ok(Self { root, entries: Arc::new(entries), git, state: OnceCell::new() })
    }

    /// What a checkout needs, read when it is first needed; none where `root` is no top of a repository.
    pub(crate) async fn state(&self) -> Option<&State> {
        let git = self.git.clone()?;
        let read = || async move {
            let reading = tokio::task::spawn_blocking(move || State::read(&git));
            reading.await.expect("reading a repository does not panic")
        };
        Some(self.state.get_or_init(read).await)
    }
}

impl State {
    fn read(git: &Repository) -> Self {
        let Head { branch, commit } = git.head();
        let head = match branch {
            Some(branch) => format!("ref: {branch}"),
            None => commit.clone().unwrap_or_default(),
        };
        Self {
            head,
            commit,
            packed_refs: git.packed_refs(),
            index: std::fs::read(git.folder().join("index")).ok(),
            shallow: std::fs::read(git.common().join("shallow")).ok(),
        }
    }
}

/// The files of a `git ls-files` that has run.
fn list_by_git(root: &Path, output: io::Result<Output>) -> Result<Vec<PathBuf>, TreeError> {
    let failed = |message: String| TreeError::Git { root: root.to_owned(), message };
    let output = output.map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    let mut entries = BTreeSet::new();
    for name in output.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let entry = PathBuf::from(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name));
        match root.join(&entry).symlink_metadata() {
            // A repository in the repository: its files belong to the tree, too.
            Ok(metadata) if metadata.is_dir() => walk(root, &entry, 0, &mut entries)?,
            Ok(metadata) if metadata.is_file() || metadata.is_symlink() => {
                entries.insert(entry);
            }
            // It was removed and is still tracked, or is no file that can be copied.
            _ => {}
        }
        if entries.len() > MAX_FILES {
            return Err(TreeError::TooLarge(root.to_owned()));
        }
    }
    Ok(entries.into_iter().collect())
}

fn list_all(root: &Path) -> Result<Vec<PathBuf>, TreeError> {
    let mut entries = BTreeSet::new();
    walk(root, Path::new(""), 0, &mut entries)?;
    Ok(entries.into_iter().collect())
}

fn walk(root: &Path, folder: &Path, depth: usize, entries: &mut BTreeSet<PathBuf>) -> Result<(), TreeError> {
    let path = root.join(folder);
    let failed = |source| TreeError::List { path: path.clone(), source };
    let mut is_empty = true;
    for item in std::fs::read_dir(&path).map_err(failed)? {
        let item = item.map_err(failed)?;
        is_empty = false;
        if item.file_name() == ".git" {
            continue;
        }
        let entry = folder.join(item.file_name());
        let kind = item.file_type().map_err(failed)?;
        if kind.is_dir() && depth < MAX_FOLDER_DEPTH {
            walk(root, &entry, depth + 1, entries)?;
        } else if kind.is_file() || kind.is_symlink() {
            entries.insert(entry);
        }
        if entries.len() > MAX_FILES {
            return Err(TreeError::TooLarge(root.to_owned()));
        }
    }
    if is_empty && folder != Path::new("") {
        entries.insert(folder.to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use super::{Tree, WorkingTree};
    use crate::git::tests::git;

    fn write(root: &Path, name: &str) {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, name).unwrap();
    }

    async fn check(root: &Path, expected: &[&str]) -> Arc<Tree> {
        let tree = WorkingTree::read(root.to_owned()).found().await.unwrap();
        let expected: Vec<PathBuf> = expected.iter().map(PathBuf::from).collect();
        assert_eq!(*tree.entries, expected);
        tree
    }

    #[tokio::test]
    async fn without_git_all_files_count() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "a/b");
        write(root.path(), ".hidden");
        std::fs::create_dir(root.path().join("empty")).unwrap();
        let tree = check(root.path(), &[".hidden", "a/b", "empty"]).await;
        assert!(tree.state().await.is_none());
    }

    #[tokio::test]
    async fn with_git_ignored_and_removed_files_do_not_count() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        git(root, &["init", "-q", "-b", "main"]);
        for name in ["tracked", "removed", "changed", "ignored", "new"] {
            write(root, name);
        }
        std::fs::write(root.join(".gitignore"), "ignored\n").unwrap();
        git(root, &["add", "tracked", "removed", "changed", ".gitignore"]);
        git(root, &["commit", "-qm", "m"]);
        std::fs::remove_file(root.join("removed")).unwrap();
        let tree = check(root, &[".gitignore", "changed", "new", "tracked"]).await;
        let state = tree.state().await.unwrap();
        assert_eq!(state.head, "ref: refs/heads/main");
        assert!(state.packed_refs.ends_with(" refs/heads/main\n"), "{}", state.packed_refs);
    }
}
