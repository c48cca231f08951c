//! A client of Firecracker's API.
//!
//! What may be asked depends on how far the machine is, and that is part of the client's type:
//!
//! ```text
//!            configure, start            pause
//! BeforeBoot ----------------> Running --------> Paused --> make snapshots
//!     |            load snapshot         <--------   ^
//!     +-------------------------------------resume---+
//! ```
//!
//! A step from one phase to the next takes the client and gives back another; one that failed gives it back with the
//! error. A process that was told to load a snapshot and failed is of no more use, so there nothing comes back.
//!
//! Invariants: every answer is bounded in size and time; what Firecracker says is data for a person and decides nothing;
//! a version that is not supported is refused before anything is configured.

mod action;
mod bodies;
mod client;
mod version;

use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;

pub use bodies::{
    Balloon, BalloonStatistics, BalloonStatisticsUpdate, BalloonUpdate, BootSource, CacheType, Drive,
    EntropyDevice, InstanceInfo, InstanceState, LogLevel, Logger, MachineConfiguration, MemoryBackend,
    MemoryBackendType, Metrics, NetworkInterface, NetworkOverride, SnapshotCreate, SnapshotKind,
    SnapshotLoad, Vsock,
};
pub use version::{NoVersion, Version};

use action::Action;
use bodies::FirecrackerVersion;
use client::Client;

/// Nothing runs yet: the machine is being put together.
#[derive(Debug)]
pub struct BeforeBoot(());

/// The guest runs.
#[derive(Debug)]
pub struct Running(());

/// The guest stands still.
#[derive(Debug)]
pub struct Paused(());

/// How long answers may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// For what is done at once.
    pub short: Duration,
    /// For what reads or writes a machine's memory.
    pub long: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self { short: Duration::from_secs(20), long: Duration::from_secs(180) }
    }
}

/// A connection to one Firecracker whose machine is in the phase `P`.
#[derive(Debug)]
pub struct Api<P> {
    client: Client,
    version: Version,
    phase: PhantomData<P>,
}

/// A step to another phase that failed.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct StillIn<P: std::fmt::Debug> {
    /// The client, in the phase that it was in.
    pub api: Api<P>,
    /// Why.
    #[source]
    pub error: ApiError,
}

/// Why Firecracker did not do what it was asked for. `action` says what that was.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant explains its fields")]
pub enum ApiError {
    /// Nobody answers at its socket.
    #[error("cannot connect to Firecracker at `{}`", socket.display())]
    Connect {
        socket: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The connection failed before the first request.
    #[error("cannot talk to Firecracker at `{}`", socket.display())]
    Handshake {
        socket: PathBuf,
        #[source]
        source: hyper::Error,
    },
    /// Firecracker found the request wrong, and says why.
    #[error("Firecracker refused to {action}: {fault}")]
    Refused { action: String, fault: String },
    /// Firecracker could not do it, and says why.
    #[error("Firecracker failed to {action} (status {status}): {fault}")]
    Failed { action: String, status: u16, fault: String },
    /// No answer in time.
    #[error("Firecracker did not {action} within {seconds} seconds")]
    Silent { action: String, seconds: u64 },
    /// The connection ended, or what came over it is no HTTP.
    #[error("the connection to Firecracker broke when it was to {action}")]
    Broken {
        action: String,
        #[source]
        source: hyper::Error,
    },
    /// The answer is longer than any that Firecracker has.
    #[error("Firecracker's answer when it was to {action} is longer than {limit} bytes")]
    Oversized { action: String, limit: usize },
    /// The answer cannot be understood.
    #[error("Firecracker's answer when it was to {action} cannot be understood: {reason}")]
    Garbage { action: String, reason: String },
    /// It is of a version that is not supported.
    #[error("Firecracker {found} is not supported, only {supported}", supported = Version::supported())]
    Version { found: Version },
}

impl Api<BeforeBoot> {
    /// Connects to a Firecracker that has just been started and asks for its version. `socket` is how its socket is reached,
    /// `named` what an error calls it.
    pub async fn connect(socket: &Path, named: PathBuf, deadlines: Deadlines) -> Result<Self, ApiError> {
        let mut client = Client::connect(socket, named, deadlines).await?;
        let answer: FirecrackerVersion = get(&mut client, &Action::GetVersion).await?;
        let garbage = |reason: NoVersion| ApiError::Garbage {
            action: Action::GetVersion.to_string(),
            reason: reason.to_string(),
        };
        let found: Version = answer.firecracker_version.parse().map_err(garbage)?;
        if !found.is_supported() {
            return Err(ApiError::Version { found });
        }
        Ok(Self { client, version: found, phase: PhantomData })
    }

    /// Sets the machine's size.
    pub async fn put_machine_configuration(&mut self, body: MachineConfiguration) -> Result<(), ApiError> {
        self.act(Action::PutMachineConfiguration(body)).await
    }

    /// Sets the kernel.
    pub async fn put_boot_source(&mut self, body: BootSource) -> Result<(), ApiError> {
        self.act(Action::PutBootSource(body)).await
    }

    /// Adds a drive.
    pub async fn put_drive(&mut self, body: Drive) -> Result<(), ApiError> {
        self.act(Action::PutDrive(body)).await
    }

