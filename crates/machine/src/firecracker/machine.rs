//! A running Firecracker with its machine.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use rustix::fs::{FallocateFlags, fallocate};
use tokio::net::UnixStream;

use super::api::{Api, ApiError, BeforeBoot, Deadlines, Paused, Running, SnapshotKind};
use super::config::{self, NEW_DEVICES, NEW_MEMORY};
use super::folder::{API, Folder};
use crate::backend::{
    Arrival, BackendName, BootError, Booted, ByteStream, Ending, PostMortem, SnapshotError, SnapshotSize,
};
use crate::connection::describe;
use crate::leftovers::Leftover;
use crate::spec::{Place, Size};
use crate::vm::arrival::Paths;
use crate::vm::autopsy::Autopsy;
use crate::vm::process::VmProcess;
use crate::vm::snapshot::{self, DEVICES, DISK, MEMORY, Manifest, Unfinished};
use crate::vm::{disk, tail::Tail};

/// The first and the longest wait before a socket is tried again.
const FIRST_WAIT: Duration = Duration::from_micros(300);
const LONGEST_WAIT: Duration = Duration::from_millis(20);

/// How long one connection may wait for the guest's answer: a guest whose device does not run yet never answers.
const ATTEMPT: Duration = Duration::from_secs(1);

/// What is looked at at once for zeros, in bytes: what a file system can leave out.
const BLOCK: usize = 64 * 1024;

/// A machine of Firecracker's. Dropping it kills it.
#[derive(Debug)]
pub(super) struct FirecrackerMachine {
    pub(super) folder: Folder,
    pub(super) process: VmProcess,
    /// The guest's console, and the log of Firecracker.
    pub(super) console: Tail,
    /// What Firecracker says when it ends, or its jailer when it does not begin.
    pub(super) complaints: Tail,
    /// None before the boot, and once a snapshot went so wrong that the machine stands still.
    pub(super) api: Option<Api<Running>>,
    /// The stream to the agent that has not been asked for yet.
    pub(super) agent: Option<UnixStream>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) paths: Paths,
    pub(super) arrival: Option<Arrival>,
    pub(super) disk: File,
    /// The memory in the snapshot before, since which Firecracker knows what has changed.
    pub(super) memory: Option<File>,
    pub(super) oom_kills: Option<u64>,
    pub(super) description: String,
    pub(super) image: String,
    pub(super) repository: String,
    pub(super) size: Size,
    pub(super) patience: Duration,
    pub(super) deadlines: Deadlines,
}

impl FirecrackerMachine {
    /// Lets the machine boot, or go on from the snapshot in its folder, and connects to its agent.
    pub(super) async fn start(&mut self, is_kept: bool) -> Result<(), BootError> {
        let started = async {
            let api = self.connect().await?;
            match is_kept {
                true => api.load_and_resume(config::load()).await,
                false => config::boot(api, self.size).await,
            }
        };
        match started.await {
            Ok(api) => self.api = Some(api),
            Err(error) => {
                let told = describe(&error);
                let reason = match error {
                    // It has probably ended, and that says more.
                    ApiError::Connect { .. } | ApiError::Handshake { .. } | ApiError::Broken { .. } => {
                        self.post_mortem().examine(told).await
                    }
                    _ => told,
                };
                return Err(BootError::Refused { program: self.description.clone(), reason });
            }
        }
        match self.connect_agent().await {
            Ok(agent) => self.agent = Some(agent),
            Err(error) => {
                let heard = format!("cannot connect to its guest agent: {error}");
                let reason = self.post_mortem().examine(heard).await;
                return Err(BootError::NoAgent { reason });
            }
        }
        Ok(())
    }

    /// Connects to the API, which is there some moments after the start.
    async fn connect(&self) -> Result<Api<BeforeBoot>, ApiError> {
        let deadline = Instant::now() + self.deadlines.short;
        let mut wait = FIRST_WAIT;
        loop {
            let named = self.folder.join(API);
            let connected = match self.folder.socket(API) {
                Ok((_socket, path)) => Api::connect(&path, named, self.deadlines).await,
                Err(source) => Err(ApiError::Connect { socket: named, source }),
            };
            match connected {
                Err(ApiError::Connect { .. }) if Instant::now() < deadline && !self.has_ended() => {}
                connected => return connected,
            }
            self.pause(&mut wait).await;
        }
    }

