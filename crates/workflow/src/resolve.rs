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
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Neither `./path`, `$/path` nor `owner/repository/path@ref`.
    #[error(
        "expected format {{owner}}/{{repository}}/{{path}}@{{ref}}, or ./{{path}} for a workflow of this repository"
    )]
    Format,
    /// A path of this repository with a version.
    #[error("a workflow of this repository cannot have a version")]
    LocalVersion,
    /// No version behind `@`.
    #[error("no version specified: expected @{{ref}} at the end")]
    NoVersion,
    /// A workflow elsewhere than in `.github/workflows`, or deeper.
    #[error("a called workflow must be a file directly in .github/workflows")]
    Folder,
    /// A file that is no YAML file.
    #[error("a called workflow must have the extension .yml or .yaml")]
    Extension,
}

impl WorkflowReference {
    /// Reads the `uses` of a job in a workflow of the repository `caller` (`None`: the one whose workflow runs). A path
    /// of the same repository is one of the caller's.
    pub fn parse(uses: &str, caller: Option<&RepositoryVersion>) -> Result<Self, ReferenceError> {
        if let Some(path) = uses.strip_prefix("./").or_else(|| uses.strip_prefix("$/")) {
            if path.contains('@') {
                return Err(ReferenceError::LocalVersion);
            }
            return Ok(Self { repository: caller.cloned(), path: checked_path(path)?.to_owned() });
        }
        let Some((location, version)) = uses.split_once('@') else {
            let segments = uses.split('/').filter(|segment| !segment.is_empty()).count();
            return Err(if segments > 2 { ReferenceError::NoVersion } else { ReferenceError::Format });
        };
        let mut parts = location.splitn(3, '/');
        let (Some(owner), Some(name), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(ReferenceError::Format);
        };
        if owner.is_empty() || name.is_empty() || owner == "." || owner == ".." {
            return Err(ReferenceError::Format);
        }
        if version.is_empty() {
            return Err(ReferenceError::NoVersion);
        }
        let repository =
            RepositoryVersion { owner: owner.to_owned(), name: name.to_owned(), version: version.to_owned() };
        Ok(Self { repository: Some(repository), path: checked_path(path)?.to_owned() })
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

fn checked_path(path: &str) -> Result<&str, ReferenceError> {
    let Some(file) = path.strip_prefix(".github/workflows/") else { return Err(ReferenceError::Folder) };
    if file.contains('/') || file.contains('\\') {
        return Err(ReferenceError::Folder);
    }
    if !file.ends_with(".yml") && !file.ends_with(".yaml") {
        return Err(ReferenceError::Extension);
    }
    Ok(path)
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
pub trait ResolveWorkflow {
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
    use super::{RepositoryVersion, WorkflowReference};

    fn check(uses: &str, expected: &str) {
        let caller = RepositoryVersion { owner: "me".into(), name: "lib".into(), version: "v1".into() };
        let got = match WorkflowReference::parse(uses, Some(&caller)) {
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
        let local = WorkflowReference::parse("./.github/workflows/x.yml", None).expect("a reference");
        assert_eq!(local.to_string(), "./.github/workflows/x.yml");
    }

    #[test]
    fn bad_references() {
        check("./.github/workflows/x.yml@v1", "LocalVersion");
        check("a/b/.github/workflows/x.yml", "NoVersion");
        check("a/b/.github/workflows/x.yml@", "NoVersion");
        check("a/b@v1", "Format");
        check("", "Format");
        check("a/b/x.yml@v1", "Folder");
        check("a/b/.github/workflows/deep/x.yml@v1", "Folder");
        check("./.github/workflows/x.txt", "Extension");
        check("./../.github/workflows/x.yml", "Folder");
    }
}
