//! References to called workflows, and the trait through which their text is found. Pure: whoever reads files or calls
//! an API implements [`ResolveWorkflow`].

use serde::{Deserialize, Serialize};

use crate::source::SourceFile;

/// A repository at a version.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RepositoryVersion {
    /// The owner.
    pub owner: String,
    /// The repository's name.
    pub name: String,
    /// A branch, a tag or a commit.
    pub version: String,
}

/// Where a called workflow is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WorkflowReference {
    /// The repository; `None` for the one whose workflow runs.
    pub repository: Option<RepositoryVersion>,
    /// The path in the repository, such as `.github/workflows/build.yml`.
    pub path: String,
}

/// Why a reference is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Neither `./path`, `$/path` nor `owner/repository/path@ref`.
    #[error(
        "references to workflows must be prefixed with format 'owner/repository/' or './' for local workflows"
    )]
    Format,
    /// A path of this repository with a version.
    #[error("cannot specify version when calling local workflows")]
    LocalVersion,
    /// No version behind `@`.
    #[error("no version specified")]
    NoVersion,
    /// More than one `@`.
    #[error("too many '@' in workflow reference")]
    ManyVersions,
    /// A version that is no name of a branch, a tag or a commit.
    #[error("invalid version: {0}")]
    Version(&'static str),
    /// No name of an owner.
    #[error("owner name must be a valid repository owner name")]
    Owner,
    /// No name of a repository.
    #[error("repository name is invalid")]
    Repository,
    /// A workflow elsewhere.
    #[error("references to workflows must be rooted in '.github/workflows'")]
    Folder,
    /// A workflow in a folder of that folder.
    #[error("workflows must be defined at the top level of the .github/workflows/ directory")]
    Subfolder,
    /// A file that is no YAML file.
    #[error("workflow file should have either a '.yml' or '.yaml' file extension")]
    Extension,
    /// A file that is called `.yml`.
    #[error("invalid workflow file name")]
    FileName,
}

/// Which calls of workflows are allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CallRules {
    /// As on GitHub: files directly in `.github/workflows`, given no secrets that they do not define.
    #[default]
    GitHub,
    /// For a repository that is at hand: also its files elsewhere, and secrets that are not defined.
    Local,
}

/// Folders that workflows are called from.
const FOLDERS: [&str; 2] = [".github/workflows/", ".github/workflows-lab/"];

impl WorkflowReference {
    /// Reads the `uses` of a job in a workflow of the repository `caller` (`None`: the one whose workflow runs). A path
    /// of the same repository is one of the caller's.
    ///
    /// # Errors
    /// What GitHub has against the reference.
    pub fn parse(
        uses: &str,
        caller: Option<&RepositoryVersion>,
        rules: CallRules,
    ) -> Result<Self, ReferenceError> {
        if let Some(path) = uses.strip_prefix("./").or_else(|| uses.strip_prefix("$/")) {
            let file = path.split('@').next().unwrap_or(path);
            match rules {
                CallRules::GitHub => check_path(file)?,
                CallRules::Local => check_local_path(file)?,
            }
            if path.contains('@') {
                return Err(ReferenceError::LocalVersion);
            }
            return Ok(Self { repository: caller.cloned(), path: path.to_owned() });
        }
        let Some((location, version)) = uses.split_once('@') else { return Err(ReferenceError::NoVersion) };
        if version.contains('@') {
            return Err(ReferenceError::ManyVersions);
        }
        if version.is_empty() {
            return Err(ReferenceError::NoVersion);
        }
        let start =
            FOLDERS.iter().filter_map(|folder| location.find(folder)).min().ok_or(ReferenceError::Folder)?;
        let (repository, path) = location.split_at(start);
        let mut names = repository.split('/').filter(|name| !name.is_empty());
        let (Some(owner), Some(name), None) = (names.next(), names.next(), names.next()) else {
            return Err(ReferenceError::Format);
        };
        check_name(owner, ReferenceError::Owner)?;
        check_name(name, ReferenceError::Repository)?;
        check_version(version)?;
        check_path(path)?;
        let repository =
            RepositoryVersion { owner: owner.to_owned(), name: name.to_owned(), version: version.to_owned() };
        Ok(Self { repository: Some(repository), path: path.to_owned() })
    }
}

fn check_name(name: &str, error: ReferenceError) -> Result<(), ReferenceError> {
    let allowed = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '.' | '-');
    // A name of dots alone would be a folder, not a repository.
    let valid = name.chars().all(allowed) && name.chars().any(|character| character != '.');
    if valid { Ok(()) } else { Err(error) }
}

fn check_version(version: &str) -> Result<(), ReferenceError> {
    if ["?", "*", "[", "]", "\\", "~", "^", ":", "..", "//"].iter().any(|wrong| version.contains(wrong)) {
        return Err(ReferenceError::Version("it has a character or sequence that no reference has"));
    }
    if version.starts_with(['/', '.']) || version.ends_with(['/', '.']) {
        return Err(ReferenceError::Version("it cannot begin or end with a slash '/' or a dot '.'"));
    }
    if version.split('/').any(|part| part.starts_with('.') || part.ends_with(".lock")) {
        return Err(ReferenceError::Version("no part of it can begin with a dot or end with '.lock'"));
    }
    if version.chars().any(|character| character.is_whitespace() || character.is_ascii_control()) {
        return Err(ReferenceError::Version("it cannot have whitespace or control characters"));
    }
    Ok(())
}

