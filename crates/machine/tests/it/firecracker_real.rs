//! The client and the backend with the real Firecracker that `FIRECRACKER` names, as far as a guest that only halts goes.
//!
//! That takes a `/dev/kvm` that can be opened, but none that is fast.

#![expect(clippy::unwrap_used, reason = "its helpers are as much tests as the tests")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use machine::firecracker::api::{
    Api, ApiError, Balloon, BalloonUpdate, BeforeBoot, BootSource, CacheType, Deadlines, Drive,
    InstanceState, LogLevel, Logger, MachineConfiguration, MemoryBackend, MemoryBackendType, Metrics,
    SnapshotCreate, SnapshotKind, SnapshotLoad, Vsock,
};
use machine::firecracker::{Confinement, Firecracker, Program};
use machine::vm::{Image, User};
use machine::{Machine, MachineSpec, Network, Size};

use crate::fake::empty_disk;
use crate::fixture::{left, spec};

/// The Firecracker that `FIRECRACKER` names, where it can make machines; says so where it cannot.
#[expect(clippy::print_stderr, reason = "a test that is skipped must be seen to be")]
fn real() -> Option<Program> {
    let skip = |reason: &str| {
        eprintln!("skipped: {reason}");
        None
    };
    let Some(file) = std::env::var_os("FIRECRACKER") else { return skip("FIRECRACKER names none") };
    if File::options().read(true).write(true).open("/dev/kvm").is_err() {
        return skip("/dev/kvm cannot be opened");
    }
    Some(Program::at(PathBuf::from(file)).unwrap())
}

/// The least that Firecracker takes for a kernel: it halts for ever.
fn write_kernel(file: &Path) {
    let code = [0xf4, 0xeb, 0xfd];
    let (entry, offset): (u64, u64) = (0x10_0000, 0x1000);
    let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
    elf.resize(16, 0);
    elf.extend([2, 0, 62, 0, 1, 0, 0, 0]);
    for word in [entry, 64, 0] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    elf.extend([1, 0, 0, 0, 5, 0, 0, 0]);
    for word in [offset, entry, entry, code.len() as u64, code.len() as u64, 0x1000] {
        elf.extend(word.to_le_bytes());
    }
    elf.resize(offset as usize, 0);
    elf.extend(code);
    fs::write(file, elf).unwrap();
}

struct Started {
    process: Child,
    folder: PathBuf,
}

impl Started {
    fn new(program: &Program, folder: PathBuf) -> Self {
        fs::create_dir_all(&folder).unwrap();
        write_kernel(&folder.join("vmlinux"));
        fs::write(folder.join("metrics.json"), "").unwrap();
        let mut command = Command::new(program.file());
        command.args(["--api-sock", "api.sock", "--id", "test-1"]).current_dir(&folder).env_clear();
        let process =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { process, folder }
    }

