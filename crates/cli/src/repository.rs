//! What is known of the repository at ROOT: its name, the checked-out branch and commit. Whatever cannot be known is
//! absent.

use std::path::Path;

use runner::git;

/// Facts of the repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Repository {
    /// `owner/name`: of the remote `origin`, else `local/` with the folder's name.
    pub(crate) name: String,
    /// The checked-out branch in full; none where the head is detached.
    pub(crate) git_ref: Option<String>,
    /// The name of the default branch, as far as this clone knows it.
    pub(crate) default_branch: Option<String>,
    /// The checked-out commit.
    pub(crate) sha: Option<String>,
    /// Who commits here: `user.name`.
    pub(crate) user: Option<String>,
}

/// What is known of the repository at `root`, an absolute path.
pub(crate) fn read(root: &Path) -> Repository {
    let found = git::Repository::find(root);
    let head = found.as_ref().map(git::Repository::head).unwrap_or_default();
    let default_branch = found.as_ref().and_then(git::Repository::default_branch);
    let settings = found.map(|found| found.settings(&|name| std::env::var_os(name))).unwrap_or_default();
    Repository {
        name: settings.origin.and_then(|url| name_of_remote(&url)).unwrap_or_else(|| name_of_folder(root)),
        git_ref: head.branch,
        default_branch,
        sha: head.commit,
        user: settings.user,
    }
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

    use super::{Repository, name_of_folder, name_of_remote, read};

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
        let unborn = read(folder.path());
        assert_eq!((unborn.name.as_str(), unborn.sha), ("octo/repo", None));
        git(folder.path(), &["commit", "-q", "--allow-empty", "-m", "first"]);
        let found = read(folder.path());
        assert_eq!(found.git_ref.as_deref(), Some("refs/heads/trunk"));
        assert_eq!(found.sha.map(|sha| sha.len()), Some(40));
        assert_eq!(found.default_branch, None);
        git(folder.path(), &["branch", "-q", "main"]);
        assert_eq!(read(folder.path()).default_branch.as_deref(), Some("main"));
        git(folder.path(), &["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/trunk"]);
        assert_eq!(read(folder.path()).default_branch.as_deref(), Some("trunk"));
        git(folder.path(), &["checkout", "-q", "--detach"]);
        assert_eq!(read(folder.path()).git_ref, None);
    }

    #[test]
    fn a_plain_folder_has_a_name_only() {
        let folder = tempfile::tempdir_in("/tmp").expect("a folder can be made");
        let found = read(folder.path());
        assert!(found.name.starts_with("local/"));
        assert_eq!(Repository { name: String::new(), ..found }, Repository::default());
    }
}