    /// Adds a network interface.
    pub async fn put_network_interface(&mut self, body: NetworkInterface) -> Result<(), ApiError> {
        self.act(Action::PutNetworkInterface(body)).await
    }

    /// Adds the vsock device.
    pub async fn put_vsock(&mut self, body: Vsock) -> Result<(), ApiError> {
        self.act(Action::PutVsock(body)).await
    }

    /// Adds the entropy device.
    pub async fn put_entropy(&mut self) -> Result<(), ApiError> {
        self.act(Action::PutEntropy).await
    }

    /// Adds the balloon.
    pub async fn put_balloon(&mut self, body: Balloon) -> Result<(), ApiError> {
        self.act(Action::PutBalloon(body)).await
    }

    /// Says where metrics go. Possible once.
    pub async fn put_metrics(&mut self, body: Metrics) -> Result<(), ApiError> {
        self.act(Action::PutMetrics(body)).await
    }

    /// Says where the log goes.
    pub async fn put_logger(&mut self, body: Logger) -> Result<(), ApiError> {
        self.act(Action::PutLogger(body)).await
    }

    /// Starts the machine.
    pub async fn start(self) -> Result<Api<Running>, StillIn<BeforeBoot>> {
        self.step(Action::InstanceStart).await
    }

    /// Makes the machine of a snapshot, which stands still. Nothing but the log and the metrics may have been set before.
    pub async fn load_snapshot(self, body: SnapshotLoad) -> Result<Api<Paused>, ApiError> {
        let body = SnapshotLoad { resume_vm: false, ..body };
        self.step(Action::LoadSnapshot(body)).await.map_err(|still| still.error)
    }

    /// Makes the machine of a snapshot and lets it go on. Nothing but the log and the metrics may have been set before.
    pub async fn load_and_resume(self, body: SnapshotLoad) -> Result<Api<Running>, ApiError> {
        let body = SnapshotLoad { resume_vm: true, ..body };
        self.step(Action::LoadSnapshot(body)).await.map_err(|still| still.error)
    }
}

impl Api<Running> {
    /// Stops the guest's processors.
    pub async fn pause(self) -> Result<Api<Paused>, StillIn<Running>> {
        self.step(Action::Pause).await
    }

    /// Presses Ctrl-Alt-Del, at which a guest that listens restarts, and Firecracker ends.
    pub async fn send_ctrl_alt_del(&mut self) -> Result<(), ApiError> {
        self.act(Action::SendCtrlAltDel).await
    }
}

impl Api<Paused> {
    /// Lets the guest go on.
    pub async fn resume(self) -> Result<Api<Running>, StillIn<Paused>> {
        self.step(Action::Resume).await
    }

    /// Writes the machine's memory and state to files.
    pub async fn create_snapshot(&mut self, body: SnapshotCreate) -> Result<(), ApiError> {
        self.act(Action::CreateSnapshot(body)).await
    }
}

/// The phases after the boot.
pub trait AfterBoot: private::Sealed {}

impl AfterBoot for Running {}
impl AfterBoot for Paused {}

mod private {
    pub trait Sealed {}
    impl Sealed for super::Running {}
    impl Sealed for super::Paused {}
}

impl<P: AfterBoot> Api<P> {
    /// Asks the guest to give memory back, or lets it have some again.
    pub async fn patch_balloon(&mut self, body: BalloonUpdate) -> Result<(), ApiError> {
        self.act(Action::PatchBalloon(body)).await
    }

    /// What the guest last said about its memory. Only for a balloon that was made with an interval.
    pub async fn balloon_statistics(&mut self) -> Result<BalloonStatistics, ApiError> {
        get(&mut self.client, &Action::GetBalloonStatistics).await
    }

    /// Sets how often the guest reports on its memory.
    pub async fn patch_balloon_statistics(&mut self, body: BalloonStatisticsUpdate) -> Result<(), ApiError> {
        self.act(Action::PatchBalloonStatistics(body)).await
    }

    /// Writes the metrics to their file.
    pub async fn flush_metrics(&mut self) -> Result<(), ApiError> {
        self.act(Action::FlushMetrics).await
    }
}

impl<P> Api<P> {
    /// The version of this Firecracker.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// What Firecracker says about the machine.
    pub async fn describe_instance(&mut self) -> Result<InstanceInfo, ApiError> {
        get(&mut self.client, &Action::DescribeInstance).await
    }

    async fn act(&mut self, action: Action) -> Result<(), ApiError> {
        self.client.send(&action).await.map(drop)
    }

    async fn step<Next>(mut self, action: Action) -> Result<Api<Next>, StillIn<P>>
    where
        P: std::fmt::Debug,
    {
        match self.act(action).await {
            Ok(()) => Ok(Api { client: self.client, version: self.version, phase: PhantomData }),
            Err(error) => Err(StillIn { api: self, error }),
        }
    }
}

async fn get<T: DeserializeOwned>(client: &mut Client, action: &Action) -> Result<T, ApiError> {
    let body = client.send(action).await?;
    serde_json::from_slice(&body)
        .map_err(|error| ApiError::Garbage { action: action.to_string(), reason: error.to_string() })
}
