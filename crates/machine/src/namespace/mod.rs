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
use std::path::{Path, PathBuf};
use std::process::Command;

use futures_util::future::BoxFuture;

use crate::backend::{Backend, BackendName, BootError, Booted, ByteStream, Ending};
use crate::folders;
use crate::host::{Started, create_scratch};
use crate::probe;
use crate::spec::{Content, MachineSpec, Place};

/// The home folder inside.
const HOME: &str = "/home/runner";

/// The tool cache's folder inside; a link leads here from where GitHub's machines have it.
const TOOL_CACHE: &str = "/home/runner/work/_tool";

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
            let scratch = create_scratch(spec)?;
            let private = scratch.path().to_owned();
            let repository = folder_name(&spec.repository);
            let folder_of = |place| folder_of(&private, place, repository);
            folders::make(folder_of)?;
            let copying = folders::copy(spec, folder_of);
            let tools = tools::find(&spec.caller, project(spec));
            let arguments = arguments::build(spec, &tools, scratch.path())
                .map_err(|source| BootError::Scratch { path: scratch.path().to_owned(), source })?;
            let mut command = self.command(&arguments);
            command.arg("--").arg(arguments::AGENT).args(&spec.agent.arguments);
            command.stdout(
                seccomp::file()
                    .map_err(|source| BootError::Spawn { program: self.bubblewrap.clone(), source })?,
            );
            let starting = Started::start(command, scratch);
            let ((), started) = futures_util::future::try_join(copying, starting).await?;
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

    fn log(&self) -> Option<PathBuf> {
        Some(self.started.log())
    }

    fn stop(self: Box<Self>, ending: Ending) -> BoxFuture<'static, ()> {
        Box::pin(self.started.stop(ending))
    }
}
