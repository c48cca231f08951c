//! The client of Firecracker's API against the fake, in every phase, and with every way an answer can be wrong.

#![expect(clippy::unwrap_used, reason = "its helpers are as much tests as the tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use machine::firecracker::api::{
    Api, ApiError, Balloon, BalloonStatisticsUpdate, BalloonUpdate, BeforeBoot, BootSource, CacheType,
    Deadlines, Drive, InstanceState, LogLevel, Logger, MachineConfiguration, MemoryBackend,
    MemoryBackendType, Metrics, NetworkInterface, Running, SnapshotCreate, SnapshotKind, SnapshotLoad, Vsock,
};

use crate::fake::{Fake, empty_disk};

/// A Firecracker in a folder that has what a machine needs.
struct Started {
    fake: Fake,
    process: Child,
    folder: PathBuf,
}

impl Started {
    fn new(sabotage: &str) -> Self {
        let fake = Fake::new(sabotage);
        let folder = fake.path().join("machine");
        fs::create_dir(&folder).unwrap();
        let process = run(&fake, &folder);
        Self { fake, process, folder }
    }

    fn again(&self, name: &str) -> Self {
        let fake = Fake::new("");
        let folder = fake.path().join(name);
        fs::create_dir(&folder).unwrap();
        for file in ["memory", "state", "root.ext4", "disk.raw"] {
            fs::copy(self.folder.join(file), folder.join(file)).unwrap();
        }
        let process = run(&fake, &folder);
        Self { fake, process, folder }
    }

