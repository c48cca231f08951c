//! What is sent to Firecracker's API, field for field as its OpenAPI document has it, and what is read from its answers.
//!
//! Only what this crate asks for is here: a field that is never sent has no place. Answers may hold more than is read.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `PUT /machine-config`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MachineConfiguration {
    /// Virtual processors: 1, or an even number up to 32.
    pub vcpu_count: u8,
    /// Memory in MiB.
    pub mem_size_mib: u32,
    /// Whether two virtual processors share a core.
    pub smt: bool,
    /// Whether what the guest writes to is tracked, so that [`SnapshotKind::Diff`] is possible.
    pub track_dirty_pages: bool,
}

/// `PUT /boot-source`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BootSource {
    /// An uncompressed ELF kernel.
    pub kernel_image_path: PathBuf,
    /// The first file system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initrd_path: Option<PathBuf>,
    /// The kernel's command line. Firecracker adds what it needs to it.
    pub boot_args: String,
}

/// `PUT /drives/{drive_id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drive {
    /// Letters, digits and `_`.
    pub drive_id: String,
    /// Whether the kernel is told to take it as its root.
    pub is_root_device: bool,
    /// Whether the guest cannot write to it.
    pub is_read_only: bool,
    /// A raw disk.
    pub path_on_host: PathBuf,
    /// What becomes of the guest's wishes to have data on the disk.
    pub cache_type: CacheType,
}

/// What becomes of the guest's wishes to have data on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum CacheType {
    /// They are not advertised: what is written is in the host's memory until the host writes it.
    Unsafe,
    /// They are carried out.
    Writeback,
}

/// `PUT /network-interfaces/{iface_id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NetworkInterface {
    /// Letters, digits and `_`.
    pub iface_id: String,
    /// The guest's hardware address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guest_mac: Option<String>,
    /// The tap device, in the network namespace of Firecracker.
    pub host_dev_name: String,
}

/// `PUT /vsock`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Vsock {
    /// The guest's context identifier, 3 or more.
    pub guest_cid: u32,
    /// The socket that Firecracker makes for connections to the guest.
    pub uds_path: PathBuf,
}

/// `PUT /entropy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct EntropyDevice {}

/// `PUT /balloon`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Balloon {
    /// Memory in MiB that the guest is to give back.
    pub amount_mib: u32,
    /// Whether the guest may take it again before it kills processes for lack of memory.
    pub deflate_on_oom: bool,
    /// How often the guest reports on its memory, in seconds; 0 is never.
    pub stats_polling_interval_s: u16,
}

/// `PATCH /balloon`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BalloonUpdate {
    /// Memory in MiB that the guest is to give back.
    pub amount_mib: u32,
}

/// `PATCH /balloon/statistics`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BalloonStatisticsUpdate {
    /// How often the guest reports, in seconds. Not 0: reports cannot be turned on or off after the boot.
    pub stats_polling_interval_s: u16,
}

/// `PUT /metrics`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Metrics {
    /// A file that is there.
    pub metrics_path: PathBuf,
}

/// `PUT /logger`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Logger {
    /// The file to write to.
    pub log_path: PathBuf,
    /// What is written.
    pub level: LogLevel,
}

/// What Firecracker logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum LogLevel {
    /// What failed.
    Error,
    /// What may matter, and the above.
    Warning,
    /// What happened, and the above.
    Info,
}

/// `PUT /snapshot/create`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SnapshotCreate {
    /// What of the memory is written.
    pub snapshot_type: SnapshotKind,
    /// The file for the state of the processors and devices.
    pub snapshot_path: PathBuf,
    /// The file for the memory.
    pub mem_file_path: PathBuf,
}

/// What of the memory a snapshot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum SnapshotKind {
    /// All of it.
    Full,
    /// What was written to since the snapshot before; the rest of the file stays as it is, or is a hole.
    Diff,
}

/// `PUT /snapshot/load`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SnapshotLoad {
    /// The state of the processors and devices.
    pub snapshot_path: PathBuf,
    /// Where the memory comes from.
    pub mem_backend: MemoryBackend,
    /// As in [`MachineConfiguration`].
    pub track_dirty_pages: bool,
    /// Whether the machine runs at once.
    pub resume_vm: bool,
    /// Tap devices that have other names than when the snapshot was made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub network_overrides: Vec<NetworkOverride>,
}

/// Where the memory of a snapshot comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MemoryBackend {
    /// What it is.
    pub backend_type: MemoryBackendType,
    /// Its path.
    pub backend_path: PathBuf,
}

/// What the memory of a snapshot comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum MemoryBackendType {
    /// A file, which is mapped private: pages are read when they are used, and writes stay in this process.
    File,
}

/// A tap device that has another name than when the snapshot was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NetworkOverride {
    /// The interface.
    pub iface_id: String,
    /// The tap device now.
    pub host_dev_name: String,
}

/// `PATCH /vm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Vm {
    pub(super) state: VmState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) enum VmState {
    Paused,
    Resumed,
}

/// `PUT /actions`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct InstanceActionInfo {
    pub(super) action_type: ActionType,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) enum ActionType {
    FlushMetrics,
    InstanceStart,
    SendCtrlAltDel,
}

/// The answer to `GET /version`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct FirecrackerVersion {
    pub(super) firecracker_version: String,
}

/// The answer to `GET /`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct InstanceInfo {
    /// What was given as `--id`.
    pub id: String,
    /// How far it is.
    pub state: InstanceState,
    /// Firecracker's version.
    pub vmm_version: String,
}

/// How far a machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum InstanceState {
    /// Nothing runs yet.
    #[serde(rename = "Not started")]
    NotStarted,
    /// The guest runs.
    Running,
    /// The guest stands still.
    Paused,
}

/// The answer to `GET /balloon/statistics`; sizes are in bytes, where the guest has said them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct BalloonStatistics {
    /// Memory in MiB that the guest is to give back.
    pub target_mib: u32,
    /// Memory in MiB that it has given back.
    pub actual_mib: u32,
    /// Memory that the guest uses for nothing.
    pub free_memory: Option<u64>,
    /// All memory that the guest has.
    pub total_memory: Option<u64>,
    /// Memory that new processes may have before the guest swaps.
    pub available_memory: Option<u64>,
}

/// The body of an answer that tells of a failure.
#[derive(Debug, Deserialize)]
pub(super) struct Fault {
    pub(super) fault_message: String,
}
