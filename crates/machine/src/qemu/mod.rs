//! Virtual machines by QEMU, with KVM or, where that is missing or too slow, without (TCG).
//!
//! The machine is QEMU's `q35` with an image's own kernel, started without firmware of ours; its agent is reached through a
//! virtio-serial port, QEMU itself through QMP ([`qmp`]). Both are socket pairs that QEMU inherits.
//!
//! A snapshot is QEMU's migration to a file, without the memory, which is a file already: its copy. A machine that goes on from it
//! maps that copy privately, so that any number of machines share what none of them has changed. When such a machine is kept
//! again, its memory travels in the migration.
//!
//! ```text
//! booted:    memory in a file of its own ──snapshot──> devices + copy of the memory + copy of the disk
//! restored:  memory mapped privately     ──snapshot──> devices with the memory in them + copy of the disk
//! ```

mod arguments;
mod machine;
mod qmp;

use std::any::Any;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use rustix::fs::{MemfdFlags, memfd_create};
use tokio::net::UnixStream;

use crate::backend::{Backend, BackendName, BootError, Booted};
use crate::spec::{MachineSpec, Network, Size};
use crate::started::create_scratch;
use crate::vm::arrival::{self, Folders, Paths};
use crate::vm::network;
use crate::vm::process::{Given, Held, VmProcess, oom_kills, own_user};
use crate::vm::snapshot::{Expected, Snapshot};
use crate::vm::tail::Tail;
use crate::vm::{self, Image, disk};
use arguments::{Connections, Memory, Start};
use machine::QemuMachine;
use qmp::Qmp;

/// The program's name.
const PROGRAM: &str = "qemu-system-x86_64";

/// The first version that can do what is needed: migrate to a file, and map memory privately.
const MIN_VERSION: (u32, u32) = (8, 2);

/// What makes the processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Accelerator {
    /// The host's own processor.
    Kvm,
    /// A translation of the guest's instructions: several times slower, and works everywhere.
    Tcg,
}

impl fmt::Display for Accelerator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        })
    }
}

/// A QEMU of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    file: PathBuf,
    version: String,
}

/// Why there is no QEMU to use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each variant explains its fields")]
pub enum NoProgram {
    /// There is none.
    #[error("there is no `{PROGRAM}` on PATH")]
    Missing,
    /// It does not say its version.
    #[error("`{} --version` fails", file.display())]
    Unusable { file: PathBuf },
    /// It is too old.
    #[error("QEMU {version} is too old; {}.{} is needed", MIN_VERSION.0, MIN_VERSION.1)]
    TooOld { version: String },
}

impl Program {
    /// The first QEMU on a search path; it is asked for its version.
    pub fn find(path: &[PathBuf]) -> Result<Self, NoProgram> {
        let candidates = path.iter().map(|folder| folder.join(PROGRAM));
        let file = candidates.into_iter().find(|file| file.is_file()).ok_or(NoProgram::Missing)?;
        let output = Command::new(&file).arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).output();
        let text = output.ok().filter(|output| output.status.success()).map(|output| output.stdout);
        let text = text.map(|text| String::from_utf8_lossy(&text).into_owned());
        let Some((version, numbers)) = text.as_deref().and_then(parse_version) else {
            return Err(NoProgram::Unusable { file });
        };
        if numbers < MIN_VERSION { Err(NoProgram::TooOld { version }) } else { Ok(Self { file, version }) }
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Its version, such as `10.0.2`.
    pub fn version(&self) -> &str {
        &self.version
    }
}

/// The version in what QEMU says of itself, as text and as its first two numbers.
fn parse_version(text: &str) -> Option<(String, (u32, u32))> {
    let version = text.strip_prefix("QEMU emulator version ")?.split_ascii_whitespace().next()?;
    let mut numbers = version.split('.').map(str::parse);
    let (major, minor) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    Some((version.to_owned(), (major, minor)))
}

/// QEMU's machines.
#[derive(Debug, Clone)]
pub struct Qemu {
    program: Program,
    accelerator: Accelerator,
    image: Image,
    /// What machines that are booted begin as copies of.
    warm: Option<PathBuf>,
    /// Whatever keeps the image's files where they are.
    #[expect(dead_code, reason = "only its end counts")]
    held: Option<Arc<dyn Any + Send + Sync>>,
}

impl Qemu {
    /// Machines of an image.
    pub fn new(program: Program, accelerator: Accelerator, image: Image) -> Self {
        Self { program, accelerator, image, warm: None, held: None }
    }

