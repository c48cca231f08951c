//! From the text of `uses` to an action whose metadata is known.

use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, PoisonError};

use machine::Place;
use serde::{Deserialize, Serialize};
use workflow::expr::{Contexts, Value};
use workflow::model::Action;
use workflow::read::{ReadOptions, Strictness, parse_action};
use workflow::source::SourceFile;

use crate::job::{Fatal, Job};
use crate::process::not_lost;

/// The largest metadata file, in bytes.
const MAX_METADATA: u64 = 1024 * 1024;

/// The version of the run's own repository that the working tree is.
const OWN_VERSION: &str = "$";

/// What `uses` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reference {
    /// `./path`: a folder of the workspace.
    Local(String),
    /// `OWNER/REPO[/path]@REF`.
    Repository {
        /// `OWNER/REPO`.
        name: String,
        /// The folder of the action in the repository; empty for the repository itself.
        path: String,
        /// The branch, tag or commit.
        version: String,
    },
    /// `$/path`: a folder of the repository that the step itself comes from.
    SelfRepository(String),
    /// `docker://image`.
    Docker(String),
    /// None of these.
    Unknown(String),
}

impl Reference {
    /// Reads the text of `uses`.
    pub(crate) fn parse(uses: &str) -> Self {
        let unknown = || Self::Unknown(uses.to_owned());
        if let Some(image) = uses.strip_prefix("docker://") {
            return Self::Docker(image.to_owned());
        }
        if uses.starts_with("./") || uses.starts_with(".\\") {
            return Self::Local(uses[2..].replace('\\', "/").trim_matches('/').to_owned());
        }
        if let Some(path) = uses.strip_prefix("$/") {
            return Self::SelfRepository(path.trim_matches('/').to_owned());
        }
        let Some((path, version)) = uses.split_once('@') else { return unknown() };
        let mut parts = path.splitn(3, '/');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(owner), Some(repository), path)
                if !owner.is_empty() && !repository.is_empty() && !version.is_empty() =>
            {
                Self::Repository {
                    name: format!("{owner}/{repository}"),
                    path: path.unwrap_or_default().trim_matches('/').to_owned(),
                    version: version.to_owned(),
                }
            }
            _ => unknown(),
        }
    }

    /// The reference as seen by a step with these contexts: in an action of another repository, the step's own
    /// repository is that one; else it is the workflow's.
    pub(crate) fn seen_from(self, contexts: &Contexts) -> Self {
        let Self::SelfRepository(path) = self else { return self };
        let github = contexts.get("github").unwrap_or(&Value::Null);
        let text = |name: &str| github.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let (name, version) = match (text("action_repository"), text("action_ref")) {
            (Some(name), Some(version)) => (name, version),
            _ => (text("repository").unwrap_or_default(), OWN_VERSION),
        };
        Self::Repository { name: name.to_owned(), path, version: version.to_owned() }
    }
}

/// An action whose metadata is known.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) action: Action,
    /// Its folder in the machine.
    pub(crate) folder: String,
    /// Where the repository is on the host, and where it belongs in the machine; none for a local action.
    pub(crate) repository: Option<Repository>,
}

/// The repository of an action.
#[derive(Debug)]
pub(crate) struct Repository {
    pub(crate) name: String,
    pub(crate) version: String,
    source: PathBuf,
    /// The files of it that count; all without a list.
    entries: Option<Arc<Vec<PathBuf>>>,
    destination: String,
}

/// An action as it is kept: its files are in the machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct KeptAction {
    action: Action,
    folder: String,
    /// Name, version and folder in the machine.
    repository: Option<(String, String, String)>,
}

impl Loaded {
    pub(crate) fn keep(&self) -> KeptAction {
        let repository = self.repository.as_ref().map(|repository| {
            (repository.name.clone(), repository.version.clone(), repository.destination.clone())
        });
        KeptAction { action: self.action.clone(), folder: self.folder.clone(), repository }
    }
}

