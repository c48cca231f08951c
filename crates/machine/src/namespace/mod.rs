//! Machines of Linux namespaces, by bubblewrap.
//!
//! One machine for the whole job: user, mount, process, IPC, host name and (on request) network namespaces of its own, no
//! capabilities, no new privileges, a seccomp filter. The guest agent is its first process, so its end is the end of all.
//! Steps are started through the agent.
//!
//! Bubblewrap makes a sandbox once, with what all machines of a kind have in common. In it is a template
//! ([`guest::template`]), which forks the machines: that is several times faster than a sandbox each.
//!
//! What is inside: the system's programs, read-only and without its secrets; the caller's tools, read-only; folders of
//! the machine's own for the home, the workspace and temporary files. Nothing else of the host, above all not the caller's
//! home and environment. With the full network the machine shares the host's network, its abstract sockets included.

mod arguments;
mod attach;
mod mounts;
mod pyenv;
mod seccomp;
mod template;
mod tools;

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use network::Refusals;

use crate::backend::{Backend, BackendName, BootError, Booted, ByteStream, Ending, PostMortem};
use crate::cgroup::Group;
use crate::folders;
use crate::leftovers::Leftover;
use crate::namespace::template::Template;
use crate::probe;
use crate::scratch::{Layout, Scratch};
use crate::spec::{Content, MachineSpec, Place, Size};
use crate::started::{Started, create_scratch};

/// The home folder inside.
const HOME: &str = "/home/runner";

/// The tool cache's folder inside; a link leads here from where GitHub's machines have it.
const TOOL_CACHE: &str = "/home/runner/work/_tool";

/// The name of the workspace's folders in a private folder that no machine has yet.
const REPOSITORY: &str = "repository";

/// A machine's private folder: what is mounted as its home, with the places in it, and its folder for temporary files.
/// Where cargo's registry is mounted is made at once, or else each machine makes it.
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
#[derive(Debug)]
pub struct Namespace {
    bubblewrap: PathBuf,
    /// The template that the last machine was forked from.
    template: Mutex<Option<Arc<Template>>>,
}

impl Namespace {
    /// Uses the given `bwrap` program.
    pub fn new(bubblewrap: PathBuf) -> Self {
        Self { bubblewrap, template: Mutex::default() }
    }

    /// Uses the first `bwrap` on a search path.
    pub fn find(path: &[PathBuf]) -> Option<Self> {
        path.iter().map(|folder| folder.join("bwrap")).find(|file| file.is_file()).map(Self::new)
    }

    /// The program that it uses.
    pub fn bubblewrap(&self) -> &Path {
        &self.bubblewrap
    }

    /// A template for these machines, and whether it is a new one.
    fn template(&self, spec: &MachineSpec) -> Result<(Arc<Template>, bool), BootError> {
        let mut template = self.template.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(template) = template.as_ref().filter(|template| template.fits(spec)) {
            return Ok((Arc::clone(template), false));
        }
        let new = Arc::new(Template::start(self.command(), spec)?);
        *template = Some(Arc::clone(&new));
        Ok((new, true))
    }

    fn command(&self) -> Command {
        use std::os::unix::process::CommandExt;
        let mut command = Command::new(&self.bubblewrap);
        // A group of its own: a terminal's Ctrl-C is for the caller, who decides what it means for the machine.
        command.env_clear().current_dir("/").process_group(0);
        command
    }

    /// Forks a machine from a template that fits; a template that has died since its last machine is replaced once.
    async fn fork(
        &self,
        spec: &MachineSpec,
        scratch: &Arc<Scratch>,
    ) -> Result<(Arc<Template>, (Started, Option<network::Network>)), BootError> {
        loop {
            let (template, is_new) = self.template(spec)?;
            match template.fork(spec, scratch).await {
                Err(_) if template.is_lost() && !is_new => {}
                forked => return Ok((template, forked?)),
            }
        }
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
            let forking = self.fork(spec, &scratch);
            let ((), (template, (started, network))) =
                futures_util::future::try_join(copying, forking).await?;
            drop(scratch);
            let repository = repository.to_owned();
            let group = spec.size.map(|size| hold(&started, size));
            Ok(Box::new(NamespaceMachine { started, template, repository, group, network })
                as Box<dyn Booted>)
        })
    }

    fn remedy(&self) -> Option<String> {
        probe::remedy()
    }
}

/// Holds a machine in which nothing runs yet to its size.
fn hold(started: &Started, size: Size) -> Group {
    let name = started.scratch().file_name().expect("a machine's folder has a name");
    let group = Group::create(&name.to_string_lossy(), size);
    if let Some(pid) = started.pid() {
        // What refuses limits nothing; the machine works all the same.
        let _ = group.add(pid);
    }
    group
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
    template: Arc<Template>,
    repository: String,
    group: Option<Group>,
    network: Option<network::Network>,
}

impl Booted for NamespaceMachine {
    fn stream(&mut self) -> ByteStream {
        self.started.stream()
    }

    fn path_of(&self, place: Place) -> String {
        path_of(place, &self.repository)
    }

    fn environment(&self) -> Vec<(String, String)> {
        self.template.environment.clone()
    }

    fn post_mortem(&self) -> Arc<dyn PostMortem> {
        self.started.post_mortem()
    }

    fn refusals(&self) -> Option<Refusals> {
        self.network.as_ref().map(network::Network::refusals)
    }

    fn leftovers(&self) -> Vec<Leftover> {
        self.group.iter().flat_map(Group::leftovers).collect()
    }

    fn host_folders(&self) -> Vec<(&'static str, PathBuf)> {
        ["home", "tmp"].map(|name| (name, self.started.scratch().join(name))).to_vec()
    }

    fn stop(self: Box<Self>, ending: Ending) -> BoxFuture<'static, ()> {
        let Self { started, template, repository, group, network } = *self;
        Box::pin(started.stop(ending, move |scratch, by_itself| {
            drop((template, group, network));
            // Every process of the machine has ended with its first one.
            if by_itself && name_back(scratch.path(), &repository, REPOSITORY) {
                scratch.reuse();
            }
        }))
    }
}
