//! MicroVMs by Firecracker.
//!
//! A machine is one Firecracker process, reached through the socket of its API ([`api`]); its agent through the socket of its vsock
//! device. Both lie in the process's folder ([`folder`]), beside its disk. Where this process is root, Firecracker runs behind its
//! jailer ([`jail`]), with a root and a user of its own. Its own filter of system calls is always on.
//!
//! The first snapshot of a machine holds all of its memory; each further one is a copy of the one before, into which Firecracker
//! writes what has changed since. A machine that goes on from a snapshot maps its memory privately, and continues that chain.
//!
//! Invariants: Firecracker and its jailer are of one supported version; a snapshot of another version is refused; nothing is
//! believed that lies in the folder of a running Firecracker.

pub mod api;
pub(crate) mod choice;
mod config;
mod folder;
mod jail;
mod machine;
mod program;

use std::any::Any;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::backend::{Backend, BackendName, BootError, Booted};
use crate::spec::{MachineSpec, Network, Size};
use crate::started::create_scratch;
use crate::vm::arrival::{self, Folders, Paths};
use crate::vm::cage::Bind;
use crate::vm::process::{Given, Held, VmProcess, oom_kills, own_user};
use crate::vm::snapshot::{self, Expected, Snapshot};
use crate::vm::tail::Tail;
use crate::vm::{self, Image, disk};
use api::Deadlines;
use config::{DEVICES, DISK, INITRAMFS, KERNEL, MEMORY, ROOT};
use folder::{API, Folder};
use jail::Jail;
use machine::FirecrackerMachine;
pub use program::{Confinement, NoProgram, Program};

/// The most processors that Firecracker gives a machine.
const MAX_VCPUS: u32 = 32;

/// How long a guest may take until its agent listens.
const PATIENCE: Duration = Duration::from_secs(180);

/// Firecracker's machines.
#[derive(Debug, Clone)]
pub struct Firecracker {
    program: Program,
    confinement: Confinement,
    image: Image,
    deadlines: Deadlines,
    patience: Duration,
    #[expect(dead_code, reason = "only its end counts")]
    held: Option<Arc<dyn Any + Send + Sync>>,
}

impl Firecracker {
    /// Machines of an image. They have no network device.
    pub fn new(program: Program, confinement: Confinement, image: Image) -> Self {
        Self { program, confinement, image, deadlines: Deadlines::default(), patience: PATIENCE, held: None }
    }

    /// Keeps something as long as machines may be made, such as what the image's files are held by.
    pub fn holding(self, held: Arc<dyn Any + Send + Sync>) -> Self {
        Self { held: Some(held), ..self }
    }

    /// Lets answers of Firecracker and of the guest take other times than usual.
    pub fn with_deadlines(self, deadlines: Deadlines, patience: Duration) -> Self {
        Self { deadlines, patience, ..self }
    }

    /// What a snapshot has to be by.
    fn description(&self) -> String {
        format!("Firecracker {}", self.program.version())
    }

    async fn launch(
        &self,
        spec: &MachineSpec,
        kept: Option<(&Path, Snapshot)>,
    ) -> Result<FirecrackerMachine, BootError> {
        let snapshot = kept.as_ref().map(|(_, snapshot)| snapshot);
        let size = snapshot.map_or_else(|| vm::bounded(spec.size), Snapshot::size);
        let size = Size { vcpus: size.vcpus.min(MAX_VCPUS), ..size };
        let repository = snapshot.map_or(&spec.repository, |snapshot| &snapshot.manifest.repository).clone();
        let paths = Paths::new(spec, &repository, &self.image.user.home);
        let folders = if snapshot.is_some() { Folders::Keep } else { Folders::Fill };
        refuse_network(spec)?;
        if let Some(snapshot) = snapshot {
            snapshot.check_network(false)?;
        }
        let scratch = create_scratch(spec, &vm::LAYOUT)?;
        let failed = |source| BootError::Spawn { program: self.program.file().to_owned(), source };
        let user = match &self.confinement {
            Confinement::Jailer(_) => own_user(&scratch).map_err(failed)?,
            Confinement::User => None,
        };
        let name = scratch.path().file_name().expect("a machine's folder has a name");
        let id = jail::id(&name.to_string_lossy());
        let path = match user {
            Some(_) => jail::root(scratch.path(), self.program.file(), &id),
            None => scratch.path().join("vm"),
        };
        let scratch_error = |source| BootError::Scratch { path: path.clone(), source };
        let folder = Folder::make(path.clone(), user).map_err(scratch_error)?;
        let binds = self.show(&folder, kept.as_ref().map(|(path, _)| *path)).map_err(scratch_error)?;
        let from = snapshot.map(|snapshot| snapshot.disk.try_clone()).transpose().map_err(scratch_error)?;
        let disk = disk::make_own(spec, &scratch, &folder.join(DISK), from, user).await?;
        folder.give(DISK).map_err(scratch_error)?;
        let (console, outputs) = Tail::open().map_err(failed)?;
        let (complaints, errors) = Tail::open().map_err(failed)?;
        let longest = disk.metadata().map_err(scratch_error)?.len().max(u64::from(size.memory_mib) << 20);
        let mut command = self.command(scratch.path(), &folder, &id, user, longest);
        // A terminal is not for machines, and neither are its signals.
        command.stdout(outputs).stderr(errors);
        let held = Held { scratch, network: None };
        let process =
            VmProcess::spawn(command, Given::default(), (None, None), size, held, user.map(|_| binds))
                .await
                .map_err(failed)?;
        let mut machine = FirecrackerMachine {
            environment: arrival::environment(spec, &self.image, &paths),
            arrival: Some(arrival::arrival(spec, &self.image, &paths, folders, None)?),
            paths,
            folder,
            process,
            console,
            complaints,
            api: None,
            agent: None,
            disk,
            memory: snapshot
                .and_then(|snapshot| snapshot.memory.as_ref())
                .map(std::fs::File::try_clone)
                .transpose()
                .map_err(scratch_error)?,
            oom_kills: oom_kills(),
            description: self.description(),
            image: self.image.digest.clone(),
            repository,
            size,
            patience: self.patience,
            deadlines: self.deadlines,
        };
        machine.start(kept.is_some()).await?;
        Ok(machine)
    }

