//! pyenv without its shims.
//!
//! A shim is a script that runs pyenv, which looks for the version and then for the program: some 80 ms a call. The version
//! is known when the machine is made, so its programs' own folders take the place of the shims' folder on `PATH`. The
//! folder itself is empty and writable inside, because `pyenv rehash` fails otherwise; after a rehash the shims come behind.

use std::cmp::Ordering;
use std::fs;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

/// Most of a version file that is read, in bytes.
const MAX_VERSION_FILE: u64 = 64 * 1024;

/// Ends of the names of versions that a prefix does not stand for.
const UNSTABLE: [&str; 3] = ["-dev", "-src", "-latest"];

/// What takes the place of pyenv's shims.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pyenv {
    /// The shims' folder.
    pub(super) shims: PathBuf,
    /// The folders with the programs of the versions in use; none for the system's own.
    pub(super) programs: Vec<PathBuf>,
}

/// The versions in use: those that `chosen` (the value of `PYENV_VERSION`) names, or else the file `.python-version` of
/// the `project`, or else the file `version` of pyenv's `root`. `None` where only the shims do what pyenv does: there are
/// none, a version is not installed, or the system's own comes before another.
pub(super) fn find(root: &Path, chosen: Option<&str>, project: Option<&Path>) -> Option<Pyenv> {
    let shims = root.join("shims");
    if !shims.is_dir() {
        return None;
    }
    let names = match chosen {
        Some(names) => names.split(':').map(str::to_owned).collect(),
        None => project
            .map(|project| names_in(&project.join(".python-version")))
            .filter(|names| !names.is_empty())
            .unwrap_or_else(|| names_in(&root.join("version"))),
    };
    let versions = root.join("versions");
    let mut programs = Vec::new();
    let mut is_system = false;
    for name in names {
        if name == "system" {
            is_system = true;
        } else if is_system {
            return None;
        } else {
            programs.push(installed(&versions, &name)?.join("bin"));
        }
    }
    Some(Pyenv { shims, programs })
}

/// The first word of each line that has one and is no comment.
fn names_in(file: &Path) -> Vec<String> {
    let mut text = String::new();
    let read = fs::File::open(file).and_then(|file| file.take(MAX_VERSION_FILE).read_to_string(&mut text));
    if read.is_err() {
        return Vec::new();
    }
    let words = text.lines().filter_map(|line| line.split_ascii_whitespace().next());
    words.filter(|word| !word.starts_with('#') && is_inside(word)).map(str::to_owned).collect()
}

fn is_inside(name: &str) -> bool {
    Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
}

/// The folder of a version, or of the newest one that a prefix stands for.
fn installed(versions: &Path, name: &str) -> Option<PathBuf> {
    let short = name.strip_prefix("python-").unwrap_or(name);
    let exact = [name, short].into_iter().filter(|name| !name.is_empty() && is_inside(name));
    let exact = exact.map(|name| versions.join(name)).find(|folder| folder.is_dir());
    exact.or_else(|| [name, short].into_iter().find_map(|prefix| newest(versions, prefix)))
}

fn newest(versions: &Path, prefix: &str) -> Option<PathBuf> {
    let names =
        fs::read_dir(versions).ok()?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let stands_for = |name: &String| {
        name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(['.', '-'])) && is_stable(name)
    };
    let newest = names.filter(stands_for).max_by(|one, other| compare(one, other))?;
    Some(versions.join(newest)).filter(|folder| folder.is_dir())
}

/// Neither a build of a branch, nor a preview such as `3.14.0rc1`, nor one without the global lock such as `3.13.0t`.
fn is_stable(name: &str) -> bool {
    let ends_in_digits = name.trim_end_matches(|last: char| last.is_ascii_digit());
    let is_preview = ends_in_digits.len() < name.len()
        && ["a", "b", "rc"].iter().any(|mark| {
            ends_in_digits
                .strip_suffix(mark)
                .is_some_and(|before| before.ends_with(|last: char| last.is_ascii_digit()))
        });
    let is_free =
        name.strip_suffix('t').is_some_and(|rest| rest.ends_with(|last: char| last.is_ascii_digit()));
    !is_preview && !is_free && !UNSTABLE.iter().any(|end| name.ends_with(end))
}

fn compare(one: &str, other: &str) -> Ordering {
    let parts = |name: &str| -> Vec<(u64, String)> {
        let parts = name.split(['.', '-']);
        parts.map(|part| (part.parse().unwrap_or(0), part.to_owned())).collect()
    };
    parts(one).cmp(&parts(other))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::find;

    const INSTALLED: [&str; 8] = [
        "2.7.18",
        "3.9.2",
        "3.9.18",
        "3.13.0t",
        "3.14.0rc1",
        "3.12-dev",
        "pypy3.10-7.3.12",
        "pypy3.10-7.3.9",
    ];

    /// The versions in use by `PYENV_VERSION`, the project's file and the global file; `None` leaves it to the shims.
    fn check(chosen: Option<&str>, project: Option<&str>, global: &str, expected: Option<&[&str]>) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("pyenv");
        for version in INSTALLED {
            fs::create_dir_all(root.join("versions").join(version)).unwrap();
        }
        fs::create_dir(root.join("shims")).unwrap();
        fs::write(root.join("version"), global).unwrap();
        if let Some(text) = project {
            fs::write(folder.path().join(".python-version"), text).unwrap();
        }
        let found = find(&root, chosen, project.map(|_| folder.path()));
        let names = found.map(|pyenv| {
            let name = |bin: &std::path::PathBuf| {
                bin.strip_prefix(root.join("versions")).unwrap().parent().unwrap().display().to_string()
            };
            pyenv.programs.iter().map(name).collect::<Vec<_>>()
        });
        assert_eq!(names, expected.map(|names| names.iter().map(|name| (*name).to_owned()).collect()));
    }

    #[test]
    fn the_variable_comes_before_the_project_and_the_project_before_the_global_file() {
        check(None, None, "2.7.18\n", Some(&["2.7.18"]));
        check(None, Some("3.9.2\n"), "2.7.18\n", Some(&["3.9.2"]));
        check(Some("3.9.18"), Some("3.9.2\n"), "2.7.18\n", Some(&["3.9.18"]));
        check(None, Some("# none\n\n"), "2.7.18\n", Some(&["2.7.18"]));
    }

    #[test]
    fn a_prefix_is_the_newest_stable_version() {
        check(None, None, "3.9", Some(&["3.9.18"]));
        check(None, None, "3", Some(&["3.9.18"]));
        check(None, None, "python-3.9", Some(&["3.9.18"]));
        check(None, None, "pypy3.10", Some(&["pypy3.10-7.3.12"]));
        check(None, None, "3.14", None);
        check(None, None, "3.13.0t", Some(&["3.13.0t"]));
    }

    #[test]
    fn there_may_be_several_versions_and_the_systems_own_last() {
        check(None, None, "3.9.2 first\n  2.7.18\r\n", Some(&["3.9.2", "2.7.18"]));
        check(Some("3.9.2:system"), None, "", Some(&["3.9.2"]));
        check(None, None, "system", Some(&[]));
        check(None, None, "", Some(&[]));
        check(Some("system:3.9.2"), None, "", None);
    }

    #[test]
    fn what_is_not_installed_is_left_to_the_shims() {
        check(None, None, "3.8", None);
        check(Some("3.9.2:3.8"), None, "", None);
        check(Some("../versions/3.9.2"), None, "", None);
        check(None, Some("../versions/3.9.2\n"), "3.9.2", Some(&["3.9.2"]));
    }
}
