//! Files that people name: workflows, payloads, secrets, and the workflows that workflows call.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use workflow::diagnostic::Diagnostic;
use workflow::lint::{ActionResolution, ResolveAction, Settings, check_action};
use workflow::read::{ReadOptions, Strictness, parse_action};
use workflow::resolve::{Resolution, ResolveWorkflow, WorkflowReference};
use workflow::source::SourceFile;

use crate::failure::{Exit, Failure};
use crate::verb::check::Lock;

/// The largest file that is read, in bytes: GitHub's payloads have at most 25 MiB.
const MAX_FILE: u64 = 32 * 1024 * 1024;
/// The most workflow files of one repository.
const MAX_WORKFLOWS: usize = 1000;

/// Reads a file of text.
pub(crate) fn read_text(path: &Path) -> Result<String, Failure> {
    let bytes = read_bytes(path).map_err(|error| unreadable(path, error))?;
    String::from_utf8(bytes).map_err(|error| {
        let place = error.utf8_error().valid_up_to();
        let error = io::Error::new(ErrorKind::InvalidData, format!("it is not UTF-8 at the byte {place}"));
        unreadable(path, error)
    })
}

/// The bytes of a file, up to a limit.
pub(crate) fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    // Room for all of it: it is then read at once. What is no regular file has no size.
    let size = file.metadata().map_or(0, |metadata| metadata.len().min(MAX_FILE));
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1);
    file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_FILE) {
        return Err(too_large());
    }
    Ok(bytes)
}

fn too_large() -> io::Error {
    io::Error::new(ErrorKind::FileTooLarge, format!("it has more than {MAX_FILE} bytes"))
}

fn unreadable(path: &Path, error: io::Error) -> Failure {
    Failure::new(Exit::Usage, error).while_doing(format!("cannot read `{}`", path.display()))
}

/// Reads a JSON file.
pub(crate) fn read_json(path: &Path) -> Result<serde_json::Value, Failure> {
    serde_json::from_str(&read_text(path)?).map_err(|error| {
        Failure::new(Exit::Usage, error).while_doing(format!("`{}` is not valid JSON", path.display()))
    })
}

/// A workflow or action with the name that people gave it. Text that is not UTF-8 is found by whoever parses it.
pub(crate) fn read_source(path: &Path) -> Result<SourceFile, Failure> {
    read_as(path, path.display().to_string())
}

/// A workflow or action with another name for people.
pub(crate) fn read_as(path: &Path, name: String) -> Result<SourceFile, Failure> {
    with_bytes(path, |bytes| SourceFile::from_bytes(name, bytes)).map_err(|error| unreadable(path, error))
}

/// Bytes of a thread's buffer that are kept for the next file.
const BUFFER: usize = 64 * 1024;

/// Calls `read` with the bytes of a file, which a thread reads into the same buffer one after the other.
fn with_bytes<T>(path: &Path, read: impl FnOnce(&[u8]) -> T) -> io::Result<T> {
    thread_local! {
        static BYTES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    let mut file = File::open(path)?;
    BYTES.with_borrow_mut(|bytes| {
        let mut length = 0;
        loop {
            if length == bytes.len() {
                bytes.resize((2 * length).max(BUFFER), 0);
            }
            match file.read(&mut bytes[length..]) {
                Ok(0) => break,
                Ok(more) => length += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if u64::try_from(length).is_ok_and(|length| length > MAX_FILE) {
                return Err(too_large());
            }
        }
        let value = read(&bytes[..length]);
        bytes.truncate(BUFFER);
        bytes.shrink_to(BUFFER);
        Ok(value)
    })
}

/// The workflow that people name, itself named relative to `root`, an absolute path, where it is in it.
pub(crate) fn read_workflow(path: &Path, root: &Path) -> Result<SourceFile, Failure> {
    let bytes = read_bytes(path).map_err(|error| {
        let failure = unreadable(path, error);
        let meant = Path::new(".github/workflows").join(path);
        match path.is_relative() && root.join(&meant).is_file() {
            true => failure.with_help(format!("the repository has a workflow `{}`", meant.display())),
            false => failure.with_help("`firedog list` lists the repository's workflows"),
        }
    })?;
    let absolute = path.canonicalize().ok();
    let name = absolute.as_deref().and_then(|absolute| absolute.strip_prefix(root).ok()).unwrap_or(path);
    Ok(SourceFile::from_bytes(name.display().to_string(), &bytes))
}

/// The workflows of `root`, named relative to it, in the order of their names. None where it has no folder for them.
pub(crate) fn workflows_of(root: &Path) -> Result<Vec<SourceFile>, Failure> {
    let folder = Path::new(".github").join("workflows");
    let entries = match fs::read_dir(root.join(&folder)) {
        Err(error) if error.kind() == ErrorKind::NotFound && root.is_dir() => return Ok(Vec::new()),
        Err(_) if !root.is_dir() => {
            return Err(Failure::usage(format!("there is no folder `{}`", root.display())));
        }
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
        let bytes = read_bytes(&root.join(&name)).map_err(|error| unreadable(&name, error))?;
        Ok(SourceFile::from_bytes(name.display().to_string(), &bytes))
    };
    names.into_iter().map(read_one).collect()
}

/// Finds called workflows: those of the repository in its folder, others where the command line says. References match
/// without regard to case.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CalledWorkflows<'a> {
    /// ROOT.
    pub(crate) root: &'a Path,
    /// `owner/repository/.github/workflows/x.yml@version` and its file.
    pub(crate) files: &'a [(String, PathBuf)],
    /// `owner/repository@version` and the repository's folder.
    pub(crate) repositories: &'a [(String, PathBuf)],
}

impl CalledWorkflows<'_> {
    fn path(&self, reference: &WorkflowReference) -> Option<PathBuf> {
        let Some(at) = &reference.repository else { return Some(self.root.join(&reference.path)) };
        let of = |mapped: &[(String, PathBuf)], key: &str| {
            mapped.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, path)| path.clone())
        };
        let repository = format!("{}/{}@{}", at.owner, at.name, at.version);
        of(self.files, &reference.to_string())
            .or_else(|| of(self.repositories, &repository).map(|folder| folder.join(&reference.path)))
    }
}

