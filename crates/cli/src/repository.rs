//! What is known of the repository at ROOT: its name, the checked-out branch and commit.
//!
//! Two `git` processes at the same time, started before anything else is done and waited for at the end; none where
//! there is no repository. Whatever cannot be known is absent.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Facts of the repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Repository {
    /// `owner/name`: of the remote `origin`, else `local/` with the folder's name.
    pub(crate) name: String,
    /// The checked-out branch in full; none where the head is detached.
    pub(crate) git_ref: Option<String>,
    /// The checked-out commit.
    pub(crate) sha: Option<String>,
    /// Who commits here: `user.name`.
    pub(crate) user: Option<String>,
}

/// The questions to git, on their way.
#[derive(Debug)]
pub(crate) struct Asked {
    root: PathBuf,
    head: Option<Child>,
    config: Option<Child>,
}

/// Starts to ask about the repository at `root`, an absolute path.
pub(crate) fn ask(root: &Path) -> Asked {
    let is_repository = root.ancestors().any(|folder| folder.join(".git").exists());
    let git = |arguments: &[&str]| {
        if !is_repository {
            return None;
        }
        let mut command = Command::new("git");
        command.arg("-C").arg(root).args(arguments);
        // A caller that is itself a git hook must not redirect the question to its own repository.
        for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
            command.env_remove(variable);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        command.spawn().ok()
    };
    let head = git(&["rev-parse", "HEAD", "--symbolic-full-name", "HEAD"]);
    let config = git(&["config", "--get-regexp", r"^(remote\.origin\.url|user\.name)$"]);
    Asked { root: root.to_owned(), head, config }
}

impl Asked {
    /// Waits for the answers.
    pub(crate) fn answers(self) -> Repository {
        let head = answer(self.head);
        let config = answer(self.config);
        let git_ref = head.lines().find(|line| line.starts_with("refs/heads/")).map(str::to_owned);
        let sha = head.lines().find(|line| is_sha(line)).map(str::to_owned);
        let setting = |name: &str| {
            config.lines().rev().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(' ')?.to_owned()))
        };
        let remote = setting("remote.origin.url").and_then(|url| name_of_remote(&url));
        Repository {
            name: remote.unwrap_or_else(|| name_of_folder(&self.root)),
            git_ref,
            sha,
            user: setting("user.name"),
        }
    }
}

fn answer(child: Option<Child>) -> String {
    let output = child.and_then(|child| child.wait_with_output().ok());
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

fn is_sha(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `owner/name` at the end of a remote's URL or path.
fn name_of_remote(url: &str) -> Option<String> {
    let path = url.trim_end_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    let mut parts = path.rsplit(['/', ':']).filter(|part| !part.is_empty());
    let [name, owner] = [parts.next()?, parts.next()?];
    (is_name(owner) && is_name(name)).then(|| format!("{owner}/{name}"))
}

/// `local/` with the folder's name, characters that GitHub does not allow as `-`.
fn name_of_folder(root: &Path) -> String {
    let name = root.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name: String = name.chars().map(|c| if allowed(c) { c } else { '-' }).collect();
    format!("local/{}", if is_name(&name) { &name } else { "repository" })
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(allowed) && text.chars().any(|c| c != '.')
}

fn allowed(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.')
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use super::{Repository, ask, name_of_folder, name_of_remote};

    fn check(url: &str, expected: Option<&str>) {
        assert_eq!(name_of_remote(url).as_deref(), expected, "{url}");
    }

    #[test]
    fn names_of_remotes() {
        check("https://github.com/octo/repo.git", Some("octo/repo"));
        check("https://github.com/octo/repo/", Some("octo/repo"));
        check("git@github.com:octo/repo.git", Some("octo/repo"));
        check("ssh://git@host:22/octo/repo", Some("octo/repo"));
        check("/srv/git/octo/repo.git", Some("octo/repo"));
        check("repo", None);
        check("https://host/a b/..", None);
    }

    #[test]
    fn names_of_folders() {
        assert_eq!(name_of_folder(Path::new("/x/my project")), "local/my-project");
        assert_eq!(name_of_folder(Path::new("/")), "local/repository");
    }

    fn git(folder: &Path, arguments: &[&str]) {
        let identity =
            ["-c", "user.name=T", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=trunk"];
        let status = Command::new("git").arg("-C").arg(folder).args(identity).args(arguments).status();
        assert!(status.expect("git is installed").success(), "{arguments:?}");
    }

    #[test]
    fn a_checkout_tells_its_branch_commit_and_name() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        git(folder.path(), &["init", "-q"]);
        git(folder.path(), &["remote", "add", "origin", "git@github.com:octo/repo.git"]);
        let unborn = ask(folder.path()).answers();
        assert_eq!((unborn.name.as_str(), unborn.sha), ("octo/repo", None));
        git(folder.path(), &["commit", "-q", "--allow-empty", "-m", "first"]);
        let found = ask(folder.path()).answers();
        assert_eq!(found.git_ref.as_deref(), Some("refs/heads/trunk"));
        assert_eq!(found.sha.map(|sha| sha.len()), Some(40));
        git(folder.path(), &["checkout", "-q", "--detach"]);
        assert_eq!(ask(folder.path()).answers().git_ref, None);
    }

    #[test]
    fn a_plain_folder_has_a_name_only() {
        let folder = tempfile::tempdir_in("/tmp").expect("a folder can be made");
        let found = ask(folder.path()).answers();
        assert!(found.name.starts_with("local/"));
        assert_eq!(Repository { name: String::new(), ..found }, Repository::default());
    }
}