impl KeptAction {
    /// The action again. Nothing is installed of it: it was in the machine when it was kept.
    pub(crate) fn loaded(self) -> Loaded {
        let repository = self.repository.map(|(name, version, destination)| Repository {
            name,
            version,
            source: PathBuf::new(),
            entries: Some(Arc::default()),
            destination,
        });
        Loaded { action: self.action, folder: self.folder, repository }
    }
}

/// Why an action cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// Nobody said where its repository is.
    #[error(
        "the action `{0}@{1}` is not on this machine, and nothing is downloaded; say where it is with `--action {0}@{1}=FOLDER`"
    )]
    Unmapped(String, String),
    /// There is no metadata in its folder.
    #[error(
        "Can't find 'action.yml', 'action.yaml' or 'Dockerfile' under '{0}'. Did you forget to run actions/checkout before running your local action?"
    )]
    NoMetadata(String),
    /// Its metadata is not among the files of its repository.
    #[error("the action `{0}` leads out of its repository")]
    Outside(String),
    /// It runs in a container.
    #[error("the action `{0}` runs in a container, and this runner has no container engine")]
    Container(String),
    /// Its metadata is wrong.
    #[error("the action's metadata `{file}` cannot be used: {message}")]
    Metadata {
        /// The file.
        file: String,
        /// The first mistakes.
        message: String,
    },
    /// A file of it cannot be read.
    #[error("{0}")]
    Read(String),
    /// The text is no reference.
    #[error("Expected format {{org}}/{{repo}}[/path]@ref. Actual '{0}'")]
    Reference(String),
}

/// Finds an action and reads its metadata. A local one is read as it is in the workspace now.
pub(crate) async fn load(job: &Job, reference: &Reference) -> Result<Result<Arc<Loaded>, LoadError>, Fatal> {
    match reference {
        Reference::Local(path) => load_local(job, path).await,
        Reference::Repository { name, path, version } => Ok(load_repository(job, name, path, version)),
        Reference::SelfRepository(path) => Ok(Err(LoadError::Reference(format!("$/{path}")))),
        Reference::Docker(image) => Ok(Err(LoadError::Container(format!("docker://{image}")))),
        Reference::Unknown(uses) => Ok(Err(LoadError::Reference(uses.clone()))),
    }
}

async fn load_local(job: &Job, path: &str) -> Result<Result<Arc<Loaded>, LoadError>, Fatal> {
    let folder = job.in_workspace(path);
    let files = ["action.yml", "action.yaml", "Dockerfile"].map(|name| format!("{folder}/{name}"));
    let contents = match job.machine.read_files(files.to_vec(), MAX_METADATA).await {
        Ok(contents) => contents,
        Err(error) => {
            return not_lost::<()>(Err(error))
                .map(|message| Err(LoadError::Read(message.unwrap_or_default())));
        }
    };
    let shown = format!("./{path}");
    let found = files.iter().zip(contents).find_map(|(file, content)| content.map(|content| (file, content)));
    let Some((file, content)) = found else { return Ok(Err(LoadError::NoMetadata(folder))) };
    if file.ends_with("Dockerfile") {
        return Ok(Err(LoadError::Container(shown)));
    }
    Ok(parse(file, &content).map(|action| Arc::new(Loaded { action, folder, repository: None })))
}

/// Finds an action of another repository; its files are put into the machine when it first runs.
pub(crate) fn load_repository(
    job: &Job,
    name: &str,
    path: &str,
    version: &str,
) -> Result<Arc<Loaded>, LoadError> {
    let key = format!("{name}/{path}@{version}");
    let mut known = job.actions.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(loaded) = known.get(&key) {
        return Ok(Arc::clone(loaded));
    }
    let unmapped = || LoadError::Unmapped(name.to_owned(), version.to_owned());
    let (source, entries) = match job.options.actions.folder(name, version) {
        Some(folder) => (folder.clone(), None),
        None if version == OWN_VERSION => (job.tree.root.clone(), Some(job.tree.entries.clone())),
        None => return Err(unmapped()),
    };
    let shown =
        if path.is_empty() { format!("{name}@{version}") } else { format!("{name}/{path}@{version}") };
    let (file, content) = read_metadata(&source, path, &shown)?;
    let action = parse(&file.to_string_lossy(), &content)?;
    let destination = format!("{}/{name}/{version}", job.machine.path(Place::Actions));
    let folder = if path.is_empty() { destination.clone() } else { format!("{destination}/{path}") };
    let repository =
        Repository { name: name.to_owned(), version: version.to_owned(), source, entries, destination };
    let loaded = Arc::new(Loaded { action, folder, repository: Some(repository) });
    known.insert(key, Arc::clone(&loaded));
    Ok(loaded)
}

