//! Which files are checked: those that people name, those of folders that they name, or all of the repository.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

use runner::git::Repository;

use crate::failure::{Exit, Failure};

/// Folders that hold what others wrote or what a build made.
const SKIPPED: [&str; 3] = [".git", "node_modules", "target"];
/// The most files of one repository that are checked.
const MAX_FILES: usize = 10_000;
/// The most entries of folders that are looked at where git does not know the files.
const MAX_ENTRIES: usize = 200_000;
/// How deep folders are looked into where git does not know the files.
const MAX_DEPTH: usize = 24;

/// A file to check.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Target {
    /// Its name for people: as it was given, or relative to the repository.
    pub(crate) name: PathBuf,
    /// Where it is read.
    pub(crate) path: PathBuf,
}

/// The files to check, in the order in which they were named; those of a folder in the order of their names.
pub(crate) fn targets(named: &[PathBuf], root: &Path) -> Result<Vec<Target>, Failure> {
    if named.is_empty() {
        if !root.is_dir() {
            return Err(Failure::usage(format!("there is no folder `{}`", root.display())));
        }
        return of_repository(root, Path::new(""));
    }
    let mut targets = Vec::with_capacity(named.len());
    for path in named {
        // The names of files say that they are some: asking for each takes longer than finding out.
        if !is_yaml(path) && path.is_dir() {
            targets.extend(of_folder(path)?);
        } else {
            targets.push(Target { name: path.clone(), path: path.clone() });
        }
    }
    Ok(targets)
}

/// Whether the file is an action's metadata, by its name.
pub(crate) fn is_action(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "action.yml" || name == "action.yaml")
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml")
}

/// The files of a folder that people name: of a repository its workflows and actions, of another folder all YAML in it
/// and the actions below it.
fn of_folder(folder: &Path) -> Result<Vec<Target>, Failure> {
    if folder.join(".github/workflows").is_dir() {
        return of_repository(folder, folder);
    }
    let mut found: BTreeSet<PathBuf> = yaml_in(folder)?.into_iter().collect();
    found.extend(actions_below(folder));
    bounded(folder, found, folder)
}

/// The workflows and actions of the repository at `root`, their names below `prefix`.
fn of_repository(root: &Path, prefix: &Path) -> Result<Vec<Target>, Failure> {
    let workflows = Path::new(".github/workflows");
    let mut found = BTreeSet::new();
    if root.join(workflows).is_dir() {
        found.extend(yaml_in(&root.join(workflows))?.into_iter().map(|name| workflows.join(name)));
    }
    found.extend(actions_below(root));
    bounded(root, found, prefix)
}

fn bounded(folder: &Path, found: BTreeSet<PathBuf>, prefix: &Path) -> Result<Vec<Target>, Failure> {
    if found.len() > MAX_FILES {
        let message = format!("`{}` has more than {MAX_FILES} workflows and actions", folder.display());
        return Err(Failure::usage(message));
    }
    let target = |name: PathBuf| Target { path: folder.join(&name), name: prefix.join(name) };
    Ok(found.into_iter().map(target).collect())
}

/// The YAML files directly in a folder, by name.
fn yaml_in(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = fs::read_dir(folder).map_err(|error| {
        Failure::new(Exit::Usage, error).while_doing(format!("cannot read the folder `{}`", folder.display()))
    })?;
    let names = entries.filter_map(|entry| Some(PathBuf::from(entry.ok()?.file_name())));
    Ok(names.filter(|name| is_yaml(name) && !folder.join(name).is_dir()).collect())
}

/// The metadata files of actions below a folder, as git knows them (tracked, or not ignored), or else all.
fn actions_below(folder: &Path) -> BTreeSet<PathBuf> {
    let by_git = Repository::find(folder).and_then(|_| actions_by_git(folder));
    by_git.unwrap_or_else(|| {
        let mut walk = Walk { root: folder, entries: 0, found: BTreeSet::new() };
        walk.folder(Path::new(""), 0);
        walk.found
    })
}

