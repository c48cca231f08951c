//! What every machine can do, whatever made it.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use guest::protocol::{
    Exec, FRAME_COST, FileWrite, Found, MAX_CHUNK, Placement, Request, Stdin, TAR_PIPELINE,
};
use network::Refusals;

use crate::backend::{
    Arrival, Backend, BackendName, BootError, Booted, ByteStream, Ending, PostMortem, SnapshotError,
    SnapshotSize,
};
use crate::connection::{Budget, Connection, Detached, Event, Pending, unexpected};
use crate::contents;
use crate::leftovers::Leftover;
use crate::process::Process;
use crate::spec::{MachineSpec, Place};

/// How long the agent may take to kill everything when the machine is stopped.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(15);

/// Most file content that goes into one request, in bytes; the rest of a frame is for names.
const MAX_WRITE: usize = 512 * 1024;

/// A running machine. All methods may be called at the same time.
pub struct Machine {
    backend: BackendName,
    connection: Connection,
    booted: tokio::sync::Mutex<Option<Box<dyn Booted>>>,
    has_snapshots: bool,
    refusals: Option<Refusals>,
    leftovers: Vec<Leftover>,
    host_folders: Vec<(&'static str, PathBuf)>,
    post_mortem: Arc<dyn PostMortem>,
    paths: Vec<(Place, String)>,
    environment: Vec<(String, String)>,
    started: Instant,
}

/// Why a machine did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MachineError {
    /// The machine is gone, or its agent cannot be understood.
    #[error("the machine was lost: {reason}")]
    Lost {
        /// What happened.
        reason: String,
    },
    /// The agent could not do it.
    #[error("cannot {operation}: {message}")]
    Failed {
        /// What was asked for, with its subject.
        operation: String,
        /// What the system inside the machine said.
        message: String,
    },
    /// The request cannot be sent.
    #[error("the request does not fit: {message}")]
    Request {
        /// What is wrong with it.
        message: String,
    },
    /// The host's end of an archive failed.
    #[error("cannot {operation} the archive on the host: {message}")]
    Archive {
        /// `read` or `write`.
        operation: &'static str,
        /// What the system said.
        message: String,
    },
}

/// A file to write into a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileToWrite {
    /// Absolute path in the machine; parents are created.
    pub path: String,
    /// The whole content.
    pub data: Vec<u8>,
    /// Permission bits, such as `0o644`.
    pub mode: u32,
}

/// What a machine used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// From the start to the stop of the machine.
    pub wall: Duration,
    /// CPU time in user mode of the processes in it.
    pub user: Duration,
    /// CPU time in the kernel of the processes in it.
    pub system: Duration,
    /// The most memory that any one process in it held, in KiB.
    pub peak_kib: u64,
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Machine").field("backend", &self.backend).field("paths", &self.paths).finish()
    }
}

impl Machine {
    /// Makes a machine and greets its agent.
    pub async fn start(backend: &dyn Backend, spec: &MachineSpec) -> Result<Self, BootError> {
        let started = Instant::now();
        let booted = backend.boot(spec).await?;
        Self::greet(backend, booted, started).await
    }

    /// Makes a machine that goes on from the snapshot in a folder, and greets its agent anew. Processes that ran when it was
    /// kept run on; their output is lost.
    pub async fn restore(
        backend: &dyn Backend,
        spec: &MachineSpec,
        snapshot: &Path,
    ) -> Result<Self, BootError> {
        let started = Instant::now();
        let booted = backend.restore(spec, snapshot).await?;
        Self::greet(backend, booted, started).await
    }

