//! Files that people name: workflows, payloads, secrets, and the workflows that workflows call.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use workflow::resolve::{Resolution, ResolveWorkflow, WorkflowReference};
use workflow::source::SourceFile;

use crate::failure::{Exit, Failure};

/// The largest file that is read, in bytes: GitHub's payloads have at most 25 MiB.
const MAX_FILE: u64 = 32 * 1024 * 1024;
/// The most workflow files of one repository.
const MAX_WORKFLOWS: usize = 1000;

/// Reads a file of text.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    read_bounded(path).map_err(|error| {
        Failure::new(Exit::Usage, error).while_doing(format!("cannot read `{}`", path.display()))
    })
}

fn read_bounded(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_FILE) {
        return Err(io::Error::new(ErrorKind::FileTooLarge, format!("it has more than {MAX_FILE} bytes")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let place = error.utf8_error().valid_up_to();
        io::Error::new(
            ErrorKind::InvalidData,
            format!("it is not UTF-8: the byte at offset {place} is wrong"),
        )
    })
}

/// Reads a JSON file.
pub(crate) fn read_json(path: &Path) -> Result<serde_json::Value, Failure> {
    serde_json::from_str(&read(path)?).map_err(|error| {
        Failure::new(Exit::Usage, error).while_doing(format!("`{}` is not valid JSON", path.display()))
    })
}

/// A workflow with the name that people gave it.
pub(crate) fn read_source(path: &Path) -> Result<SourceFile, Failure> {
    Ok(SourceFile::new(path.display().to_string(), read(path)?))
}

/// The workflows of `root`, named relative to it, in the order of their names. None where there is no such folder.
pub(crate) fn workflows_of(root: &Path) -> Result<Vec<SourceFile>, Failure> {
    let folder = Path::new(".github").join("workflows");
    let entries = match fs::read_dir(root.join(&folder)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|error| {
            Failure::new(Exit::Usage, error)
                .while_doing(format!("cannot read the folder `{}`", folder.display()))
        })?,
    };
    let mut names: Vec<PathBuf> = entries
        .filter_map(|entry| Some(PathBuf::from(entry.ok()?.file_name())))
        .filter(|name| name.extension().is_some_and(|extension| extension == "yml" || extension == "yaml"))
        .collect();
    names.sort();
    if names.len() > MAX_WORKFLOWS {
        return Err(Failure::usage(format!(
            "`{}` has more than {MAX_WORKFLOWS} workflows",
            folder.display()
        )));
    }
    let read_one = |name: PathBuf| {
        let name = folder.join(name);
        Ok(SourceFile::new(name.display().to_string(), read(&root.join(&name))?))
    };
    names.into_iter().map(read_one).collect()
}

/// Finds called workflows below ROOT and in the folders that stand for other repositories.
#[derive(Debug)]
pub(crate) struct CalledWorkflows {
    /// ROOT.
    pub(crate) root: PathBuf,
    /// `owner/repository@version` and the repository's folder.
    pub(crate) repositories: Vec<(String, PathBuf)>,
}

impl ResolveWorkflow for CalledWorkflows {
    fn resolve(&self, reference: &WorkflowReference) -> Resolution {
        let (folder, name) = match &reference.repository {
            None => (&self.root, reference.path.clone()),
            Some(at) => {
                let key = format!("{}/{}@{}", at.owner, at.name, at.version);
                let mapped = self.repositories.iter().find(|(name, _)| name.eq_ignore_ascii_case(&key));
                match mapped {
                    Some((_, folder)) => (folder, reference.to_string()),
                    None => return Resolution::Unknown,
                }
            }
        };
        match read_bounded(&folder.join(&reference.path)) {
            Ok(text) => Resolution::Found(SourceFile::new(name, text)),
            Err(_) => Resolution::Missing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{read, read_json, workflows_of};
    use crate::render::style::Style;

    fn text(failure: &crate::failure::Failure) -> String {
        failure.text(Style { colours: false })
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let path = folder.path().join("file");
        let missing = read(&path).expect_err("there is no file");
        assert!(
            text(&missing).starts_with(&format!("error: cannot read `{}`: No such file", path.display()))
        );
        std::fs::write(&path, b"ab\xff").expect("a file can be written");
        let broken = read(&path).expect_err("it is not UTF-8");
        assert!(text(&broken).ends_with("it is not UTF-8: the byte at offset 2 is wrong"), "{broken:?}");
        std::fs::write(&path, "{").expect("a file can be written");
        let broken = read_json(&path).expect_err("it is not JSON");
        assert!(text(&broken).contains("is not valid JSON: EOF while parsing"), "{broken:?}");
    }

    #[test]
    fn workflows_are_named_relative_to_the_root() {
        let root = tempfile::tempdir().expect("a folder can be made");
        assert!(workflows_of(root.path()).expect("no folder is no mistake").is_empty());
        let folder = root.path().join(".github/workflows");
        std::fs::create_dir_all(&folder).expect("a folder can be made");
        for name in ["b.yml", "a.yaml", "notes.md"] {
            std::fs::write(folder.join(name), "x").expect("a file can be written");
        }
        let found = workflows_of(root.path()).expect("the files can be read");
        let names: Vec<_> = found.iter().map(|file| file.name().to_string()).collect();
        assert_eq!(names, [".github/workflows/a.yaml", ".github/workflows/b.yml"]);
    }
}
