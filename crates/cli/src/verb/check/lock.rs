//! The lock file: which commits the versions of actions are.

use std::collections::HashMap;
use std::path::Path;

use super::configuration::read_toml;
use crate::config::Config;
use crate::failure::Failure;

/// Where a repository keeps the commits of the actions that it uses: `"owner/repository@version" = "SHA"` lines.
pub(super) const LOCK: &str = ".github/firedog.lock";

/// The commits of versions of actions.
#[derive(Debug, Default)]
pub(crate) struct Lock {
    /// By `owner/repository@version`, the repository in lower case.
    commits: HashMap<String, String>,
}

impl Lock {
    /// Reads the lock of the repository at `root`, if it has one.
    pub(crate) fn of(root: &Path, config: &Config) -> Result<Self, Failure> {
        let path = root.join(LOCK);
        let commits: HashMap<String, String> = match path.is_file() {
            true => read_toml(&path, config)?,
            false => HashMap::new(),
        };
        if let Some((uses, _)) = commits.iter().find(|(_, commit)| !is_commit(commit)) {
            let message = format!("`{}`: what is locked for `{uses}` is no commit", path.display());
            return Err(Failure::usage(message).with_help("a commit has 40 hexadecimal digits"));
        }
        let commits = commits.into_iter().filter_map(|(uses, commit)| Some((key(&uses)?, commit))).collect();
        Ok(Self { commits })
    }

    /// The commit of `owner/repository[/path]@version`.
    pub(crate) fn commit(&self, uses: &str) -> Option<String> {
        // Most repositories have no lock: nothing is then made of the reference.
        if self.commits.is_empty() { None } else { self.commits.get(&key(uses)?).cloned() }
    }
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `owner/repository@version` of `owner/repository/path@version`: a repository's actions share its commits.
fn key(uses: &str) -> Option<String> {
    let (path, version) = uses.split_once('@')?;
    let mut parts = path.splitn(3, '/');
    let (owner, repository) = (parts.next()?, parts.next()?);
    Some(format!("{}/{}@{version}", owner.to_lowercase(), repository.to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::key;

    #[test]
    fn actions_of_a_repository_share_its_commits() {
        let check = |uses: &str, expected: Option<&str>| assert_eq!(key(uses).as_deref(), expected);
        check("Actions/Cache/restore@v4", Some("actions/cache@v4"));
        check("actions/cache@V4", Some("actions/cache@V4"));
        check("actions@v4", None);
        check("./action", None);
    }
}
