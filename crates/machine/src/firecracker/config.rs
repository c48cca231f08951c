//! What Firecracker is told so that it boots a machine or goes on from a snapshot.

use std::path::PathBuf;

use guest::init::{Channel, Options};

use super::api::{
    Api, ApiError, BeforeBoot, BootSource, CacheType, Drive, MachineConfiguration, MemoryBackend,
    MemoryBackendType, Running, SnapshotCreate, SnapshotKind, SnapshotLoad, Vsock,
};
use super::folder::{AGENT_PORT, VSOCK};
use crate::spec::Size;

/// The names of files in Firecracker's folder, which are the same for each machine: a snapshot remembers them.
pub(super) const KERNEL: &str = "vmlinux";
pub(super) const INITRAMFS: &str = "initramfs";
pub(super) const ROOT: &str = "root.ext4";
pub(super) const DISK: &str = "disk";

/// What a snapshot is loaded from, and what one is written to.
pub(super) const DEVICES: &str = "devices";
pub(super) const MEMORY: &str = "memory";
pub(super) const NEW_DEVICES: &str = "new-devices";
pub(super) const NEW_MEMORY: &str = "new-memory";

/// Modules of the kernel for the devices that there are, in the order in which they need each other.
const MODULES: [&str; 9] = [
    "virtio_ring",
    "virtio",
    "virtio_mmio",
    "virtio_blk",
    "overlay",
    "virtio-rng",
    "vsock",
    "vmw_vsock_virtio_transport_common",
    "vmw_vsock_virtio_transport",
];

/// The guest's own address on its vsock; each Firecracker has a socket of its own, so that all may have the same.
const GUEST: u32 = 3;

/// Puts a machine together and starts it.
pub(super) async fn boot(mut api: Api<BeforeBoot>, size: Size) -> Result<Api<Running>, ApiError> {
    api.put_machine_configuration(machine_configuration(size)).await?;
    let boot_source = BootSource {
        kernel_image_path: PathBuf::from(KERNEL),
        initrd_path: Some(PathBuf::from(INITRAMFS)),
        boot_args: command_line(),
    };
    api.put_boot_source(boot_source).await?;
    // In this order the guest calls them `vda` and `vdb`.
    for (name, path, is_read_only) in [("vda", ROOT, true), ("vdb", DISK, false)] {
        let drive = Drive {
            drive_id: name.to_owned(),
            is_root_device: false,
            is_read_only,
            path_on_host: PathBuf::from(path),
            // The disk is thrown away with its machine.
            cache_type: CacheType::Unsafe,
        };
        api.put_drive(drive).await?;
    }
    api.put_vsock(Vsock { guest_cid: GUEST, uds_path: PathBuf::from(VSOCK) }).await?;
    api.put_entropy().await?;
    api.start().await.map_err(|still| still.error)
}

/// One or an even number of processors is all that Firecracker knows.
fn machine_configuration(size: Size) -> MachineConfiguration {
    let vcpus = if size.vcpus == 1 { 1 } else { size.vcpus.next_multiple_of(2).min(32) };
    MachineConfiguration {
        vcpu_count: u8::try_from(vcpus).expect("it is 32 at most"),
        mem_size_mib: size.memory_mib,
        smt: false,
        // So that all snapshots but the first only write what has changed.
        track_dirty_pages: true,
    }
}

fn command_line() -> String {
    let modules = MODULES.map(str::to_owned).to_vec();
    let words = Options { modules, channel: Channel::Vsock(AGENT_PORT) }.words();
    // A kernel that panics resets at once, which ends Firecracker.
    format!("rdinit=/init panic=-1 reboot=t quiet console=ttyS0 8250.nr_uarts=1 nokaslr {words}")
}

/// Goes on from the snapshot in the folder.
pub(super) fn load() -> SnapshotLoad {
    SnapshotLoad {
        snapshot_path: PathBuf::from(DEVICES),
        mem_backend: MemoryBackend {
            backend_type: MemoryBackendType::File,
            backend_path: PathBuf::from(MEMORY),
        },
        track_dirty_pages: true,
        resume_vm: true,
        network_overrides: Vec::new(),
    }
}

/// Writes a snapshot into the folder.
pub(super) fn create(snapshot_type: SnapshotKind) -> SnapshotCreate {
    SnapshotCreate {
        snapshot_type,
        snapshot_path: PathBuf::from(NEW_DEVICES),
        mem_file_path: PathBuf::from(NEW_MEMORY),
    }
}

#[cfg(test)]
mod tests {
    use guest::init::{Channel, Options};

    use super::{command_line, machine_configuration};
    use crate::spec::Size;

    #[test]
    fn the_command_line_is_one_that_the_first_process_reads() {
        let line = command_line();
        assert_eq!(Options::parse(&line).unwrap().channel, Channel::Vsock(1024));
        assert!(line.len() < 2048, "Firecracker takes no longer one");
    }

    #[test]
    fn processors_are_one_or_even() {
        let count = |vcpus| machine_configuration(Size { vcpus, memory_mib: 128 }).vcpu_count;
        assert_eq!([1, 2, 3, 4, 31, 64].map(count), [1, 2, 4, 4, 32, 32]);
    }
}
