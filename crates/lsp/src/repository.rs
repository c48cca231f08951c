//! Where documents are, and the files that they refer to.
//!
//! A document is a workflow or an action by its path, as on GitHub; other YAML files of an editor are left alone. Files are
//! read from open documents first, then from disk, never from outside of the repository.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use workflow::diagnostic::Diagnostic;
use workflow::lint::{ActionResolution, Level, ResolveAction, Settings, check_action};
use workflow::read::ReadOptions;
use workflow::resolve::{Resolution, ResolveWorkflow, WorkflowReference};
use workflow::source::SourceFile;
use workflow::yaml::DEFAULT_MAX_FILE_SIZE;

use crate::document::Document;
use crate::references::{self, ACTION_FILES};
use crate::uri;

/// Folders above an action that are looked at for the repository's root.
const MAX_ANCESTORS: usize = 64;
/// Names of one folder that are looked at.
const MAX_NAMES: usize = 1000;
/// What VS Code calls the language of workflows.
const WORKFLOW_LANGUAGE: &str = "github-actions-workflow";

/// What a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A workflow.
    Workflow,
    /// An action's metadata.
    Action,
}

/// A document's place in its repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) kind: Kind,
    /// The repository's folder; `None` for a document that is in no folder.
    pub(crate) root: Option<PathBuf>,
    /// The path in the repository, with `/`.
    pub(crate) name: String,
}

impl Place {
    /// The place of a document; `None` for one that is neither a workflow nor an action.
    pub(crate) fn of(document: &Document) -> Option<Self> {
        match uri::to_path(document.uri.as_str()) {
            Some(path) => Self::of_path(&path).or_else(|| {
                let name = path.file_name()?.to_str()?.to_owned();
                let is_workflow = document.language == WORKFLOW_LANGUAGE;
                is_workflow.then(|| Self { kind: Kind::Workflow, root: root_of(&path), name })
            }),
            None if document.language == WORKFLOW_LANGUAGE => {
                let name = document.uri.as_str().to_owned();
                Some(Self { kind: Kind::Workflow, root: None, name })
            }
            None => None,
        }
    }

    fn of_path(path: &Path) -> Option<Self> {
        let file = path.file_name()?.to_str()?;
        if !file.ends_with(".yml") && !file.ends_with(".yaml") {
            return None;
        }
        let folder = path.parent()?;
        let github = folder.parent()?;
        if matches!(folder.file_name()?.to_str()?, "workflows" | "workflows-lab")
            && github.ends_with(".github")
        {
            let root = github.parent()?.to_path_buf();
            let name = format!(".github/{}/{file}", folder.file_name()?.to_str()?);
            return Some(Self { kind: Kind::Workflow, root: Some(root), name });
        }
        if !ACTION_FILES.contains(&file) {
            return None;
        }
        let root = root_of(path)?;
        let name = path.strip_prefix(&root).ok()?.to_str()?.to_owned();
        Some(Self { kind: Kind::Action, root: Some(root), name })
    }
}

/// The nearest folder above that is a repository, otherwise the file's own folder.
fn root_of(path: &Path) -> Option<PathBuf> {
    let is_repository = |folder: &&Path| folder.join(".git").exists() || folder.join(".github").is_dir();
    let folder = path.ancestors().skip(1).take(MAX_ANCESTORS).find(is_repository);
    folder.or(path.parent()).map(Path::to_path_buf)
}

/// What a repository says about checking.
pub trait RepositorySettings: std::fmt::Debug + Sync {
    /// The settings of the rules.
    fn settings<'a>(&'a self, actions: &'a dyn ResolveAction) -> Settings<'a>;

    /// Takes out the findings of a file that the repository does not want; `name` is relative to its root.
    fn retain(&self, name: &Path, found: &mut Vec<Diagnostic>);

    /// The commit that `owner/repository[/path]@version` is, where the repository has locked it.
    fn commit(&self, uses: &str) -> Option<String>;
}

/// Reads what repositories say about checking.
pub trait ReadSettings {
    /// What the repository at `root` says, `None` for a document that is in none. It is asked again for each check, so
    /// that a changed configuration holds at once.
    ///
    /// # Errors
    /// Why its configuration cannot be used, in words; files are checked without it then.
    fn read(&self, root: Option<&Path>) -> Result<Box<dyn RepositorySettings>, String>;
}

/// A repository that says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NoSettings;

impl RepositorySettings for NoSettings {
    fn settings<'a>(&'a self, actions: &'a dyn ResolveAction) -> Settings<'a> {
        static LEVELS: std::sync::LazyLock<HashMap<String, Level>> = std::sync::LazyLock::new(HashMap::new);
        Settings { levels: &LEVELS, runner_labels: &[], variables: None, actions }
    }

