//! What a stage of a containerfile has made so far.
//!
//! Invariant: the root is either a tree or in a folder, where commands run one after the other; whoever needs the tree settles the stage first.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::copy::Changes;
use super::parse::Command;
use super::sandbox::{Sandbox, SandboxError, Step};
use crate::finish::known_user;
use crate::progress::Reporter;
use crate::source::Root;
use crate::tree::{Content, Kind, Metadata, Tree, TreeError};

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Files that commands need, and that a sandbox puts the host's into.
const NEEDED_FILES: [(&str, &str); 2] =
    [("/etc/resolv.conf", ""), ("/etc/hosts", "127.0.0.1 localhost build\n::1 localhost\n")];

/// A stage.
#[derive(Debug)]
pub(super) struct Stage {
    tree: Tree,
    folder: Option<Sandbox>,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) arguments: BTreeMap<String, String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) user: Option<String>,
    pub(super) shell: Vec<String>,
    working_directory: String,
}

/// Why a command was not run, or failed.
#[derive(Debug)]
pub(super) enum RunError {
    /// There is no such user.
    User(String),
    Sandbox(SandboxError),
}

impl Stage {
    pub(super) fn new(root: Root) -> Self {
        Self {
            tree: root.tree,
            folder: None,
            environment: root.environment,
            arguments: BTreeMap::new(),
            labels: root.labels,
            user: root.user,
            shell: ["/bin/sh", "-c"].map(str::to_owned).to_vec(),
            working_directory: root.working_directory.unwrap_or_else(|| "/".to_owned()),
        }
    }

    /// A stage that begins where this one, which is settled, has ended. Arguments and the shell do not go on.
    pub(super) fn begun_from(&self) -> Self {
        Self {
            tree: self.tree().clone(),
            folder: None,
            environment: self.environment.clone(),
            arguments: BTreeMap::new(),
            labels: self.labels.clone(),
            user: self.user.clone(),
            shell: ["/bin/sh", "-c"].map(str::to_owned).to_vec(),
            working_directory: self.working_directory.clone(),
        }
    }

    pub(super) fn into_root(self) -> Root {
        let mut root = Root::new(self.tree, "containerfile".to_owned());
        root.environment = self.environment;
        root.labels = self.labels;
        root.user = self.user.filter(|user| !is_root(user));
        root.working_directory = Some(self.working_directory).filter(|folder| folder != "/");
        root
    }

    /// Makes the root a tree again.
    pub(super) fn settle(&mut self, report: Reporter<'_>) -> Result<(), SandboxError> {
        if let Some(folder) = self.folder.take() {
            self.tree = folder.pack(report)?;
        }
        Ok(())
    }

    /// The tree of a settled stage.
    pub(super) fn tree(&self) -> &Tree {
        debug_assert!(self.folder.is_none(), "the stage is settled");
        &self.tree
    }

    pub(super) fn tree_mut(&mut self) -> &mut Tree {
        debug_assert!(self.folder.is_none(), "the stage is settled");
        &mut self.tree
    }

    /// Values of variables: the environment's before those of arguments.
    pub(super) fn variables(&self) -> impl Fn(&str) -> Option<String> + use<> {
        let mut all = self.arguments.clone();
        all.extend(self.environment.clone());
        move |name| all.get(name).cloned()
    }

    /// A path from the root on. A `/` at its end stays.
    pub(super) fn absolute(&self, path: &str) -> String {
        if path.starts_with('/') {
            return path.to_owned();
        }
        let path = match path.trim_start_matches("./") {
            "." | "" => "",
            path => path,
        };
        format!("{}/{path}", self.working_directory.trim_end_matches('/'))
    }

    /// Changes the folder of commands and makes it where it is missing.
    pub(super) fn enter(&mut self, folder: &str) -> Result<(), TreeError> {
        let folder = self.absolute(folder);
        let folder = if folder == "/" { folder.as_str() } else { folder.trim_end_matches('/') };
        if self.tree.find(folder.as_bytes()).is_err() {
            self.tree.put(folder.as_bytes(), Metadata::of_root(0o755), Kind::Folder(BTreeMap::new()))?;
        }
        folder.clone_into(&mut self.working_directory);
        Ok(())
    }