/// What git lists; none where it cannot. No program that the repository's own settings name is started.
fn actions_by_git(folder: &Path) -> Option<BTreeSet<PathBuf>> {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args(["-c", "core.fsmonitor=false", "ls-files", "-z", "-co"]);
    command.args(["--exclude-standard", "--", ":(glob)**/action.yml", ":(glob)**/action.yaml"]);
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(name);
    }
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let names = output.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let paths = names.map(|name| PathBuf::from(OsStr::from_bytes(name)));
    // What was removed may still be tracked.
    let here = |path: &PathBuf| !is_skipped(path) && folder.join(path).is_file();
    output.status.success().then(|| paths.filter(here).take(MAX_FILES + 1).collect())
}

fn is_skipped(path: &Path) -> bool {
    path.components()
        .any(|part| matches!(part, Component::Normal(name) if SKIPPED.iter().any(|it| name == *it)))
}

/// Looks through folders for actions, up to the limits. Links are not followed.
struct Walk<'a> {
    root: &'a Path,
    entries: usize,
    found: BTreeSet<PathBuf>,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path, depth: usize) {
        // A folder that cannot be read holds nothing that anybody could use.
        let Ok(entries) = fs::read_dir(self.root.join(folder)) else { return };
        for entry in entries.flatten() {
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                return;
            }
            let path = folder.join(entry.file_name());
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() && depth < MAX_DEPTH && !is_skipped(&path) {
                self.folder(&path, depth + 1);
            } else if kind.is_file() && is_action(&path) {
                self.found.insert(path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use super::targets;

    fn repository(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a folder can be made");
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("a folder can be made");
            fs::write(path, "x").expect("a file can be written");
        }
        root
    }

    fn check(root: &Path, named: &[&str], expected: &[&str]) {
        let named: Vec<PathBuf> = named.iter().map(|name| root.join(name)).collect();
        let found = targets(&named, root).expect("the folder can be read");
        assert!(found.iter().all(|target| target.path.is_file()));
        let names: Vec<_> =
            found.iter().map(|target| target.name.strip_prefix(root).unwrap_or(&target.name)).collect();
        assert_eq!(names, expected.iter().map(Path::new).collect::<Vec<_>>(), "{named:?}");
    }

    const FILES: [&str; 8] = [
        ".github/workflows/b.yml",
        ".github/workflows/a.yaml",
        ".github/workflows/notes.md",
        ".github/actions/one/action.yml",
        "action.yaml",
        "other.yml",
        "node_modules/x/action.yml",
        "built/action.yml",
    ];

    #[test]
    fn the_files_of_a_folder_without_git() {
        let root = repository(&FILES);
        let all = [
            ".github/actions/one/action.yml",
            ".github/workflows/a.yaml",
            ".github/workflows/b.yml",
            "action.yaml",
            "built/action.yml",
        ];
        check(root.path(), &[], &all);
        check(root.path(), &["."], &all);
        check(root.path(), &[".github/workflows"], &[".github/workflows/a.yaml", ".github/workflows/b.yml"]);
        check(
            root.path(),
            &[".github/actions", "other.yml"],
            &[".github/actions/one/action.yml", "other.yml"],
        );
    }

    #[test]
    fn what_git_ignores_is_left_out() {
        let root = repository(&FILES);
        fs::write(root.path().join(".gitignore"), "built\n").expect("a file can be written");
        let status = Command::new("git").args(["init", "-q"]).arg(root.path()).status();
        assert!(status.expect("git is installed").success());
        let all = [
            ".github/actions/one/action.yml",
            ".github/workflows/a.yaml",
            ".github/workflows/b.yml",
            "action.yaml",
        ];
        check(root.path(), &[], &all);
    }

    #[test]
    fn a_root_that_is_not_there_is_named() {
        let failure = targets(&[], Path::new("/nowhere/at/all")).expect_err("there is no such folder");
        assert_eq!(failure.cause(), "there is no folder `/nowhere/at/all`");
    }
}