    async fn greet(
        backend: &dyn Backend,
        mut booted: Box<dyn Booted>,
        started: Instant,
    ) -> Result<Self, BootError> {
        let post_mortem = booted.post_mortem();
        let connection = match Connection::open(booted.stream(), Arc::clone(&post_mortem)).await {
            Ok(connection) => connection,
            Err(reason) => {
                booted.stop(Ending::Unknown).await;
                let remedy = backend.remedy().map(|remedy| format!("; {remedy}")).unwrap_or_default();
                let reason = reason + &remedy;
                return Err(BootError::NoAgent { reason });
            }
        };
        let arrival = booted.arrival();
        let machine = Self {
            backend: backend.name(),
            connection,
            paths: Place::ALL.into_iter().map(|place| (place, booted.path_of(place))).collect(),
            environment: booted.environment(),
            leftovers: booted.leftovers(),
            host_folders: booted.host_folders(),
            refusals: booted.refusals(),
            post_mortem,
            booted: tokio::sync::Mutex::new(Some(booted)),
            has_snapshots: backend.has_snapshots(),
            started,
        };
        let Some(arrival) = arrival else { return Ok(machine) };
        match machine.arrive(arrival).await {
            Ok(()) => Ok(machine),
            Err(error) => {
                machine.stop().await;
                Err(error)
            }
        }
    }

    async fn arrive(&self, arrival: Arrival) -> Result<(), BootError> {
        let failed = |error: MachineError| BootError::NoAgent { reason: error.to_string() };
        let configuration = Box::new(arrival.configuration);
        let make = |id| Request::Configure { id, configuration };
        self.connection.request(Budget::SHORT, make).map_err(failed)?.done().await.map_err(failed)?;
        for (copied, destination) in arrival.contents {
            contents::put(self, copied, destination).await?;
        }
        Ok(())
    }

    /// Where what its network refuses is collected; none for a machine whose network refuses nothing.
    pub fn refusals(&self) -> Option<&Refusals> {
        self.refusals.as_ref()
    }

    /// Whether [`Machine::snapshot`] is possible.
    pub fn has_snapshots(&self) -> bool {
        self.has_snapshots
    }

    /// Keeps the machine's memory, devices and disk in the folder `into`, which is made, and lets it go on. Some backends close the
    /// connection to the agent for it: processes that run then are [`MachineError::Lost`], and run on unheard.
    pub async fn snapshot(&self, into: &Path) -> Result<SnapshotSize, SnapshotError> {
        let refused = |reason| SnapshotError::Refused { operation: "pause", reason };
        let held = self.connection.hold().await.map_err(|error| refused(error.to_string()))?;
        let mut booted = self.booted.lock().await;
        let Some(booted) = booted.as_mut() else { return Err(refused("it has been stopped".to_owned())) };
        let detached = booted.breaks_stream().then(|| self.connection.detach());
        let taken = booted.snapshot(into).await;
        if let Some(detached) = detached {
            self.attach_again(detached, booted.renewed_stream()).await;
        }
        drop(held);
        taken
    }

    async fn attach_again(&self, detached: Detached, stream: Option<ByteStream>) {
        let post_mortem = Arc::clone(&self.post_mortem);
        let attached = match stream {
            Some(stream) => self.connection.attach(detached, stream, post_mortem).await,
            None => Err(post_mortem.examine("it did not answer after a snapshot".to_owned()).await),
        };
        if let Err(reason) = attached {
            self.connection.close(&reason);
        }
    }

    /// What of it is left on the host, besides its folder, if this process is killed.
    pub fn leftovers(&self) -> &[Leftover] {
        &self.leftovers
    }

    /// What the machine's own kernel last killed for want of memory, if it did and the backend knows: why a process may have ended by
    /// a signal that nobody sent.
    pub fn out_of_memory(&self) -> Option<String> {
        self.post_mortem.out_of_memory()
    }

    /// Waits until the machine is lost or has been stopped; says why.
    pub async fn lost(&self) -> String {
        self.connection.lost().await
    }

