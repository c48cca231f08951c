//! A running QEMU with its machine.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use network::Refusals;
use serde_json::json;
use tokio::net::UnixStream;

use super::qmp::{Observed, Qmp, QmpError};
use crate::backend::{
    Arrival, BackendName, BootError, Booted, ByteStream, Ending, PostMortem, SnapshotError, SnapshotSize,
};
use crate::leftovers::Leftover;
use crate::spec::{Place, Size};
use crate::vm::arrival::Paths;
use crate::vm::autopsy::Autopsy;
use crate::vm::process::VmProcess;
use crate::vm::snapshot::{self, DEVICES, DISK, MEMORY, Manifest, Unfinished};
use crate::vm::tail::Tail;

/// How long the agent may take to answer the greeting: a translated kernel boots in two seconds, on a busy host in many more.
const PATIENCE: Duration = Duration::from_secs(180);

/// A machine of QEMU's. Dropping it kills it.
#[derive(Debug)]
pub(super) struct QemuMachine {
    pub(super) agent: Option<UnixStream>,
    pub(super) qmp: Qmp,
    pub(super) console: Tail,
    pub(super) complaints: Tail,
    pub(super) process: VmProcess,
    pub(super) environment: Vec<(String, String)>,
    pub(super) paths: Paths,
    pub(super) arrival: Option<Arrival>,
    /// The memory, where it is in a file of the machine's own.
    pub(super) memory: Option<File>,
    /// Where a migration goes, and the name that QEMU has for it.
    pub(super) devices: File,
    pub(super) devices_name: String,
    pub(super) disk: File,
    /// What the kernel had killed for want of memory when the machine was started.
    pub(super) oom_kills: Option<u64>,
    pub(super) description: String,
    pub(super) image: String,
    pub(super) repository: String,
    pub(super) has_network: bool,
    pub(super) refusals: Option<Refusals>,
    pub(super) size: Size,
}

impl QemuMachine {
    /// Ends the machine when a disk of the host fails it: it would stand still for ever.
    pub(super) fn watched(self) -> Self {
        let (mut observed, process) = (self.qmp.observed(), self.process.handle());
        tokio::spawn(async move {
            let has_failed = |observed: &Observed| observed.disk_full || observed.disk_failed.is_some();
            // A QEMU that is gone needs no end.
            if observed.wait_for(has_failed).await.is_ok() {
                process.kill();
            }
        });
        self
    }

    /// Lets the machine go on from a state of devices.
    pub(super) async fn go_on(&self, devices: &str, is_memory_apart: bool) -> Result<(), BootError> {
        let gone_on = async {
            self.qmp.migrate_incoming(&format!("file:{devices}"), is_memory_apart).await?;
            // It stood still when it was kept, and so it does now.
            self.qmp.execute("cont", json!({})).await
        };
        match gone_on.await {
            Ok(_) => Ok(()),
            Err(error) => {
                let reason = self.post_mortem().examine(error.to_string()).await;
                Err(BootError::NoAgent { reason })
            }
        }
    }

    /// Writes the state of the devices, and without a file of its own the memory, and copies the files; the machine stands still.
    async fn keep(&self, unfinished: Unfinished) -> Result<SnapshotSize, SnapshotError> {
        let refused =
            |error: QmpError| SnapshotError::Refused { operation: "save", reason: error.to_string() };
        let write = |name: &str| {
            let path = unfinished.path(name);
            move |source| SnapshotError::Write { path, source }
        };
        self.devices.set_len(0).map_err(write(DEVICES))?;
        let uri = format!("file:{}", self.devices_name);
        self.qmp.migrate(&uri, self.memory.is_some()).await.map_err(refused)?;
        let devices = self.devices.try_clone().map_err(write(DEVICES))?;
        let memory = self.memory.as_ref().map(File::try_clone).transpose().map_err(write(MEMORY))?;
        let disk = self.disk.try_clone().map_err(write(DISK))?;
        let length = |file: &File, name: &str| file.metadata().map(|data| data.len()).map_err(write(name));
        let manifest = Manifest {
            version: snapshot::VERSION,
            backend: BackendName::Qemu.to_string(),
            program: self.description.clone(),
            image: self.image.clone(),
            vcpus: self.size.vcpus,
            memory_mib: self.size.memory_mib,
            repository: self.repository.clone(),
            has_network: self.has_network,
            devices_bytes: length(&devices, DEVICES)?,
            memory_bytes: memory.as_ref().map(|memory| length(memory, MEMORY)).transpose()?,
            disk_bytes: length(&disk, DISK)?,
        };
        let copying = tokio::task::spawn_blocking(move || {
            let kept_devices = unfinished.keep(DEVICES, &devices)?;
            let kept_memory = memory.map_or(Ok(0), |memory| unfinished.keep(MEMORY, &memory))?;
            let kept_disk = unfinished.keep(DISK, &disk)?;
            unfinished.finish(&manifest)?;
            // What is in memory is not needed any more; that it cannot be given back is no failure.
            let _ = devices.set_len(0);
            Ok(snapshot::size(kept_devices, kept_memory, kept_disk))
        });
        copying.await.expect("copying files does not panic")
    }
}

impl Booted for QemuMachine {
    fn stream(&mut self) -> ByteStream {
        let (read, write) = self.agent.take().expect("the stream is asked for once").into_split();
        ByteStream { read: Box::new(read), write: Box::new(write) }
    }

    fn path_of(&self, place: Place) -> String {
        self.paths.of(place)
    }

    fn environment(&self) -> Vec<(String, String)> {
        self.environment.clone()
    }

    fn post_mortem(&self) -> Arc<dyn PostMortem> {
        let observed = self.qmp.observed();
        Arc::new(Autopsy {
            process: self.process.handle(),
            console: self.console.clone(),
            complaints: self.complaints.clone(),
            oom_kills: self.oom_kills,
            patience: PATIENCE,
            observe: Box::new(move |evidence| {
                let Observed { disk_full, disk_failed, .. } = observed.borrow().clone();
                (evidence.disk_full, evidence.disk_failed) = (disk_full, disk_failed);
            }),
        })
    }

    fn arrival(&mut self) -> Option<Arrival> {
        self.arrival.take()
    }

    fn refusals(&self) -> Option<Refusals> {
        self.refusals.clone()
    }

    fn leftovers(&self) -> Vec<Leftover> {
        self.process.leftovers()
    }

    fn snapshot<'a>(&'a mut self, into: &'a Path) -> BoxFuture<'a, Result<SnapshotSize, SnapshotError>> {
        Box::pin(async move {
            let refused = |operation| {
                move |error: QmpError| SnapshotError::Refused { operation, reason: error.to_string() }
            };
            let unfinished = Unfinished::create(into)?;
            self.qmp.execute("stop", json!({})).await.map_err(refused("pause"))?;
            let kept = self.keep(unfinished).await;
            // Whatever became of the snapshot, the machine goes on.
            let resumed = self.qmp.execute("cont", json!({})).await.map_err(refused("resume"));
            let size = kept?;
            resumed.map(|_| size)
        })
    }

    fn stop(self: Box<Self>, ending: Ending) -> BoxFuture<'static, ()> {
        Box::pin(self.process.stop(ending == Ending::Unknown))
    }
}