    /// Holds something as long as machines may be made: what keeps the files of the image from being removed.
    pub fn holding(self, held: Arc<dyn Any + Send + Sync>) -> Self {
        Self { held: Some(held), ..self }
    }

    /// Lets machines begin as copies of a machine that was kept in this folder after its boot, before anything ran in it. One of
    /// another size or with another network boots all the same, and so does each where the snapshot cannot be used.
    pub fn starting_from(self, snapshot: PathBuf) -> Self {
        Self { warm: Some(snapshot), ..self }
    }

    /// What makes the processor.
    pub fn accelerator(&self) -> Accelerator {
        self.accelerator
    }

    /// What a snapshot has to be by.
    fn description(&self) -> String {
        format!("QEMU {} ({})", self.program.version, self.accelerator)
    }

    /// The snapshot that a machine can begin from, if there is one.
    fn warm_for(&self, spec: &MachineSpec) -> Option<Snapshot> {
        let description = self.description();
        let expected = self.expected(&description);
        let snapshot = Snapshot::open(self.warm.as_ref()?, &expected).ok()?;
        let has_network = spec.network != Network::None;
        let fits = snapshot.size() == vm::bounded(spec.size) && snapshot.manifest.has_network == has_network;
        fits.then_some(snapshot)
    }

    fn expected<'a>(&'a self, description: &'a str) -> Expected<'a> {
        Expected { backend: BackendName::Qemu, program: description, image: &self.image.digest }
    }

    fn spawn_error(&self) -> impl Fn(io::Error) -> BootError + '_ {
        |source| BootError::Spawn { program: self.program.file.clone(), source }
    }

    async fn launch(
        &self,
        spec: &MachineSpec,
        snapshot: Option<Snapshot>,
        folders: Folders,
    ) -> Result<QemuMachine, BootError> {
        let size = snapshot.as_ref().map_or_else(|| vm::bounded(spec.size), Snapshot::size);
        let repository = snapshot.as_ref().filter(|_| folders == Folders::Keep);
        let repository =
            repository.map_or(&spec.repository, |snapshot| &snapshot.manifest.repository).clone();
        let paths = Paths::new(spec, &repository, &self.image.user.home);
        let scratch = create_scratch(spec, &vm::LAYOUT)?;
        let attachment = network::attach(spec).map_err(|source| BootError::Network { source })?;
        let user = own_user(&scratch).map_err(self.spawn_error())?;
        let from = snapshot.as_ref().map(|snapshot| snapshot.disk.try_clone()).transpose();
        let from = from.map_err(self.spawn_error())?;
        let disk = disk::make_own(spec, &scratch, &scratch.path().join("disk"), from, user).await?;
        let mut given = Given::default();
        let failed = self.spawn_error();
        let (agent, agents) = pair().map_err(&failed)?;
        let (qmp, qmps) = pair().map_err(&failed)?;
        let (console, consoles) = Tail::open().map_err(&failed)?;
        let (complaints, errors) = Tail::open().map_err(&failed)?;
        let (memory, own_memory) = self.memory(size, snapshot.as_ref(), &mut given)?;
        let devices = memory_file("devices", 0).map_err(&failed)?;
        let configuration = attachment.as_ref().map(|attachment| attachment.configuration.clone());
        let refusals = attachment.as_ref().map(|attachment| attachment.network.refusals());
        let (frames, network) = attachment.map(|attachment| (attachment.frames, attachment.network)).unzip();
        let has_network = frames.is_some();
        if let Some(snapshot) = &snapshot {
            snapshot.check_network(has_network)?;
        }
        let connections = Connections {
            agent: given.descriptor(agents),
            qmp: given.descriptor(qmps),
            console: given.descriptor(consoles),
            image: given.file(open(&self.image.root)?),
            disk: given.file(disk.try_clone().map_err(&failed)?),
            memory,
            network: frames.map(|frames| given.descriptor(frames)),
            start: self.start(snapshot.is_some(), &mut given)?,
        };
        let incoming = snapshot.map(|snapshot| given.file(snapshot.devices));
        let is_memory_apart = matches!(connections.memory, Memory::Private(_));
        let devices_name = given.file(devices.try_clone().map_err(&failed)?);
        let mut command = Command::new(&self.program.file);
        command.args(arguments::build(self.accelerator, size, &connections));
        command.stdout(Stdio::null()).stderr(errors);
        let held = Held { scratch, network };
        let process = VmProcess::spawn(command, given, (user, self.group()), size, held, None)
            .await
            .map_err(&failed)?;
        let arrival = arrival::arrival(spec, &self.image, &paths, folders, configuration)?;
        let machine = QemuMachine {
            agent: Some(agent),
            qmp: Qmp::open(qmp),
            console,
            complaints,
            process,
            environment: arrival::environment(spec, &self.image, &paths),
            paths,
            arrival: Some(arrival),
            memory: own_memory,
            devices,
            devices_name,
            disk,
            oom_kills: oom_kills(),
            description: self.description(),
            image: self.image.digest.clone(),
            repository,
            has_network,
            refusals,
            size,
        };
        if let Some(devices) = incoming {
            machine.go_on(&devices, is_memory_apart).await?;
        }
        Ok(machine.watched())
    }

    /// Where the memory is, and its file where the machine has one of its own.
    fn memory(
        &self,
        size: Size,
        snapshot: Option<&Snapshot>,
        given: &mut Given,
    ) -> Result<(Memory, Option<File>), BootError> {
        let failed = self.spawn_error();
        match snapshot.and_then(|snapshot| snapshot.memory.as_ref()) {
            Some(memory) => Ok((Memory::Private(given.file(memory.try_clone().map_err(failed)?)), None)),
            None => {
                let memory = memory_file("memory", u64::from(size.memory_mib) << 20).map_err(&failed)?;
                let name = given.file(memory.try_clone().map_err(&failed)?);
                Ok((Memory::Shared(name), Some(memory)))
            }
        }
    }

    fn start(&self, is_restored: bool, given: &mut Given) -> Result<Start, BootError> {
        if is_restored {
            return Ok(Start::Restore);
        }
        let (kernel, initramfs) = (open(&self.image.kernel)?, open(&self.image.initramfs)?);
        Ok(Start::Boot { kernel: given.file(kernel), initramfs: given.file(initramfs) })
    }

    /// The group that QEMU needs to open `/dev/kvm`.
    fn group(&self) -> Option<u32> {
        let metadata = match self.accelerator {
            Accelerator::Kvm => std::fs::metadata("/dev/kvm").ok()?,
            Accelerator::Tcg => return None,
        };
        Some(std::os::unix::fs::MetadataExt::gid(&metadata))
    }
}