/// Reads the metadata of the action in the folder `path` of the repository `source`. It is read on the host, so neither the
/// path nor a link may lead out of the repository.
fn read_metadata(source: &Path, path: &str, shown: &str) -> Result<(PathBuf, Vec<u8>), LoadError> {
    let folder = source.join(path);
    let outside = || LoadError::Outside(shown.to_owned());
    if !Path::new(path).components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(outside());
    }
    let source = source.canonicalize().unwrap_or_else(|_| source.to_owned());
    for name in ["action.yml", "action.yaml"] {
        let file = folder.join(name);
        let Ok(real) = file.canonicalize() else { continue };
        if !real.starts_with(&source) {
            return Err(outside());
        }
        let content = read_file(&real)
            .map_err(|error| LoadError::Read(format!("cannot read `{}`: {error}", file.display())))?;
        return Ok((file, content));
    }
    if folder.join("Dockerfile").exists() {
        return Err(LoadError::Container(shown.to_owned()));
    }
    Err(LoadError::NoMetadata(folder.display().to_string()))
}

fn read_file(file: &Path) -> std::io::Result<Vec<u8>> {
    // A pipe would be waited for.
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    let mut content = Vec::new();
    std::fs::File::open(file)?.take(MAX_METADATA + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX_METADATA {
        return Err(std::io::Error::other(format!("it has more than {MAX_METADATA} bytes")));
    }
    Ok(content)
}

fn parse(file: &str, content: &[u8]) -> Result<Action, LoadError> {
    let text = crate::files::decode(content);
    // What only matters to the author, such as a name, stops no job.
    let options = ReadOptions { strictness: Strictness::Runner, ..ReadOptions::default() };
    let parsed = parse_action(&SourceFile::new(file, text), &options);
    let mistakes: Vec<String> = parsed
        .diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.severity == workflow::diagnostic::Severity::Error)
        .take(3)
        .map(|mistake| format!("{} (line {}, column {})", mistake.message, mistake.line, mistake.column))
        .collect();
    match parsed.value {
        Some(action) if mistakes.is_empty() => Ok(action),
        _ => Err(LoadError::Metadata { file: file.to_owned(), message: mistakes.join("; ") }),
    }
}

/// Puts the files of an action's repository into the machine, once a job.
pub(crate) async fn install(job: &Job, loaded: &Loaded) -> Result<Option<String>, Fatal> {
    let Some(repository) = &loaded.repository else { return Ok(None) };
    let mut installed = job.installed.lock().await;
    if installed.contains(&repository.destination) {
        return Ok(None);
    }
    let failed =
        put_folder(job, &repository.source, repository.entries.clone(), &repository.destination).await?;
    if failed.is_none() {
        installed.insert(repository.destination.clone());
    }
    Ok(failed)
}