    /// Shows Firecracker the files that it reads.
    fn show(&self, folder: &Folder, snapshot: Option<&Path>) -> std::io::Result<Vec<Bind>> {
        let mut shown = vec![(ROOT, self.image.root.clone())];
        match snapshot {
            Some(path) => {
                shown.extend([(DEVICES, path.join(snapshot::DEVICES)), (MEMORY, path.join(snapshot::MEMORY))])
            }
            None => {
                let (kernel, initramfs) = (&self.image.kernel, &self.image.initramfs);
                shown.extend([(KERNEL, kernel.clone()), (INITRAMFS, initramfs.clone())]);
            }
        }
        shown.into_iter().filter_map(|(name, file)| folder.show(name, &file).transpose()).collect()
    }

    fn command(
        &self,
        scratch: &Path,
        folder: &Folder,
        id: &str,
        user: Option<u32>,
        longest_file: u64,
    ) -> Command {
        let mut command = match (&self.confinement, user) {
            (Confinement::Jailer(jailer), Some(user)) => Jail {
                jailer,
                firecracker: self.program.file(),
                chroot: scratch,
                id,
                user,
                network: None,
                longest_file,
            }
            .command(),
            _ => {
                let mut command = Command::new(self.program.file());
                command.args(["--id", id]).current_dir(folder.path());
                command
            }
        };
        // What it complains about goes where the guest's console does.
        command.args(["--api-sock", API, "--level", "Warning"]).stdin(Stdio::null());
        command
    }
}

impl Backend for Firecracker {
    fn name(&self) -> BackendName {
        BackendName::Firecracker
    }

    fn boot<'a>(&'a self, spec: &'a MachineSpec) -> BoxFuture<'a, Result<Box<dyn Booted>, BootError>> {
        Box::pin(async move { Ok(Box::new(self.launch(spec, None).await?) as Box<dyn Booted>) })
    }

    fn has_snapshots(&self) -> bool {
        true
    }

    fn restore<'a>(
        &'a self,
        spec: &'a MachineSpec,
        folder: &'a Path,
    ) -> BoxFuture<'a, Result<Box<dyn Booted>, BootError>> {
        Box::pin(async move {
            let description = self.description();
            let expected = Expected {
                backend: BackendName::Firecracker,
                program: &description,
                image: &self.image.digest,
            };
            let unusable = |source| BootError::Snapshot { path: folder.to_owned(), source };
            let snapshot = Snapshot::open(folder, &expected).map_err(unusable)?;
            let machine = self.launch(spec, Some((folder, snapshot))).await;
            let machine = machine.map_err(|error| match error {
                BootError::Snapshot { source, .. } => unusable(source),
                other => other,
            })?;
            Ok(Box::new(machine) as Box<dyn Booted>)
        })
    }
}

/// Machines have no network device yet: what would be reached through one has to be asked for elsewhere.
fn refuse_network(spec: &MachineSpec) -> Result<(), BootError> {
    match spec.network {
        Network::None => Ok(()),
        Network::Full | Network::Limited(_) => {
            let reason = "its machines have no network device; choose none (`--network none`)".to_owned();
            Err(BootError::Unavailable { backend: BackendName::Firecracker, reason })
        }
    }
}
