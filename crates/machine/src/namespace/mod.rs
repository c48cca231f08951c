//! Machines of Linux namespaces, by bubblewrap.
//!
//! One sandbox for the whole job: user, mount, process, IPC, host name and (on request) network namespaces of its own, no
//! capabilities, no new privileges, a seccomp filter. The guest agent is its first process, so its end is the end of all.
//! Steps are started through the agent.
//!
//! What is inside: the system's programs, read-only and without its secrets; the caller's tools, read-only; folders of
//! the machine's own for the home, the workspace and temporary files. Nothing else of the host, above all not the caller's
//! home and environment. With the full network the machine shares the host's network, its abstract sockets included.

mod arguments;
mod pyenv;
mod seccomp;
mod tools;

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::backend::{Backend, BackendName, BootError, Booted, ByteStream, Ending};
use crate::folders;
use crate::host::{Started, create_scratch};
use crate::probe;
use crate::scratch::Layout;
use crate::spec::{Content, MachineSpec, Place};

/// The home folder inside.
const HOME: &str = "/home/runner";

/// The tool cache's folder inside; a link leads here from where GitHub's machines have it.
const TOOL_CACHE: &str = "/home/runner/work/_tool";

/// The name of the workspace's folders in a private folder that no machine has yet.
const REPOSITORY: &str = "repository";

/// A machine's private folder: what is mounted as its home, with the places in it, and its folder for temporary files.
/// Where cargo's registry is mounted is made at once, or else bubblewrap makes it.
const LAYOUT: Layout = Layout {
    name: "namespace-1",
    folders: &[
        ("tmp", 0o1777),
        ("home", 0o755),
        ("home/.cargo", 0o755),
        ("home/.cargo/registry", 0o755),
        ("home/work", 0o755),
        ("home/work/_temp", 0o755),
        ("home/work/_tool", 0o755),
        ("home/work/_actions", 0o755),
        ("home/work/repository", 0o755),
        ("home/work/repository/repository", 0o755),
    ],
};

/// Bubblewrap's sandboxes as machines.
#[derive(Debug, Clone)]
pub struct Namespace {
    bubblewrap: PathBuf,
}

impl Namespace {
    /// Uses the given `bwrap` program.
    pub fn new(bubblewrap: PathBuf) -> Self {
        Self { bubblewrap }
    }

    /// Uses the first `bwrap` on a search path.
    pub fn find(path: &[PathBuf]) -> Option<Self> {
        path.iter().map(|folder| folder.join("bwrap")).find(|file| file.is_file()).map(Self::new)
    }

    /// The program that it uses.
    pub fn bubblewrap(&self) -> &Path {
        &self.bubblewrap
    }
}

impl Backend for Namespace {
    fn name(&self) -> BackendName {
        BackendName::Namespace
    }

    fn boot<'a>(&'a self, spec: &'a MachineSpec) -> BoxFuture<'a, Result<Box<dyn Booted>, BootError>> {
        Box::pin(async move {
            let scratch = create_scratch(spec, &LAYOUT)?;
            let private = scratch.path().to_owned();
            let repository = folder_name(&spec.repository);
            rename_workspace(&private, REPOSITORY, repository)
                .map_err(|source| BootError::Scratch { path: private.clone(), source })?;
            let folder_of = |place| folder_of(&private, place, repository);
            folders::make(folder_of)?;
            let copying = folders::copy(spec, &scratch, folder_of);
            let tools = tools::find(&spec.caller, project(spec));
            let arguments = arguments::build(spec, &tools, scratch.path());
            let mut command = self.command(&arguments);
            command.arg("--").arg(arguments::AGENT).args(&spec.agent.arguments);
            command.stdout(
                seccomp::file()
                    .map_err(|source| BootError::Spawn { program: self.bubblewrap.clone(), source })?,
            );
            let starting = Started::start(command, Arc::clone(&scratch));
            let ((), started) = futures_util::future::try_join(copying, starting).await?;
            drop(scratch);
            let environment = arguments::environment(spec, &tools);
            let repository = repository.to_owned();
            Ok(Box::new(NamespaceMachine { started, environment, repository }) as Box<dyn Booted>)
        })
    }