    async fn api(&self) -> Api<BeforeBoot> {
        let socket = self.folder.join("api.sock");
        loop {
            match Api::connect(&socket, socket.clone(), Deadlines::default()).await {
                Err(ApiError::Connect { .. }) => tokio::task::yield_now().await,
                connected => return connected.unwrap(),
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

fn drive(name: &str, is_read_only: bool) -> Drive {
    Drive {
        drive_id: name.to_owned(),
        is_root_device: false,
        is_read_only,
        path_on_host: PathBuf::from(name),
        cache_type: CacheType::Unsafe,
    }
}

fn create(snapshot_type: SnapshotKind, memory: &str) -> SnapshotCreate {
    SnapshotCreate {
        snapshot_type,
        snapshot_path: PathBuf::from("state"),
        mem_file_path: PathBuf::from(memory),
    }
}

#[tokio::test]
async fn the_real_one_does_all_that_the_client_asks_for() {
    let Some(program) = real() else { return };
    let root = tempfile::tempdir().unwrap();
    let started = Started::new(&program, root.path().join("one"));
    for name in ["vda", "vdb"] {
        empty_disk(&started.folder.join(name));
    }
    let mut api = started.api().await;
    assert_eq!(api.version(), program.version());
    assert_eq!(api.describe_instance().await.unwrap().state, InstanceState::NotStarted);
    api.put_logger(Logger { log_path: PathBuf::from("log"), level: LogLevel::Warning }).await.unwrap();
    api.put_metrics(Metrics { metrics_path: PathBuf::from("metrics.json") }).await.unwrap();
    let size = MachineConfiguration { vcpu_count: 1, mem_size_mib: 128, smt: false, track_dirty_pages: true };
    api.put_machine_configuration(size).await.unwrap();
    let kernel = |path: &str| BootSource {
        kernel_image_path: PathBuf::from(path),
        initrd_path: None,
        boot_args: "console=ttyS0".to_owned(),
    };
    let refused = api.put_boot_source(kernel("none")).await.unwrap_err().to_string();
    assert!(refused.starts_with("Firecracker refused to set the kernel: Boot source error:"), "{refused}");
    api.put_boot_source(kernel("vmlinux")).await.unwrap();
    api.put_drive(drive("vda", true)).await.unwrap();
    api.put_drive(drive("vdb", false)).await.unwrap();
    api.put_vsock(Vsock { guest_cid: 3, uds_path: PathBuf::from("vsock.sock") }).await.unwrap();
    api.put_entropy().await.unwrap();
    api.put_balloon(Balloon { amount_mib: 0, deflate_on_oom: true, stats_polling_interval_s: 1 })
        .await
        .unwrap();
    let mut running = api.start().await.unwrap();
    assert_eq!(running.describe_instance().await.unwrap().state, InstanceState::Running);
    running.flush_metrics().await.unwrap();
    running.send_ctrl_alt_del().await.unwrap();
    // A guest without a driver has no balloon that could be resized.
    drop(running.patch_balloon(BalloonUpdate { amount_mib: 1 }).await);
    let mut paused = running.pause().await.unwrap();
    paused.create_snapshot(create(SnapshotKind::Full, "memory")).await.unwrap();
    let mut paused = paused.resume().await.unwrap().pause().await.unwrap();
    fs::copy(started.folder.join("memory"), started.folder.join("diff")).unwrap();
    paused.create_snapshot(create(SnapshotKind::Diff, "diff")).await.unwrap();
    paused.create_snapshot(create(SnapshotKind::Full, "full")).await.unwrap();
    // What has changed, written into a copy of the memory before, is the memory.
    let read = |name: &str| fs::read(started.folder.join(name)).unwrap();
    assert!(read("diff") == read("full"));
    let again = Started::new(&program, root.path().join("again"));
    for name in ["state", "full", "vda", "vdb"] {
        fs::copy(started.folder.join(name), again.folder.join(name)).unwrap();
    }
    let load = SnapshotLoad {
        snapshot_path: PathBuf::from("state"),
        mem_backend: MemoryBackend {
            backend_type: MemoryBackendType::File,
            backend_path: PathBuf::from("full"),
        },
        track_dirty_pages: true,
        resume_vm: true,
        network_overrides: Vec::new(),
    };
    let mut running = again.api().await.load_and_resume(load.clone()).await.unwrap();
    assert_eq!(running.describe_instance().await.unwrap().state, InstanceState::Running);
    let damaged = Started::new(&program, root.path().join("damaged"));
    fs::write(damaged.folder.join("state"), "no state").unwrap();
    let refused = damaged.api().await.load_and_resume(load).await.unwrap_err().to_string();
    assert!(
        refused.starts_with("Firecracker refused to load the snapshot: Load snapshot error:"),
        "{refused}"
    );
}

/// A machine whose kernel halts is made, waited for and taken away, with the confinement that `choose` chooses.
async fn check_machine(choose: impl Fn(&Program) -> Confinement) {
    let Some(program) = real() else { return };
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    write_kernel(&at("vmlinux"));
    // Firecracker refuses an empty one.
    fs::write(at("initramfs"), "070701").unwrap();
    empty_disk(&at("root.ext4"));
    let image = Image {
        digest: "halts".to_owned(),
        kernel: at("vmlinux"),
        initramfs: at("initramfs"),
        root: at("root.ext4"),
        user: User { name: "root".to_owned(), uid: 0, gid: 0, home: "/root".to_owned() },
        environment: Vec::new(),
    };
    let confinement = choose(&program);
    let backend = Firecracker::new(program, confinement, image)
        .with_deadlines(Deadlines::default(), Duration::from_secs(3));
    let spec = MachineSpec {
        network: Network::None,
        size: Some(Size { vcpus: 1, memory_mib: 128 }),
        ..spec(root.path())
    };
    let error = Machine::start(&backend, &spec).await.unwrap_err().to_string();
    let expected =
        "the machine's guest agent did not answer: cannot connect to its guest agent: it does not answer";
    assert!(error.starts_with(expected), "{error}");
    assert_eq!(left(&spec.scratch), Vec::<String>::new());
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(&*root.path().to_string_lossy()), "{mounts}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_machine_is_made_and_leaves_nothing() {
    check_machine(|_| Confinement::User).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_really_jailed_machine_is_made_and_leaves_nothing() {
    if crate::fake::can_jail() {
        check_machine(|program| program.confinement(&[]).unwrap()).await;
    }
}