    fn retain(&self, _: &Path, _: &mut Vec<Diagnostic>) {}

    fn commit(&self, _: &str) -> Option<String> {
        None
    }
}

/// The open documents, by name.
pub(crate) type Documents = BTreeMap<String, Document>;

/// The files of one repository.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Repository<'a> {
    pub(crate) root: Option<&'a Path>,
    pub(crate) documents: &'a Documents,
    pub(crate) settings: &'a dyn RepositorySettings,
}

impl<'a> Repository<'a> {
    /// A repository whose settings do not matter to what is asked.
    pub(crate) fn new(root: Option<&'a Path>, documents: &'a Documents) -> Self {
        Self { root, documents, settings: &NoSettings }
    }

    /// The absolute path of a path in the repository; none that leads out of it.
    pub(crate) fn path(&self, relative: &str) -> Option<PathBuf> {
        let relative = Path::new(relative);
        let inside =
            relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if inside { Some(self.root?.join(relative)) } else { None }
    }

    /// The names in a folder of the repository, in order, as paths from its root; the first so many of many.
    fn names_in(&self, folder: &str) -> Vec<String> {
        let entries = self.path(folder).and_then(|path| fs::read_dir(path).ok());
        let names = entries
            .into_iter()
            .flatten()
            .take(MAX_NAMES)
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<_> = names.map(|name| format!("{folder}/{name}")).collect();
        names.sort();
        names
    }

    /// The paths of the workflows.
    pub(crate) fn workflows(&self) -> Vec<String> {
        let mut found = self.names_in(".github/workflows");
        found.retain(|name| name.ends_with(".yml") || name.ends_with(".yaml"));
        found
    }

    /// The folders in which actions usually are and that have one.
    pub(crate) fn actions(&self) -> Vec<String> {
        let mut folders = self.names_in(".github/actions");
        folders.extend(self.names_in("actions"));
        let has_action = |folder: &String| {
            let files = ACTION_FILES.iter().filter_map(|file| self.path(&format!("{folder}/{file}")));
            files.into_iter().any(|file| file.is_file())
        };
        folders.retain(has_action);
        folders
    }

    /// A file of the repository, named by its path in it.
    pub(crate) fn read(&self, relative: &str) -> Option<SourceFile> {
        let path = self.path(relative)?;
        let uri = uri::from_path(&path)?;
        if let Some(document) = self.documents.get(uri.as_str()) {
            return Some(SourceFile::new(relative, document.text()?.clone()));
        }
        let file =
            File::open(&path).ok().filter(|file| file.metadata().is_ok_and(|about| about.is_file()))?;
        let mut bytes = Vec::new();
        let limit = u64::try_from(DEFAULT_MAX_FILE_SIZE).unwrap_or(u64::MAX).saturating_add(1);
        file.take(limit).read_to_end(&mut bytes).ok()?;
        Some(SourceFile::from_bytes(relative, &bytes))
    }
}

impl ResolveAction for Repository<'_> {
    fn resolve(&self, uses: &str) -> ActionResolution {
        let Some(folder) = uses.strip_prefix("./") else { return ActionResolution::Unknown };
        if let Some(action) = references::action(uses, *self) {
            return ActionResolution::Found(Arc::new(action));
        }
        let is_known = references::action_file(uses, *self).is_some();
        let has_image = || self.path(folder).is_some_and(|path| path.join("Dockerfile").is_file());
        if self.root.is_none() || is_known || has_image() {
            ActionResolution::Unknown
        } else {
            ActionResolution::Missing
        }
    }

    fn findings(&self, uses: &str) -> Vec<Diagnostic> {
        let settings = NoSettings.settings(self);
        let file = references::action_file(uses, *self);
        file.map(|file| check_action(&file, &ReadOptions::default(), &settings).diagnostics)
            .unwrap_or_default()
    }

    fn commit(&self, uses: &str) -> Option<String> {
        self.settings.commit(uses)
    }

    fn has_file(&self, metadata: &str, path: &str) -> Option<bool> {
        let metadata = self.path(metadata)?;
        Some(metadata.parent()?.join(path).exists())
    }
}

impl ResolveWorkflow for Repository<'_> {
    fn resolve(&self, reference: &WorkflowReference) -> Resolution {
        if reference.repository.is_some() || self.root.is_none() {
            return Resolution::Unknown;
        }
        self.read(&reference.path).map_or(Resolution::Missing, Resolution::Found)
    }
}