    /// What `--chown` and `--chmod` say.
    pub(super) fn changes(&self, owner: Option<&str>, permissions: Option<&str>) -> Result<Changes, String> {
        let owner = owner.map(|owner| {
            let user = known_user(self.tree(), owner).map_err(|error| error.to_string())?;
            Ok::<_, String>((
                user.uid,
                if owner.contains(':') || owner.parse::<u32>().is_err() { user.gid } else { user.uid },
            ))
        });
        let permissions = permissions.map(|text| {
            let number = u16::from_str_radix(text, 8).ok().filter(|number| *number <= 0o7777);
            number.ok_or_else(|| format!("`{text}` is no number of permissions, such as 755"))
        });
        Ok(Changes { owner: owner.transpose()?, permissions: permissions.transpose()? })
    }

    /// Runs a command, in a folder that is made in `scratch` for it and those that follow.
    pub(super) fn run(
        &mut self,
        command: &Command,
        scratch: &Path,
        epoch: i64,
        report: Reporter<'_>,
    ) -> Result<(), RunError> {
        let user = self.user_of_commands(report)?;
        if self.folder.is_none() {
            self.prepare().map_err(|problem| RunError::User(problem.to_string()))?;
            // Programs with root's rights that come from elsewhere are nobody else's to run.
            let made = DirBuilder::new().mode(0o700).create(scratch).or_else(|error| match error.kind() {
                std::io::ErrorKind::AlreadyExists => Ok(()),
                _ => Err(error),
            });
            made.map_err(|source| {
                RunError::Sandbox(SandboxError::File { operation: "make", path: scratch.to_owned(), source })
            })?;
            self.folder = Some(Sandbox::unpack(&self.tree, scratch, report).map_err(RunError::Sandbox)?);
        }
        let words = match command {
            Command::Program(words) => words.clone(),
            Command::Shell(text) => self.shell.iter().cloned().chain([text.clone()]).collect(),
        };
        let step = Step {
            words,
            environment: self.environment_of_commands(epoch, &user.home),
            working_directory: self.working_directory.clone(),
            user: (user.uid, user.gid),
        };
        let folder = self.folder.as_ref().expect("it was just made");
        folder.run(&step, report).map_err(RunError::Sandbox)
    }

    /// Commands may have changed the table of users, so that it is looked at in the tree.
    fn user_of_commands(&mut self, report: Reporter<'_>) -> Result<crate::manifest::User, RunError> {
        let user = self.user.as_deref().filter(|user| !is_root(user)).map(str::to_owned);
        if user.is_some() {
            self.settle(report).map_err(RunError::Sandbox)?;
        }
        let user = user.as_deref().unwrap_or("root");
        known_user(&self.tree, user).map_err(|error| RunError::User(error.to_string()))
    }

    fn environment_of_commands(&self, epoch: i64, home: &str) -> BTreeMap<String, String> {
        let given =
            [("PATH", PATH.to_owned()), ("HOME", home.to_owned()), ("SOURCE_DATE_EPOCH", epoch.to_string())];
        let mut all: BTreeMap<String, String> =
            given.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        all.extend(self.arguments.clone());
        all.extend(self.environment.clone());
        all
    }

    /// Files that the host's are laid over must be plain files.
    fn prepare(&mut self) -> Result<(), TreeError> {
        for (path, text) in NEEDED_FILES {
            self.tree.remove(path.as_bytes())?;
            let content = Kind::Regular(Content::Bytes(text.as_bytes().into()));
            self.tree.put(path.as_bytes(), Metadata::of_root(0o644), content)?;
        }
        for folder in ["/proc", "/dev", "/tmp"] {
            if self.tree.find(folder.as_bytes()).is_err() {
                let permissions = if folder == "/tmp" { 0o1777 } else { 0o755 };
                let metadata = Metadata::of_root(permissions);
                self.tree.put(folder.as_bytes(), metadata, Kind::Folder(BTreeMap::new()))?;
            }
        }
        self.tree.empty_folder(b"/dev");
        Ok(())
    }
}

fn is_root(user: &str) -> bool {
    matches!(user, "" | "root" | "0" | "0:0" | "root:root" | "root:0" | "0:root")
}
