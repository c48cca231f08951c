//! Machines without isolation: the agent is a plain process of the host, and steps run beside it as the caller.
//!
//! The caller's home and tools are used as they are. Only the workspace, the temporary folder and the like are the
//! machine's own. The agent leads a session of its own, so that a terminal's signals do not reach it, and ends with its
//! stream: whatever happens to this process, nothing that ran in the machine goes on.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::backend::{Backend, BackendName, BootError, Booted, ByteStream, Ending, PostMortem};
use crate::folders;
use crate::scratch::{Layout, Scratch};
use crate::spawn::MachineProcess;
use crate::spec::{Content, MachineSpec, Network, Place};
use crate::started::{Line, Started, create_scratch};

/// A machine's folder is never used again, because a process that got away may still write to it.
const LAYOUT: Layout = Layout { name: "host", folders: &[] };

/// The host itself as a machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Host;

impl Backend for Host {
    fn name(&self) -> BackendName {
        BackendName::Host
    }

    fn boot<'a>(&'a self, spec: &'a MachineSpec) -> BoxFuture<'a, Result<Box<dyn Booted>, BootError>> {
        Box::pin(async move {
            if matches!(spec.network, Network::Limited(_)) {
                let reason = "a process of the host reaches all that the host does; only an isolated machine can be \
                              limited to some destinations";
                return Err(BootError::Unavailable { backend: self.name(), reason: reason.to_owned() });
            }
            let scratch = create_scratch(spec, &LAYOUT)?;
            folders::make(|place| folder_of(scratch.path(), place))?;
            folders::copy(spec, &scratch, |place| folder_of(scratch.path(), place)).await?;
            let mut command = Command::new(&spec.agent.program);
            command.args(&spec.agent.arguments).env_clear().current_dir("/").stdout(Stdio::null());
            let started = start(command, scratch).await?;
            let paths = Place::ALL.into_iter().map(|place| (place, path_of(spec, place, &started))).collect();
            let booted = HostMachine { paths, environment: environment(spec), started };
            Ok(Box::new(booted) as Box<dyn Booted>)
        })
    }
}

/// Starts the agent as a process of the host.
async fn start(mut command: Command, scratch: Arc<Scratch>) -> Result<Started, BootError> {
    let program = PathBuf::from(command.get_program());
    let failed = |source| BootError::Spawn { program: program.clone(), source };
    let mut line = Line::new().map_err(failed)?;
    command.stdin(line.theirs()).stderr(line.log().map_err(failed)?);
    let process = MachineProcess::spawn(command).await.map_err(failed)?;
    Ok(line.started(process, scratch))
}

/// Where a place's own folder is among the machine's private files.
fn folder_of(scratch: &Path, place: Place) -> PathBuf {
    scratch.join(name_of(place))
}

fn name_of(place: Place) -> &'static str {
    match place {
        Place::Workspace => "workspace",
        Place::Temp => "temp",
        Place::Home => "home",
        Place::ToolCache => "toolcache",
        Place::Actions => "actions",
    }
}

fn path_of(spec: &MachineSpec, place: Place, started: &Started) -> String {
    let path = match (place, spec.content(place)) {
        (_, Content::ReadOnly(root)) => root.clone(),
        (Place::Home, Content::Empty) if !spec.caller.home.as_os_str().is_empty() => spec.caller.home.clone(),
        _ => folder_of(started.scratch(), place),
    };
    path.to_string_lossy().into_owned()
}

/// The caller's whole environment: a machine without isolation is as the caller's shell would be.
fn environment(spec: &MachineSpec) -> Vec<(String, String)> {
    spec.caller.environment.clone()
}

struct HostMachine {
    started: Started,
    paths: Vec<(Place, String)>,
    environment: Vec<(String, String)>,
}

impl Booted for HostMachine {
    fn stream(&mut self) -> ByteStream {
        self.started.stream()
    }

    fn path_of(&self, place: Place) -> String {
        let found = self.paths.iter().find(|(known, _)| *known == place);
        found.expect("every place has a path").1.clone()
    }

    fn environment(&self) -> Vec<(String, String)> {
        self.environment.clone()
    }

    fn post_mortem(&self) -> Arc<dyn PostMortem> {
        self.started.post_mortem()
    }

    /// Not the caller's home, which is used as it is.
    fn host_folders(&self) -> Vec<(&'static str, PathBuf)> {
        let scratch = self.started.scratch();
        let own = |place: Place| {
            let folder = folder_of(scratch, place);
            (Path::new(&self.path_of(place)) == folder).then_some((name_of(place), folder))
        };
        Place::ALL.into_iter().filter_map(own).collect()
    }

    fn stop(self: Box<Self>, ending: Ending) -> BoxFuture<'static, ()> {
        Box::pin(self.started.stop(ending, |scratch, _| drop(scratch)))
    }
}