impl Backend for Qemu {
    fn name(&self) -> BackendName {
        BackendName::Qemu
    }

    fn boot<'a>(&'a self, spec: &'a MachineSpec) -> BoxFuture<'a, Result<Box<dyn Booted>, BootError>> {
        Box::pin(async move {
            let machine = self.launch(spec, self.warm_for(spec), Folders::Fill).await?;
            Ok(Box::new(machine) as Box<dyn Booted>)
        })
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
            let expected = self.expected(&description);
            let unusable = |source| BootError::Snapshot { path: folder.to_owned(), source };
            let snapshot = Snapshot::open(folder, &expected).map_err(unusable)?;
            let launched = self.launch(spec, Some(snapshot), Folders::Keep).await;
            let machine = launched.map_err(|error| match error {
                BootError::Snapshot { source, .. } => unusable(source),
                other => other,
            })?;
            Ok(Box::new(machine) as Box<dyn Booted>)
        })
    }
}

fn pair() -> io::Result<(UnixStream, OwnedFd)> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    Ok((UnixStream::from_std(ours)?, theirs.into()))
}

/// A file without a name, in memory, that whoever has it may open again.
fn memory_file(name: &str, length: u64) -> io::Result<File> {
    let file = File::from(memfd_create(name, MemfdFlags::CLOEXEC)?);
    file.set_len(length)?;
    Ok(file)
}

fn open(path: &Path) -> Result<File, BootError> {
    File::open(path).map_err(|source| BootError::Copy { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::parse_version;

    #[test]
    fn a_version_is_read_from_what_qemu_says() {
        let debian = "QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2+deb13u1~bpo12+1)\nCopyright";
        assert_eq!(parse_version(debian), Some(("10.0.2".to_owned(), (10, 0))));
        assert_eq!(parse_version("QEMU emulator version 8.2.0\n"), Some(("8.2.0".to_owned(), (8, 2))));
        assert_eq!(parse_version("QEMU emulator version ten"), None);
        assert_eq!(parse_version("bash"), None);
    }
}
