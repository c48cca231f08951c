use std::ffi::OsString;
use std::path::Path;

use super::{Repository, command};

pub(crate) fn git(root: &Path, arguments: &[&str]) {
    let identity = ["-c", "user.name=n", "-c", "user.email=e", "-c", "init.defaultBranch=main"];
    let arguments: Vec<&str> = identity.iter().chain(arguments).copied().collect();
    let output = command(root, &arguments).output().expect("git is installed");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn repository() -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a folder can be made");
    git(root.path(), &["init", "-q"]);
    root
}

/// Says without git what git says.
fn check(root: &Path) -> Repository {
    let [found, asked] =
        [Repository::find(root), Repository::ask(root)].map(|found| found.expect("a repository"));
    assert!(found.plain.is_some(), "git was asked");
    assert_eq!(Repository { plain: None, ..found.clone() }, asked);
    assert_eq!(found.head(), asked.head());
    assert_eq!(found.packed_refs(), asked.packed_refs());
    let environment = |name: &str| std::env::var_os(name);
    assert_eq!(found.settings(&environment), asked.settings(&environment));
    found
}

#[test]
fn branches_tags_and_detached_heads() {
    let root = repository();
    let root = root.path();
    assert_eq!(check(root).head().commit, None);
    git(root, &["commit", "-q", "--allow-empty", "-m", "first"]);
    git(root, &["remote", "add", "origin", "git@github.com:octo/repo.git"]);
    git(root, &["config", "user.name", "An \"Octo\" ; Cat"]);
    let found = check(root);
    assert_eq!(found.head().branch.as_deref(), Some("refs/heads/main"));
    let settings = found.settings(&|_| None);
    assert_eq!(settings.origin.as_deref(), Some("git@github.com:octo/repo.git"));
    assert_eq!(settings.user.as_deref(), Some("An \"Octo\" ; Cat"));
    git(root, &["tag", "-a", "v1", "-m", "one"]);
    git(root, &["branch", "feature/a"]);
    git(root, &["pack-refs", "--all"]);
    check(root);
    git(root, &["commit", "-q", "--allow-empty", "-m", "second"]);
    git(root, &["update-ref", "refs/remotes/origin/main", "HEAD"]);
    git(root, &["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main"]);
    check(root);
    git(root, &["checkout", "-q", "--detach"]);
    assert_eq!(check(root).head().branch, None);
}

#[test]
fn folders_in_it_and_other_working_trees() {
    let root = repository();
    let root = root.path();
    git(root, &["commit", "-q", "--allow-empty", "-m", "first"]);
    std::fs::create_dir_all(root.join("a/b")).expect("a folder can be made");
    assert_eq!(check(&root.join("a/b")).top(), root.canonicalize().expect("it is there"));
    let other = tempfile::tempdir().expect("a folder can be made");
    let tree = other.path().join("tree");
    git(root, &["worktree", "add", "-q", "-b", "other", tree.to_str().expect("it is UTF-8")]);
    assert_eq!(check(&tree).head().branch.as_deref(), Some("refs/heads/other"));
}

#[test]
fn what_is_not_usual_is_asked_of_git() {
    let root = repository();
    let root = root.path();
    git(root, &["commit", "-q", "--allow-empty", "-m", "first"]);
    git(root, &["config", "extensions.worktreeConfig", "true"]);
    let found = Repository::find(root).expect("a repository");
    assert!(found.plain.is_none());
    assert_eq!(found.head().branch.as_deref(), Some("refs/heads/main"));
    assert!(found.packed_refs().ends_with(" refs/heads/main\n"));
}

#[test]
fn settings_of_the_user_come_first() {
    let root = repository();
    let home = tempfile::tempdir().expect("a folder can be made");
    std::fs::write(home.path().join(".gitconfig"), "[user]\nname = Home\n").expect("a file can be written");
    let environment = |name: &str| (name == "HOME").then(|| OsString::from(home.path()));
    let found = Repository::find(root.path()).expect("a repository");
    assert_eq!(found.settings(&environment).user.as_deref(), Some("Home"));
    git(root.path(), &["config", "user.name", "Local"]);
    let found = Repository::find(root.path()).expect("a repository");
    assert_eq!(found.settings(&environment).user.as_deref(), Some("Local"));
}