    /// The folders of the host that hold all of the machine's own files, by names that are the same for each machine of its
    /// backend; none where they are elsewhere. What runs in the machine may change them at any time, and put links into them.
    pub fn host_folders(&self) -> &[(&'static str, PathBuf)] {
        &self.host_folders
    }

    /// The backend that made it.
    pub fn backend(&self) -> BackendName {
        self.backend
    }

    /// Where a place is, as an absolute path inside the machine.
    pub fn path(&self, place: Place) -> &str {
        let found = self.paths.iter().find(|(known, _)| *known == place);
        &found.expect("every place has a path").1
    }

    /// The environment that processes should start from: `PATH`, `HOME`, where tools are. Nothing adds it by itself.
    pub fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// Starts a process; returns once it runs. A program or folder that is missing is [`MachineError::Failed`].
    pub async fn exec(&self, exec: Exec) -> Result<Process, MachineError> {
        let is_fed = exec.stdin == Stdin::Stream;
        let mut pending = self.connection.request(Budget::WINDOWED, |id| Request::Exec { id, exec })?;
        match pending.next().await {
            Event::Started => Ok(Process::new(pending, is_fed)),
            other => Err(failure(other)),
        }
    }

    /// Writes files, in their order, creating parents.
    pub async fn write_files(&self, files: Vec<FileToWrite>) -> Result<(), MachineError> {
        let mut batch = Vec::new();
        let mut size = 0;
        for file in files {
            let mut placement = Placement::Replace;
            let mut data = file.data;
            loop {
                let rest = if data.len() > MAX_WRITE { data.split_off(MAX_WRITE) } else { Vec::new() };
                let cost = data.len() + file.path.len() + FRAME_COST as usize;
                if size + cost > MAX_WRITE && !batch.is_empty() {
                    self.write_batch(std::mem::take(&mut batch)).await?;
                    size = 0;
                }
                size += cost;
                batch.push(FileWrite {
                    path: file.path.clone(),
                    data: data.into(),
                    mode: file.mode,
                    placement,
                });
                if rest.is_empty() {
                    break;
                }
                (data, placement) = (rest, Placement::Append);
            }
        }
        if batch.is_empty() { Ok(()) } else { self.write_batch(batch).await }
    }

    async fn write_batch(&self, files: Vec<FileWrite>) -> Result<(), MachineError> {
        self.connection.request(Budget::SHORT, |id| Request::WriteFiles { id, files })?.done().await
    }

    /// Reads regular files; `None` for one that is missing, an error that names it for one over `max_bytes`.
    pub async fn read_files(
        &self,
        paths: Vec<String>,
        max_bytes: u64,
    ) -> Result<Vec<Option<Vec<u8>>>, MachineError> {
        let count = paths.len();
        let mut files: Vec<Option<Vec<u8>>> = vec![None; count];
        let frames = max_bytes / MAX_CHUNK as u64 + 4;
        let each = max_bytes.saturating_add(frames.saturating_mul(u64::from(FRAME_COST)));
        let budget = Budget(each.saturating_mul(count as u64).saturating_add(Budget::SHORT.0));
        let make = |id| Request::ReadFiles { id, paths, max_bytes };
        let mut pending = self.connection.request(budget, make)?;
        loop {
            let event = pending.next().await;
            let index = match &event {
                Event::Data(index, _) | Event::File(index, _) => *index as usize,
                Event::Done => return Ok(files),
                _ => return Err(failure(event)),
            };
            let Some(file) = files.get_mut(index) else { return Err(unexpected(&event)) };
            match event {
                Event::Data(_, bytes) => file.get_or_insert_default().extend_from_slice(&bytes),
                Event::File(_, Found::Read) => {
                    file.get_or_insert_default();
                }
                _ => *file = None,
            }
        }
    }

    /// Where programs are on a search path inside the machine; one answer a name.
    pub async fn which(&self, names: Vec<String>, path: String) -> Result<Vec<Option<String>>, MachineError> {
        let pending = self.connection.request(Budget::SHORT, |id| Request::Which { id, names, path })?;
        match pending.answer().await? {
            Event::Paths(paths) => Ok(paths),
            other => Err(unexpected(&other)),
        }
    }

    /// The hash of the files below `root` that match `patterns`, as `hashFiles` makes it; empty when none does.
    pub async fn hash(&self, root: String, patterns: Vec<String>) -> Result<String, MachineError> {
        let pending = self.connection.request(Budget::SHORT, |id| Request::Hash { id, root, patterns })?;
        match pending.answer().await? {
            Event::Hashed(hash) => Ok(hash),
            other => Err(unexpected(&other)),
        }
    }

    /// Unpacks a tar archive, read from `archive` on the host, into a folder of the machine.
    pub async fn put(
        &self,
        destination: String,
        archive: impl Read + Send + 'static,
    ) -> Result<(), MachineError> {
        let mut pending =
            self.connection.request(Budget::WINDOWED, |id| Request::PutTar { id, destination })?;
        let mut archive = Some(archive);
        let mut ahead = 0;
        loop {
            if ahead == TAR_PIPELINE || archive.is_none() {
                match pending.next().await {
                    Event::Taken => ahead -= 1,
                    Event::Done => return Ok(()),
                    other => return Err(failure(other)),
                }
                continue;
            }
            let source = archive.take().expect("the archive has not ended");
            let (read, source) = read_chunk(source).await;
            let data = read.map_err(|error| archive_error("read", &error))?;
            archive = (!data.is_empty()).then_some(source);
            pending.send_part(&Request::TarChunk { id: pending.id, data: data.into() })?;
            ahead += 1;
        }
    }

    /// Packs the folder `root` of the machine, or only `entries` of it, as a tar archive that is written to `archive`.
    pub async fn get(
        &self,
        root: String,
        entries: Vec<String>,
        mut archive: impl Write + Send,
    ) -> Result<(), MachineError> {
        let make = |id| Request::GetTar { id, root, entries };
        let mut pending: Pending = self.connection.request(Budget::WINDOWED, make)?;
        loop {
            match pending.next().await {
                Event::Data(_, bytes) => {
                    archive.write_all(&bytes).map_err(|error| archive_error("write", &error))?;
                    pending.grant(u32::try_from(bytes.len()).expect("a frame fits in 32 bits") + FRAME_COST);
                }
                Event::Done => return archive.flush().map_err(|error| archive_error("write", &error)),
                other => return Err(failure(other)),
            }
        }
    }

    /// Kills everything in the machine and ends it. Its private files are removed meanwhile and afterwards, see
    /// [`crate::scratch::wait_for_removals`]. The second call does nothing.
    pub async fn stop(&self) -> Usage {
        let booted = self.booted.lock().await.take();
        let Some(booted) = booted else { return Usage::default() };
        let mut usage = Usage { wall: self.started.elapsed(), ..Usage::default() };
        let mut ending = Ending::Unknown;
        let asked = self.connection.request(Budget::SHORT, |id| Request::Shutdown { id });
        if let Ok(pending) = asked
            && let Ok(Ok(Event::Usage(used))) =
                tokio::time::timeout(SHUTDOWN_DEADLINE, pending.answer()).await
        {
            ending = Ending::Killed;
            usage.user = Duration::from_micros(used.user_microseconds);
            usage.system = Duration::from_micros(used.system_microseconds);
            usage.peak_kib = used.peak_kib;
        }
        self.connection.close("it was stopped");
        booted.stop(ending).await;
        usage
    }
}

fn archive_error(operation: &'static str, error: &std::io::Error) -> MachineError {
    MachineError::Archive { operation, message: error.to_string() }
}

async fn read_chunk<R: Read + Send + 'static>(mut source: R) -> (std::io::Result<Vec<u8>>, R) {
    let reading = tokio::task::spawn_blocking(move || {
        let mut data = Vec::with_capacity(MAX_CHUNK);
        let read = source.by_ref().take(MAX_CHUNK as u64).read_to_end(&mut data).map(|_| data);
        (read, source)
    });
    reading.await.expect("reading an archive does not panic")
}

/// The error in an event that ends a request.
fn failure(event: Event) -> MachineError {
    match event {
        Event::Failed(operation, message) => MachineError::Failed { operation, message },
        Event::Lost(reason) => MachineError::Lost { reason: reason.to_string() },
        other => unexpected(&other),
    }
}
