//! The working tree that jobs find in their workspace: which files, and which repository they belong to.
//!
//! Read once a run, on the host. In a git repository these are the tracked files, as they are now, and those that are
//! neither tracked nor ignored; elsewhere all files.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use tokio::sync::OnceCell;

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
    /// Its git folder and the folder with its objects, where `root` is the top of a git working tree.
    pub(crate) git: Option<GitFolders>,
    repository: OnceCell<Repository>,
}

/// Where a repository is on the host.
#[derive(Clone, Debug)]
pub(crate) struct GitFolders {
    /// `HEAD` and the index.
    folder: PathBuf,
    /// Objects and refs, which worktrees share.
    pub(crate) common: PathBuf,
}

/// What git knows of the tree.
#[derive(Clone, Debug, Default)]
pub(crate) struct Repository {
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

impl Tree {
    /// Reads the tree below `root`.
    pub(crate) async fn read(root: PathBuf) -> Result<Self, TreeError> {
        tokio::task::spawn_blocking(move || Self::read_blocking(root))
            .await
            .expect("reading a tree does not panic")
    }

    fn read_blocking(root: PathBuf) -> Result<Self, TreeError> {
        // Both at once: each costs about as much as a short step.
        let (folders, files) = std::thread::scope(|scope| {
            let folders = scope.spawn(|| git_folders(&root));
            let files = git_command(&root, &["ls-files", "-co", "--exclude-standard", "-z"]).output();
            (folders.join().expect("asking git does not panic"), files)
        });
        let (entries, git) = match folders {
            Some(git) => (list_by_git(&root, files)?, git),
            None => (list_all(&root)?, None),
        };
        Ok(Self { root, entries: Arc::new(entries), git, repository: OnceCell::new() })
    }

    /// What git knows of the tree, read when it is first needed; none outside of a repository.
    pub(crate) async fn repository(&self) -> Option<&Repository> {
        let git = self.git.clone()?;
        let root = self.root.clone();
        let read = || async move {
            let reading = tokio::task::spawn_blocking(move || read_repository(&root, &git));
            reading.await.expect("reading a repository does not panic")
        };
        Some(self.repository.get_or_init(read).await)
    }
}

fn git_command(root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(root).args(arguments).stdin(Stdio::null());
    // A hook that starts the runner has its own repository in these.
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"] {
        command.env_remove(name);
    }
    command
}

/// What a git command prints; `None` when it fails.
fn git(root: &Path, arguments: &[&str]) -> Option<Vec<u8>> {
    let output = git_command(root, arguments).output().ok()?;
    output.status.success().then_some(output.stdout)
}

fn git_line(root: &Path, arguments: &[&str]) -> Option<String> {
    let output = git(root, arguments)?;
    Some(String::from_utf8_lossy(&output).trim_end_matches('\n').to_owned()).filter(|line| !line.is_empty())
}

/// `Some` in a repository; with folders where `root` is its top.
fn git_folders(root: &Path) -> Option<Option<GitFolders>> {
    let lines = git_line(root, &["rev-parse", "--show-toplevel", "--absolute-git-dir", "--git-common-dir"])?;
    let mut lines = lines.lines();
    let (top, folder, common) = (lines.next()?, lines.next()?, lines.next()?);
    let is_top = std::fs::canonicalize(root).ok()? == std::fs::canonicalize(top).ok()?;
    let common = std::fs::canonicalize(root.join(common)).ok()?;
    Some(is_top.then(|| GitFolders { folder: folder.into(), common }))
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

fn read_repository(root: &Path, folders: &GitFolders) -> Repository {
    let commit = git_line(root, &["rev-parse", "--verify", "-q", "HEAD"]);
    let head = match git_line(root, &["symbolic-ref", "-q", "HEAD"]) {
        Some(branch) => format!("ref: {branch}"),
        None => commit.clone().unwrap_or_default(),
    };
    let refs = git(root, &["for-each-ref", "--format=%(objectname) %(refname)"]).unwrap_or_default();
    Repository {
        head,
        commit,
        packed_refs: String::from_utf8_lossy(&refs).into_owned(),
        index: std::fs::read(folders.folder.join("index")).ok(),
        shallow: std::fs::read(folders.common.join("shallow")).ok(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{Tree, git};

    fn write(root: &Path, name: &str) {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, name).unwrap();
    }

    async fn check(root: &Path, expected: &[&str]) -> Tree {
        let tree = Tree::read(root.to_owned()).await.unwrap();
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
        assert!(tree.repository().await.is_none());
    }

    #[tokio::test]
    async fn with_git_ignored_and_removed_files_do_not_count() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        git(root, &["init", "-q", "-b", "main"]).expect("git is there");
        for name in ["tracked", "removed", "changed", "ignored", "new"] {
            write(root, name);
        }
        std::fs::write(root.join(".gitignore"), "ignored\n").unwrap();
        git(root, &["add", "tracked", "removed", "changed", ".gitignore"]).unwrap();
        git(root, &["-c", "user.name=n", "-c", "user.email=e", "commit", "-qm", "m"]).unwrap();
        std::fs::remove_file(root.join("removed")).unwrap();
        let tree = check(root, &[".gitignore", "changed", "new", "tracked"]).await;
        let repository = tree.repository().await.unwrap();
        assert_eq!(repository.head, "ref: refs/heads/main");
        assert!(repository.packed_refs.ends_with(" refs/heads/main\n"), "{}", repository.packed_refs);
    }
}
