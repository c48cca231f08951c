//! A git repository on the host: which working tree, branch, commit, refs and settings it has.
//!
//! Read from its files where their format is the usual one, which takes a tenth of the time of one git process; asked
//! of git itself where it is not (other ref storages, configurations that include others, another user's repository).
//! Files are only read.

mod config;
mod refs;

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The most bytes of a file of settings or refs.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// A working tree of a git repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// The top folder of the working tree.
    top: PathBuf,
    /// What is the working tree's own: `HEAD` and the index.
    folder: PathBuf,
    /// What working trees share: objects, refs and settings.
    common: PathBuf,
    /// The settings of `common`, where git need not be asked for what is in the files.
    plain: Option<config::Variables>,
}

/// What is checked out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The branch in full, `refs/heads/main`; none where the head is detached.
    pub branch: Option<String>,
    /// The commit; none in a repository without commits.
    pub commit: Option<String>,
}

impl Repository {
    /// The repository that the folder `root`, an absolute path, lies in.
    #[must_use]
    pub fn find(root: &Path) -> Option<Self> {
        let top = root.ancestors().find(|folder| folder.join(".git").symlink_metadata().is_ok())?;
        Self::plain(top).or_else(|| Self::ask(root))
    }

    /// The top folder of the working tree.
    #[must_use]
    pub fn top(&self) -> &Path {
        &self.top
    }

    /// The folder with `HEAD` and the index.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder with objects and refs.
    pub(crate) fn common(&self) -> &Path {
        &self.common
    }

    fn plain(top: &Path) -> Option<Self> {
        let link = top.join(".git");
        let folder = if link.is_dir() {
            link
        } else {
            top.join(read(&link)?.strip_prefix("gitdir: ")?.trim_end_matches(['\n', '\r']))
        };
        let common = match read(&folder.join("commondir")) {
            Some(common) => folder.join(common.trim_end_matches(['\n', '\r'])),
            None => folder.clone(),
        };
        let (top, folder, common) =
            (top.canonicalize().ok()?, folder.canonicalize().ok()?, common.canonicalize().ok()?);
        let user = rustix::process::geteuid().as_raw();
        let own = |path: &Path| path.metadata().is_ok_and(|metadata| metadata.uid() == user);
        let is_whole = common.join("objects").is_dir() && common.join("refs").is_dir();
        let variables = config::parse(&read(&common.join("config"))?)?;
        let is_plain = [&top, &folder, &common].into_iter().all(|path| own(path))
            && is_whole
            && variables.iter().all(|(name, value)| is_usual(name, value));
        is_plain.then_some(Self { top, folder, common, plain: Some(variables) })
    }

    fn ask(root: &Path) -> Option<Self> {
        let lines = line(root, &["rev-parse", "--show-toplevel", "--absolute-git-dir", "--git-common-dir"])?;
        let mut lines = lines.lines();
        let (top, folder, common) = (lines.next()?, lines.next()?, lines.next()?);
        let top = Path::new(top).canonicalize().ok()?;
        let common = root.join(common).canonicalize().ok()?;
        Some(Self { top, folder: folder.into(), common, plain: None })
    }

    /// What is checked out.
    #[must_use]
    pub fn head(&self) -> Head {
        if let Some(head) = self.plain.as_ref().and_then(|_| refs::head(&self.folder, &self.common)) {
            return head;
        }
        Head {
            branch: line(&self.top, &["symbolic-ref", "-q", "HEAD"]),
            commit: line(&self.top, &["rev-parse", "--verify", "-q", "HEAD"]),
        }
    }

    /// The name of the default branch: that of `origin`, as it was when the repository was cloned, else a `main` or
    /// `master` that there is.
    #[must_use]
    pub fn default_branch(&self) -> Option<String> {
        const OF_ORIGIN: &str = "refs/remotes/origin/";
        let head = read(&self.common.join(OF_ORIGIN).join("HEAD"));
        let of_origin = head.as_deref().and_then(|text| text.trim().strip_prefix("ref: "));
        if let Some(name) = of_origin.and_then(|name| name.strip_prefix(OF_ORIGIN)) {
            return Some(name.to_owned());
        }
        let usual = ["main", "master"].map(|name| (name, format!("refs/heads/{name}")));
        let known = |is_ref: &dyn Fn(&str) -> bool| {
            usual.iter().find(|(_, full)| is_ref(full)).map(|(name, _)| (*name).to_owned())
        };
        // All refs are looked at only where no file tells.
        known(&|full| self.common.join(full).is_file()).or_else(|| {
            let refs = self.packed_refs();
            known(&|full| refs.lines().any(|line| line.split_once(' ').is_some_and(|(_, name)| name == full)))
        })
    }