fn check_path(path: &str) -> Result<(), ReferenceError> {
    let file = FOLDERS.iter().find_map(|folder| path.strip_prefix(folder)).ok_or(ReferenceError::Folder)?;
    if file.contains(['/', '\\']) {
        return Err(ReferenceError::Subfolder);
    }
    check_file_name(file)
}

/// A path anywhere in a repository, but never out of it.
fn check_local_path(path: &str) -> Result<(), ReferenceError> {
    if path.split(['/', '\\']).any(|part| matches!(part, "" | "." | "..")) {
        return Err(ReferenceError::Folder);
    }
    check_file_name(path.rsplit('/').next().unwrap_or(path))
}

fn check_file_name(file: &str) -> Result<(), ReferenceError> {
    match file.strip_suffix(".yml").or_else(|| file.strip_suffix(".yaml")) {
        None => Err(ReferenceError::Extension),
        Some("") => Err(ReferenceError::FileName),
        Some(_) => Ok(()),
    }
}

impl std::fmt::Display for WorkflowReference {
    /// `owner/repository/path@version` or `./path`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.repository {
            Some(at) => write!(f, "{}/{}/{}@{}", at.owner, at.name, self.path, at.version),
            None => write!(f, "./{}", self.path),
        }
    }
}

/// What is known about a called workflow.
#[derive(Clone, Debug)]
pub enum Resolution {
    /// Its text.
    Found(SourceFile),
    /// It does not exist: a mistake of the author.
    Missing,
    /// Nothing: its repository is out of reach here.
    Unknown,
}

/// Finds the text of called workflows.
pub trait ResolveWorkflow: Sync {
    /// The workflow at a reference.
    fn resolve(&self, reference: &WorkflowReference) -> Resolution;
}

/// Knows no workflow.
#[derive(Clone, Copy, Debug)]
pub struct ResolveNothing;

impl ResolveWorkflow for ResolveNothing {
    fn resolve(&self, _: &WorkflowReference) -> Resolution {
        Resolution::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::{CallRules, RepositoryVersion, WorkflowReference};

    fn check(uses: &str, expected: &str) {
        let caller = RepositoryVersion { owner: "me".into(), name: "lib".into(), version: "v1".into() };
        let got = match WorkflowReference::parse(uses, Some(&caller), CallRules::GitHub) {
            Ok(reference) => reference.to_string(),
            Err(error) => format!("{error:?}"),
        };
        assert_eq!(got, expected, "{uses:?}");
    }

    #[test]
    fn references() {
        check("a/b/.github/workflows/x.yml@v1", "a/b/.github/workflows/x.yml@v1");
        check("a/b/.github/workflows/x.yaml@feature/y", "a/b/.github/workflows/x.yaml@feature/y");
        check("./.github/workflows/x.yml", "me/lib/.github/workflows/x.yml@v1");
        check("$/.github/workflows/x.yml", "me/lib/.github/workflows/x.yml@v1");
        let local = WorkflowReference::parse("./.github/workflows/x.yml", None, CallRules::GitHub);
        let local = local.expect("a reference");
        assert_eq!(local.to_string(), "./.github/workflows/x.yml");
    }

    #[test]
    fn local_files_may_be_anywhere_in_their_repository() {
        let read =
            |uses: &str| WorkflowReference::parse(uses, None, CallRules::Local).ok().map(|found| found.path);
        assert_eq!(read("./ci/x.yml").as_deref(), Some("ci/x.yml"));
        for uses in
            ["./../x.yml", "./ci/../../x.yml", ".//etc/x.yml", "./ci/x.txt", "./ci\\..\\x.yml", "./ci/.yml"]
        {
            assert_eq!(read(uses), None, "{uses}");
        }
    }

    #[test]
    fn bad_references() {
        check("./.github/workflows/x.yml@v1", "LocalVersion");
        check("a/b/.github/workflows/x.yml", "NoVersion");
        check("a/b/.github/workflows/x.yml@", "NoVersion");
        check("", "NoVersion");
        check("a/b/.github/workflows/x.yml@v1@v2", "ManyVersions");
        check("a/.github/workflows/x.yml@v1", "Format");
        check("a/b@v1", "Folder");
        check("a/b/x.yml@v1", "Folder");
        check("a!/b/.github/workflows/x.yml@v1", "Owner");
        check("a/../.github/workflows/x.yml@v1", "Repository");
        check("a/b/.github/workflows/deep/x.yml@v1", "Subfolder");
        check("./.github/workflows/x.txt", "Extension");
        check("./.github/workflows/.yml", "FileName");
        check("./../.github/workflows/x.yml", "Folder");
        for version in ["v1..v2", "/v1", "v1/", "a.lock/b", "a b", "v\\1", "a/.b"] {
            let reference = WorkflowReference::parse(
                &format!("a/b/.github/workflows/x.yml@{version}"),
                None,
                CallRules::GitHub,
            );
            assert!(reference.is_err(), "{version:?}");
        }
    }
}