    /// Connects to the agent, which listens some time after the guest's start.
    async fn connect_agent(&self) -> io::Result<UnixStream> {
        let deadline = Instant::now() + self.patience;
        let mut wait = FIRST_WAIT;
        loop {
            let attempt = tokio::time::timeout(ATTEMPT, self.folder.connect_agent());
            let error = tokio::select! {
                connected = attempt => match connected {
                    Ok(Ok(stream)) => return Ok(stream),
                    Ok(Err(error)) => error,
                    Err(_) => io::Error::new(io::ErrorKind::TimedOut, "it does not answer"),
                },
                () = self.complaints.ended() => io::Error::other("Firecracker has ended"),
            };
            if Instant::now() >= deadline || self.has_ended() {
                return Err(error);
            }
            self.pause(&mut wait).await;
        }
    }

    /// Whether no process of the machine is left.
    fn has_ended(&self) -> bool {
        self.complaints.has_ended()
    }

    /// Waits a little, each time longer, but not for a machine that has ended.
    async fn pause(&self, wait: &mut Duration) {
        tokio::select! {
            () = tokio::time::sleep(*wait) => *wait = (*wait * 2).min(LONGEST_WAIT),
            () = self.complaints.ended() => {}
        }
    }

    /// Writes memory and devices into the folder and copies the disk; the machine stands still.
    async fn save(&mut self, api: &mut Api<Paused>, unfinished: &Unfinished) -> Result<u64, SnapshotError> {
        let refused =
            |error: ApiError| SnapshotError::Refused { operation: "save", reason: describe(&error) };
        let written = |name: &str| {
            let path = self.folder.join(name);
            move |source| SnapshotError::Write { path, source }
        };
        let kind = match self.memory.take() {
            Some(before) => {
                self.begin_with(before).await.map_err(written(NEW_MEMORY))?;
                SnapshotKind::Diff
            }
            None => SnapshotKind::Full,
        };
        let created = api.create_snapshot(config::create(kind)).await;
        created.map_err(refused)?;
        let disk = self.disk.try_clone().map_err(written(config::DISK))?;
        let to = unfinished.path(DISK);
        let copying = tokio::task::spawn_blocking(move || {
            let copied = disk::copy_to(&disk, &to).and_then(|file| {
                file.set_permissions(fs::Permissions::from_mode(0o444))?;
                disk::allocated(&file)
            });
            copied.map_err(|source| SnapshotError::Write { path: to, source })
        });
        copying.await.expect("copying files does not panic")
    }

    /// Makes the file for the memory a copy of the one before.
    async fn begin_with(&self, before: File) -> io::Result<()> {
        let to = self.folder.join(NEW_MEMORY);
        let copying = tokio::task::spawn_blocking(move || disk::copy_to(&before, &to).map(drop));
        copying.await.expect("copying files does not panic")?;
        self.folder.give(NEW_MEMORY)
    }

    /// Takes what Firecracker has written over into the snapshot. The machine runs meanwhile.
    async fn finish(
        &mut self,
        unfinished: Unfinished,
        disk_size: u64,
    ) -> Result<SnapshotSize, SnapshotError> {
        let open = |name: &str| {
            let failed = |source| SnapshotError::Write { path: self.folder.join(name), source };
            Ok((self.folder.open(name).map_err(failed)?, self.folder.join(name)))
        };
        let (devices, memory) = (open(NEW_DEVICES)?, open(NEW_MEMORY)?);
        let mut manifest = self.manifest();
        let disk_path = unfinished.path(DISK);
        let finishing = tokio::task::spawn_blocking(move || {
            let (device_size, devices_length) = take(&devices, &unfinished.path(DEVICES))?;
            let (memory_size, memory_length) = take(&memory, &unfinished.path(MEMORY))?;
            let length = fs::metadata(&disk_path).map(|data| data.len());
            manifest.disk_bytes =
                length.map_err(|source| SnapshotError::Write { path: disk_path, source })?;
            manifest.devices_bytes = devices_length;
            manifest.memory_bytes = Some(memory_length);
            let kept = unfinished.path(MEMORY);
            let kept = File::open(&kept).map_err(|source| SnapshotError::Write { path: kept, source })?;
            unfinished.finish(&manifest)?;
            Ok((snapshot::size(device_size, memory_size, disk_size), kept))
        });
        let (size, kept) = finishing.await.expect("moving files does not panic")?;
        self.memory = Some(kept);
        Ok(size)
    }

    fn manifest(&self) -> Manifest {
        Manifest {
            version: snapshot::VERSION,
            backend: BackendName::Firecracker.to_string(),
            program: self.description.clone(),
            image: self.image.clone(),
            vcpus: self.size.vcpus,
            memory_mib: self.size.memory_mib,
            repository: self.repository.clone(),
            has_network: false,
            devices_bytes: 0,
            memory_bytes: None,
            disk_bytes: 0,
        }
    }