    fn remedy(&self) -> Option<String> {
        probe::remedy()
    }
}

impl Namespace {
    fn command(&self, arguments: &[OsString]) -> Command {
        use std::os::unix::process::CommandExt;
        let mut command = Command::new(&self.bubblewrap);
        // A group of its own: a terminal's Ctrl-C is for the caller, who decides what it means for the machine.
        command.args(arguments).env_clear().current_dir("/").process_group(0);
        command
    }
}

/// The folder on the host that the workspace is made from.
fn project(spec: &MachineSpec) -> Option<&Path> {
    match spec.content(Place::Workspace) {
        Content::Empty => None,
        Content::Copy { root, .. } | Content::ReadOnly(root) => Some(root),
    }
}

/// The folder that a repository's name gives; a name that is no single folder's gets another.
fn folder_name(repository: &str) -> &str {
    if repository.contains('/') || matches!(repository, "" | "." | "..") { "repository" } else { repository }
}

/// Gives the workspace's two folders another repository's name.
fn rename_workspace(scratch: &Path, from: &str, to: &str) -> io::Result<()> {
    if from == to {
        return Ok(());
    }
    let work = scratch.join("home/work");
    std::fs::rename(work.join(from), work.join(to))?;
    std::fs::rename(work.join(to).join(from), work.join(to).join(to))
}

/// Gives the workspace's folders of a machine that has ended the name that they had at first; `false` when it put something
/// else in their place. Links are not followed.
fn name_back(scratch: &Path, from: &str, to: &str) -> bool {
    let work = Path::new("home/work");
    let folders = [Path::new("home"), work, &work.join(from)];
    let is_folder =
        |folder: &&Path| scratch.join(folder).symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
    folders.iter().all(is_folder) && rename_workspace(scratch, from, to).is_ok()
}

/// Where the folder of a place is on the host. All but the temporary folder lie in the home, so that few mounts do.
fn folder_of(scratch: &Path, place: Place, repository: &str) -> PathBuf {
    let inside = match place {
        Place::ToolCache => TOOL_CACHE.to_owned(),
        other => path_of(other, repository),
    };
    let below_home = Path::new(&inside).strip_prefix(HOME).expect("every place has its folder in the home");
    scratch.join("home").join(below_home)
}

/// Where a place is inside.
fn path_of(place: Place, repository: &str) -> String {
    match place {
        Place::Workspace => format!("{HOME}/work/{repository}/{repository}"),
        Place::Temp => format!("{HOME}/work/_temp"),
        Place::Actions => format!("{HOME}/work/_actions"),
        Place::Home => HOME.to_owned(),
        Place::ToolCache => "/opt/hostedtoolcache".to_owned(),
    }
}

struct NamespaceMachine {
    started: Started,
    environment: Vec<(String, String)>,
    repository: String,
}

impl Booted for NamespaceMachine {
    fn stream(&mut self) -> ByteStream {
        self.started.stream()
    }

    fn path_of(&self, place: Place) -> String {
        path_of(place, &self.repository)
    }

    fn environment(&self) -> Vec<(String, String)> {
        self.environment.clone()
    }

    fn log(&self) -> Option<Arc<File>> {
        Some(self.started.log())
    }

    fn stop(self: Box<Self>, ending: Ending) -> BoxFuture<'static, ()> {
        let repository = self.repository;
        Box::pin(self.started.stop(ending, move |scratch, by_itself| {
            // Every process of the machine has ended with its first one.
            if by_itself && name_back(scratch.path(), &repository, REPOSITORY) {
                scratch.reuse();
            }
        }))
    }
}