impl ResolveWorkflow for CalledWorkflows<'_> {
    fn resolve(&self, reference: &WorkflowReference) -> Resolution {
        let Some(path) = self.path(reference) else { return Resolution::Unknown };
        // A workflow of this repository is named as people know it: by its path.
        let name = match reference.repository {
            None => reference.path.clone(),
            Some(_) => reference.to_string(),
        };
        match read_bytes(&path) {
            Ok(bytes) => Resolution::Found(SourceFile::from_bytes(name, &bytes)),
            // Only a whole repository tells what is not there: files by themselves are looked at, too.
            Err(_) if reference.repository.is_none() && !self.root.join(".git").exists() => {
                Resolution::Unknown
            }
            Err(_) => Resolution::Missing,
        }
    }
}

/// Finds the actions of the repository in its folder. Each is read once.
#[derive(Debug)]
pub(crate) struct LocalActions<'a> {
    /// ROOT.
    root: &'a Path,
    lock: Lock,
    known: Mutex<HashMap<String, ActionResolution>>,
    findings: Mutex<HashMap<String, Vec<Diagnostic>>>,
}

impl<'a> LocalActions<'a> {
    /// The actions of the repository at `root`.
    pub(crate) fn new(root: &'a Path) -> Self {
        Self { root, lock: Lock::default(), known: Mutex::default(), findings: Mutex::default() }
    }

    /// The same, with the commits of the actions of others.
    pub(crate) fn with_lock(self, lock: Lock) -> Self {
        Self { lock, ..self }
    }

    /// The metadata of the action at `./path`.
    fn metadata(&self, uses: &str) -> Option<SourceFile> {
        let folder = self.root.join(uses.strip_prefix("./")?);
        ["action.yml", "action.yaml"].iter().find_map(|name| read_source(&folder.join(name)).ok())
    }

    fn read(&self, uses: &str) -> ActionResolution {
        let Some(folder) = uses.strip_prefix("./") else { return ActionResolution::Unknown };
        if let Some(file) = self.metadata(uses) {
            let options = ReadOptions { strictness: Strictness::Runner, ..ReadOptions::default() };
            return match parse_action(&file, &options).value {
                Some(action) => ActionResolution::Found(Arc::new(action)),
                None => ActionResolution::Unknown,
            };
        }
        let folder = self.root.join(folder);
        let is_image = folder.join("Dockerfile").is_file();
        if is_image { ActionResolution::Unknown } else { ActionResolution::Missing }
    }
}

impl ResolveAction for LocalActions<'_> {
    fn resolve(&self, uses: &str) -> ActionResolution {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(action) = known().get(uses) {
            return action.clone();
        }
        let action = self.read(uses);
        known().insert(uses.to_owned(), action.clone());
        action
    }

    fn commit(&self, uses: &str) -> Option<String> {
        self.lock.commit(uses)
    }

    fn findings(&self, uses: &str) -> Vec<Diagnostic> {
        let known = || self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(findings) = known().get(uses) {
            return findings.clone();
        }
        let levels = HashMap::new();
        let settings = Settings { levels: &levels, runner_labels: &[], variables: None, actions: self };
        let checked = self
            .metadata(uses)
            .map(|file| check_action(&file, &ReadOptions::default(), &settings).diagnostics);
        let findings = checked.unwrap_or_default();
        known().insert(uses.to_owned(), findings.clone());
        findings
    }

    fn has_file(&self, metadata: &str, path: &str) -> Option<bool> {
        // Files are named relative to the working directory or to ROOT.
        let metadata = Path::new(metadata);
        let metadata = if metadata.is_file() { metadata.to_owned() } else { self.root.join(metadata) };
        metadata.is_file().then_some(metadata.parent()?.join(path).exists())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{read_json, read_text, read_workflow, workflows_of};
    use crate::render::style::Style;

    fn text(failure: &crate::failure::Failure) -> String {
        failure.text(Style { colours: false })
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let path = folder.path().join("file");
        let missing = read_text(&path).expect_err("there is no file");
        assert!(
            text(&missing).starts_with(&format!("error: cannot read `{}`: No such file", path.display()))
        );
        std::fs::write(&path, b"ab\xff").expect("a file can be written");
        let broken = read_text(&path).expect_err("it is not UTF-8");
        assert!(text(&broken).ends_with("it is not UTF-8 at the byte 2"), "{broken:?}");
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
        let root = root.path().canonicalize().expect("the folder exists");
        let named = read_workflow(&root.join(".github/workflows/../workflows/b.yml"), &root);
        assert_eq!(named.expect("the file can be read").name().to_string(), ".github/workflows/b.yml");
        let missing = read_workflow(Path::new("b.yml"), &root).expect_err("there is no such file here");
        assert!(text(&missing).ends_with("help: the repository has a workflow `.github/workflows/b.yml`"));
        assert!(workflows_of(&root.join("missing")).is_err());
    }
}