    async fn keep(&mut self, into: &Path) -> Result<SnapshotSize, SnapshotError> {
        let refused =
            |operation| move |error: &ApiError| SnapshotError::Refused { operation, reason: describe(error) };
        let gone = || SnapshotError::Refused {
            operation: "pause",
            reason: "it stands still since an earlier snapshot".to_owned(),
        };
        let unfinished = Unfinished::create(into)?;
        for name in [NEW_DEVICES, NEW_MEMORY] {
            let failed = |source| SnapshotError::Write { path: self.folder.join(name), source };
            self.folder.remove(name).map_err(failed)?;
        }
        let mut api = match self.api.take().ok_or_else(gone)?.pause().await {
            Ok(paused) => paused,
            Err(still) => {
                self.api = Some(still.api);
                return Err(refused("pause")(&still.error));
            }
        };
        let saved = self.save(&mut api, &unfinished).await;
        // Whatever became of the snapshot, the machine goes on.
        match api.resume().await {
            Ok(running) => self.api = Some(running),
            Err(still) => return Err(refused("resume")(&still.error)),
        }
        self.finish(unfinished, saved?).await
    }
}

/// Moves a file that Firecracker has written to its place in a snapshot, without its zeros; returns what it takes and how long it
/// is.
fn take((file, from): &(File, std::path::PathBuf), to: &Path) -> Result<(u64, u64), SnapshotError> {
    let moved = || {
        match fs::rename(from, to) {
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                disk::copy_to(file, to)?;
                fs::remove_file(from)?;
            }
            renamed => renamed?,
        }
        let kept = File::options().read(true).write(true).open(to)?;
        let identity = |data: &fs::Metadata| (data.dev(), data.ino());
        let is_same_file = identity(&kept.metadata()?) == identity(&file.metadata()?);
        if !is_same_file && kept.metadata()?.len() != file.metadata()?.len() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it was exchanged meanwhile"));
        }
        std::os::unix::fs::fchown(
            &kept,
            Some(rustix::process::geteuid().as_raw()),
            Some(rustix::process::getegid().as_raw()),
        )?;
        leave_zeros_out(&kept)?;
        kept.set_permissions(fs::Permissions::from_mode(0o444))?;
        Ok((disk::allocated(&kept)?, kept.metadata()?.len()))
    };
    moved().map_err(|source| SnapshotError::Write { path: to.to_owned(), source })
}

/// Makes holes of blocks that are zero.
fn leave_zeros_out(file: &File) -> io::Result<()> {
    let length = file.metadata()?.len();
    let mut buffer = vec![0; BLOCK];
    let mut position = 0;
    while position < length {
        let Some(start) = disk::next_data(file, position)? else { return Ok(()) };
        position = start / BLOCK as u64 * BLOCK as u64;
        let count = usize::try_from(length - position).unwrap_or(BLOCK).min(BLOCK);
        file.read_exact_at(&mut buffer[..count], position)?;
        if buffer[..count].iter().all(|&byte| byte == 0) {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            match fallocate(file, flags, position, count as u64) {
                // A file system without holes keeps the zeros.
                Err(rustix::io::Errno::OPNOTSUPP) => return Ok(()),
                made => made?,
            }
        }
        position += count as u64;
    }
    Ok(())
}

impl Booted for FirecrackerMachine {
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
        Arc::new(Autopsy {
            process: self.process.handle(),
            console: self.console.clone(),
            complaints: self.complaints.clone(),
            oom_kills: self.oom_kills,
            patience: self.patience,
            observe: Box::new(|_| {}),
        })
    }

    fn arrival(&mut self) -> Option<Arrival> {
        self.arrival.take()
    }

    fn leftovers(&self) -> Vec<Leftover> {
        self.process.leftovers()
    }

    fn breaks_stream(&self) -> bool {
        // The device is reset, so that no restored copy goes on with the connections of this one.
        true
    }

    fn snapshot<'a>(&'a mut self, into: &'a Path) -> BoxFuture<'a, Result<SnapshotSize, SnapshotError>> {
        Box::pin(async move {
            let kept = self.keep(into).await;
            // Without an agent the machine is lost, which whoever asks for the stream finds.
            self.agent = self.connect_agent().await.ok();
            kept
        })
    }

    fn renewed_stream(&mut self) -> Option<ByteStream> {
        let (read, write) = self.agent.take()?.into_split();
        Some(ByteStream { read: Box::new(read), write: Box::new(write) })
    }

    fn stop(self: Box<Self>, _ending: Ending) -> BoxFuture<'static, ()> {
        // A guest that switches itself off does not end Firecracker.
        Box::pin(self.process.stop(true))
    }
}