    /// All refs, as the text of a packed-refs file.
    pub(crate) fn packed_refs(&self) -> String {
        if let Some(refs) = self.plain.as_ref().and_then(|_| refs::all(&self.common)) {
            return refs;
        }
        let refs = output(&self.top, &["for-each-ref", "--format=%(objectname) %(refname)"]);
        String::from_utf8_lossy(&refs.unwrap_or_default()).into_owned()
    }

    /// The last values of `remote.origin.url` and `user.name`, of the repository and of its user.
    #[must_use]
    pub fn settings(&self, environment: &dyn Fn(&str) -> Option<std::ffi::OsString>) -> Settings {
        let known = match &self.plain {
            Some(own) if !is_redirected(environment) => user_variables(environment).map(|mut variables| {
                variables.extend(own.iter().cloned());
                variables
            }),
            _ => None,
        };
        let variables = known.unwrap_or_else(|| asked_variables(&self.top));
        let mut last: HashMap<String, String> = variables.into_iter().collect();
        Settings { origin: last.remove("remote.origin.url"), user: last.remove("user.name") }
    }
}

/// What people have set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The URL of the remote `origin`.
    pub origin: Option<String>,
    /// Who commits.
    pub user: Option<String>,
}

/// Whether a setting leaves all others and the refs where they usually are.
fn is_usual(name: &str, value: &str) -> bool {
    match name {
        "core.repositoryformatversion" => value == "0" || value == "1",
        "core.bare" => value.eq_ignore_ascii_case("false"),
        _ => name != "core.worktree" && !name.starts_with("extensions."),
    }
}

/// Whether variables of the environment say where settings are.
fn is_redirected(environment: &dyn Fn(&str) -> Option<std::ffi::OsString>) -> bool {
    let names = [
        "GIT_CONFIG",
        "GIT_CONFIG_GLOBAL",
        "GIT_CONFIG_SYSTEM",
        "GIT_CONFIG_NOSYSTEM",
        "GIT_CONFIG_COUNT",
        "GIT_CONFIG_PARAMETERS",
    ];
    names.into_iter().any(|name| environment(name).is_some())
}

/// The settings of the host and of the user, in the order in which git reads them.
fn user_variables(environment: &dyn Fn(&str) -> Option<std::ffi::OsString>) -> Option<config::Variables> {
    let home = environment("HOME").map(PathBuf::from);
    let own = environment("XDG_CONFIG_HOME").map(PathBuf::from).filter(|folder| folder.is_absolute());
    let own = own.or_else(|| home.as_ref().map(|home| home.join(".config")));
    let files = [
        Some(PathBuf::from("/etc/gitconfig")),
        own.map(|folder| folder.join("git/config")),
        home.map(|home| home.join(".gitconfig")),
    ];
    let mut variables = Vec::new();
    for file in files.into_iter().flatten().filter(|file| file.exists()) {
        variables.extend(config::parse(&read(&file)?)?);
    }
    Some(variables)
}

fn asked_variables(root: &Path) -> config::Variables {
    let found = output(root, &["config", "-z", "--get-regexp", r"^(remote\.origin\.url|user\.name)$"]);
    let found = found.unwrap_or_default();
    let text = String::from_utf8_lossy(&found);
    let pair = |entry: &str| entry.split_once('\n').map(|(name, value)| (name.to_owned(), value.to_owned()));
    text.split('\0').filter_map(pair).collect()
}

/// The text of a file of git's; none where there is none.
fn read(path: &Path) -> Option<String> {
    let is_readable = path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() <= MAX_FILE);
    is_readable.then(|| fs::read_to_string(path).ok()).flatten()
}

/// A git command in `root`, whatever repository the caller is a hook of.
pub(crate) fn command(root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(root).args(arguments).stdin(Stdio::null());
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"] {
        command.env_remove(name);
    }
    command
}

/// What a git command prints; none when it fails.
fn output(root: &Path, arguments: &[&str]) -> Option<Vec<u8>> {
    let output = command(root, arguments).output().ok()?;
    output.status.success().then_some(output.stdout)
}

fn line(root: &Path, arguments: &[&str]) -> Option<String> {
    let output = output(root, arguments)?;
    Some(String::from_utf8_lossy(&output).trim_end_matches('\n').to_owned()).filter(|line| !line.is_empty())
}

#[cfg(test)]
pub(crate) mod tests;