/// Copies a folder of the host, or only `entries` of it, into the machine. `Some` is what went wrong.
pub(crate) async fn put_folder(
    job: &Job,
    source: &Path,
    entries: Option<Arc<Vec<PathBuf>>>,
    destination: &str,
) -> Result<Option<String>, Fatal> {
    let (reader, writer) = match std::io::pipe() {
        Ok(pipe) => pipe,
        Err(error) => return Ok(Some(format!("cannot make a pipe: {error}"))),
    };
    let folder = source.to_owned();
    let packing =
        tokio::task::spawn_blocking(move || pack(&folder, entries.as_deref().map(Vec::as_slice), writer));
    let put = job.machine.put(destination.to_owned(), reader).await;
    let packed = packing.await.expect("packing a folder does not panic");
    let failed = not_lost(put)?;
    match packed {
        // The machine has only seen that the archive was cut; or, where the pipe broke, it alone knows why.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Ok(Some(format!("cannot copy `{}` into the machine: {error}", source.display())))
        }
        _ => Ok(failed),
    }
}

fn pack(folder: &Path, entries: Option<&[PathBuf]>, writer: std::io::PipeWriter) -> std::io::Result<()> {
    let mut archive = tar::Builder::new(std::io::BufWriter::with_capacity(64 * 1024, writer));
    archive.follow_symlinks(false);
    match entries {
        None => archive.append_dir_all(".", folder)?,
        Some(entries) => {
            for entry in entries {
                archive.append_path_with_name(folder.join(entry), entry)?;
            }
        }
    }
    archive.into_inner()?.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Reference, read_metadata};

    fn check(uses: &str, expected: Reference) {
        assert_eq!(Reference::parse(uses), expected, "{uses}");
    }

    fn repository(name: &str, path: &str, version: &str) -> Reference {
        Reference::Repository { name: name.into(), path: path.into(), version: version.into() }
    }

    #[test]
    fn references_are_told_apart() {
        check("./a/b/", Reference::Local("a/b".into()));
        check("./", Reference::Local(String::new()));
        check("$/a", Reference::SelfRepository("a".into()));
        check("docker://alpine:3", Reference::Docker("alpine:3".into()));
        check("owner/repo@v1", repository("owner/repo", "", "v1"));
        check("owner/repo/a/b@feature/x", repository("owner/repo", "a/b", "feature/x"));
        check("owner@v1", Reference::Unknown("owner@v1".into()));
        check("owner/repo", Reference::Unknown("owner/repo".into()));
    }

    /// What is read of an action in the folder `path` of a repository.
    fn check_metadata(path: &str, make: impl Fn(&std::path::Path), expected: Result<&str, &str>) {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("repository");
        std::fs::create_dir_all(source.join("a")).unwrap();
        std::fs::write(folder.path().join("action.yml"), "outside").unwrap();
        make(&source);
        let read = read_metadata(&source, path, "o/r@v1");
        let read =
            read.map(|(_, content)| String::from_utf8(content).unwrap()).map_err(|error| error.to_string());
        assert_eq!(read.as_deref().map_err(|error| error.split(": ").last().unwrap()), expected, "{path}");
    }

    #[test]
    fn metadata_is_read_inside_of_its_repository_only() {
        use std::os::unix::fs::symlink;
        let outside = Err("the action `o/r@v1` leads out of its repository");
        check_metadata(
            "a",
            |source| std::fs::write(source.join("a/action.yml"), "inside").unwrap(),
            Ok("inside"),
        );
        check_metadata(
            "",
            |source| {
                std::fs::write(source.join("a/file"), "linked").unwrap();
                symlink("a/file", source.join("action.yaml")).unwrap();
            },
            Ok("linked"),
        );
        check_metadata("..", |_| {}, outside);
        check_metadata("a/../..", |_| {}, outside);
        check_metadata("/etc", |_| {}, outside);
        check_metadata(
            "a",
            |source| symlink("../../action.yml", source.join("a/action.yml")).unwrap(),
            outside,
        );
        check_metadata("b", |source| symlink("..", source.join("b")).unwrap(), outside);
        let pipe = |source: &std::path::Path| {
            let mode = rustix::fs::Mode::from_raw_mode(0o600);
            rustix::fs::mknodat(
                rustix::fs::CWD,
                source.join("a/action.yml"),
                rustix::fs::FileType::Fifo,
                mode,
                0,
            )
            .unwrap();
        };
        check_metadata("a", pipe, Err("it is not a regular file"));
    }
}