    async fn api(&self) -> Result<Api<BeforeBoot>, ApiError> {
        let socket = self.folder.join("api.sock");
        let deadlines = Deadlines { short: Duration::from_secs(5), long: Duration::from_secs(60) };
        loop {
            match Api::connect(&socket, socket.clone(), deadlines).await {
                Err(ApiError::Connect { .. }) => tokio::task::yield_now().await,
                connected => return connected,
            }
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn run(fake: &Fake, folder: &Path) -> Child {
    fs::write(folder.join("vmlinux"), b"\x7fELF kernel").unwrap();
    fs::write(folder.join("initrd"), "").unwrap();
    fs::write(folder.join("metrics.json"), "").unwrap();
    for name in ["root.ext4", "disk.raw"] {
        if !folder.join(name).exists() {
            empty_disk(&folder.join(name));
        }
    }
    let mut command = Command::new(fake.firecracker());
    command.args(["--api-sock", "api.sock", "--id", "test-1"]).current_dir(folder).env_clear();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn drive(name: &str, path: &str, is_read_only: bool) -> Drive {
    Drive {
        drive_id: name.to_owned(),
        is_root_device: false,
        is_read_only,
        path_on_host: PathBuf::from(path),
        cache_type: CacheType::Unsafe,
    }
}

fn size() -> MachineConfiguration {
    MachineConfiguration { vcpu_count: 1, mem_size_mib: 128, smt: false, track_dirty_pages: true }
}

fn boot_source() -> BootSource {
    BootSource {
        kernel_image_path: PathBuf::from("vmlinux"),
        initrd_path: Some(PathBuf::from("initrd")),
        boot_args: "rdinit=/init firedog.vsock=1024".to_owned(),
    }
}

fn balloon() -> Balloon {
    Balloon { amount_mib: 0, deflate_on_oom: true, stats_polling_interval_s: 1 }
}

async fn configured(started: &Started) -> Result<Api<BeforeBoot>, ApiError> {
    let mut api = started.api().await?;
    let logger = Logger { log_path: PathBuf::from("log"), level: LogLevel::Warning };
    api.put_logger(logger).await?;
    api.put_metrics(Metrics { metrics_path: PathBuf::from("metrics.json") }).await?;
    api.put_machine_configuration(size()).await?;
    api.put_boot_source(boot_source()).await?;
    api.put_drive(drive("vda", "root.ext4", true)).await?;
    api.put_drive(drive("vdb", "disk.raw", false)).await?;
    api.put_vsock(Vsock { guest_cid: 3, uds_path: PathBuf::from("vsock.sock") }).await?;
    api.put_entropy().await?;
    api.put_balloon(balloon()).await?;
    let interface = NetworkInterface {
        iface_id: "eth0".to_owned(),
        guest_mac: Some("06:00:00:00:00:01".to_owned()),
        host_dev_name: "tap0".to_owned(),
    };
    api.put_network_interface(interface).await?;
    Ok(api)
}

fn create(snapshot_type: SnapshotKind) -> SnapshotCreate {
    SnapshotCreate {
        snapshot_type,
        snapshot_path: PathBuf::from("state"),
        mem_file_path: PathBuf::from("memory"),
    }
}

fn load() -> SnapshotLoad {
    SnapshotLoad {
        snapshot_path: PathBuf::from("state"),
        mem_backend: MemoryBackend {
            backend_type: MemoryBackendType::File,
            backend_path: PathBuf::from("memory"),
        },
        track_dirty_pages: true,
        resume_vm: true,
        network_overrides: Vec::new(),
    }
}

/// All that a machine that runs can be asked, with a snapshot.
async fn used(mut api: Api<Running>) -> Result<Api<Running>, ApiError> {
    api.patch_balloon_statistics(BalloonStatisticsUpdate { stats_polling_interval_s: 2 }).await?;
    api.patch_balloon(BalloonUpdate { amount_mib: 16 }).await?;
    assert_eq!(api.balloon_statistics().await?.target_mib, 16);
    api.flush_metrics().await?;
    api.send_ctrl_alt_del().await?;
    let mut api = api.pause().await.map_err(|still| still.error)?;
    assert_eq!(api.describe_instance().await?.state, InstanceState::Paused);
    api.create_snapshot(create(SnapshotKind::Full)).await?;
    api.create_snapshot(create(SnapshotKind::Diff)).await?;
    api.resume().await.map_err(|still| still.error)
}

async fn whole(started: &Started) -> Result<Api<Running>, ApiError> {
    let mut api = configured(started).await?;
    assert_eq!(api.describe_instance().await?.state, InstanceState::NotStarted);
    used(api.start().await.map_err(|still| still.error)?).await
}

#[tokio::test]
async fn a_machine_is_put_together_started_kept_and_made_again() {
    if !crate::fake::can_run() {
        return;
    }
    let started = Started::new("");
    let mut api = whole(&started).await.unwrap();
    assert_eq!(api.describe_instance().await.unwrap().id, "test-1");
    assert!(api.version().is_supported());
    let again = started.again("again");
    let mut paused = again.api().await.unwrap().load_snapshot(load()).await.unwrap();
    assert_eq!(paused.describe_instance().await.unwrap().state, InstanceState::Paused);
    paused.resume().await.unwrap();
    let third = started.again("third");
    let mut running = third.api().await.unwrap().load_and_resume(load()).await.unwrap();
    assert_eq!(running.describe_instance().await.unwrap().state, InstanceState::Running);
}

/// What the first request that fails says, when `request` of a whole use of a machine goes as `sabotage` says.
async fn failure(request: &str, sabotage: &str) -> String {
    let started = Started::new(&format!("{request} {sabotage}"));
    let error = match whole(&started).await {
        Ok(_) if request.ends_with("load") => {
            started.fake.sabotage("");
            let again = started.again("again");
            again.fake.sabotage(&format!("{request} {sabotage}"));
            again.api().await.unwrap().load_and_resume(load()).await.unwrap_err()
        }
        result => result.unwrap_err(),
    };
    error.to_string()
}

const REQUESTS: [(&str, &str); 18] = [
    ("GET /version", "ask for the version"),
    ("GET /", "ask for the state"),
    ("PUT /logger", "set the log"),
    ("PUT /metrics", "set the file for metrics"),
    ("PUT /machine-config", "set the size"),
    ("PUT /boot-source", "set the kernel"),
    ("PUT /drives/vda", "add the drive `vda`"),
    ("PUT /drives/vdb", "add the drive `vdb`"),
    ("PUT /vsock", "add the vsock device"),
    ("PUT /entropy", "add the entropy device"),
    ("PUT /balloon", "add the balloon"),
    ("PUT /network-interfaces/eth0", "add the network interface `eth0`"),
    ("PUT /actions", "start the machine"),
    ("PATCH /balloon/statistics", "set the interval of the balloon's statistics"),
    ("PATCH /balloon", "resize the balloon"),
    ("PATCH /vm", "pause the machine"),
    ("PUT /snapshot/create", "make the snapshot"),
    ("PUT /snapshot/load", "load the snapshot"),
];

#[tokio::test]
async fn a_refusal_or_failure_names_the_action_and_the_fault() {
    if !crate::fake::can_run() {
        return;
    }
    for (request, action) in REQUESTS {
        let refused = format!("Firecracker refused to {action}: it was told to refuse this");
        assert_eq!(failure(request, "400").await, refused, "{request}");
        let failed = format!("Firecracker failed to {action} (status 500): it was told to fail at this");
        assert_eq!(failure(request, "500").await, failed, "{request}");
    }
}

#[tokio::test]
async fn an_answer_that_is_none_names_the_action() {
    if !crate::fake::can_run() {
        return;
    }
    for (request, action) in REQUESTS {
        for sabotage in ["garbage", "cut", "die"] {
            let broken = format!("the connection to Firecracker broke when it was to {action}");
            assert_eq!(failure(request, sabotage).await, broken, "{request} {sabotage}");
        }
        let endless = format!("Firecracker's answer when it was to {action} is longer than 65536 bytes");
        assert_eq!(failure(request, "endless").await, endless, "{request}");
    }
    for (request, action) in [REQUESTS[0], REQUESTS[1]] {
        let error = failure(request, "nonsense").await;
        let expected = format!("Firecracker's answer when it was to {action} cannot be understood: ");
        assert!(error.starts_with(&expected), "{error}");
    }
}

#[tokio::test]
async fn silence_ends_at_a_deadline() {
    if !crate::fake::can_run() {
        return;
    }
    for (request, action) in
        [("GET /version", "ask for the version"), ("PUT /machine-config", "set the size")]
    {
        let expected = format!("Firecracker did not {action} within 5 seconds");
        assert_eq!(failure(request, "silence").await, expected);
    }
}

#[tokio::test]
async fn a_step_that_is_refused_leaves_the_machine_where_it_was() {
    if !crate::fake::can_run() {
        return;
    }
    let started = Started::new("PATCH /vm 400");
    let api = configured(&started).await.unwrap().start().await.unwrap();
    let mut still = api.pause().await.unwrap_err();
    assert_eq!(still.api.describe_instance().await.unwrap().state, InstanceState::Running);
    started.fake.sabotage("");
    still.api.pause().await.unwrap();
}
