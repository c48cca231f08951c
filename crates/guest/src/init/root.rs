//! The root of the machine: the image's disk, read-only, under the machine's own.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;

use rustix::mount::{MountFlags, mount, mount_move};

use super::devices::Devices;
use super::{InitError, failed};

/// The image's disk.
const IMAGE: &str = "/dev/vda";
/// The machine's own disk.
const OWN: &str = "/dev/vdb";
/// Where the root is put together.
const ROOT: &str = "/root";

/// Mounts what the kernel shows of itself, so that all else can be found.
pub(super) fn mount_kernel_files() -> Result<(), InitError> {
    let strict = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    at("/proc", "proc", "proc", strict, c"")?;
    at("/sys", "sysfs", "sysfs", strict, c"")?;
    at("/dev", "devtmpfs", "devtmpfs", MountFlags::NOSUID, c"mode=0755")
}

/// Waits for the two disks and mounts them one above the other.
pub(super) fn mount_disks(devices: &Devices) -> Result<(), InitError> {
    for (disk, what) in [(IMAGE, "disk of the image (`vda`)"), (OWN, "disk of the machine's own (`vdb`)")] {
        devices.wait_for(what, || fs::exists(disk).unwrap_or(false).then_some(()))?;
    }
    at("/lower", IMAGE, "ext4", MountFlags::RDONLY | MountFlags::NOATIME, c"")?;
    at("/own", OWN, "ext4", MountFlags::NOATIME, c"discard")?;
    for folder in ["/own/upper", "/own/work"] {
        make(folder)?;
    }
    // The disk is thrown away with the machine, so that nothing needs to be safe on it.
    let options = c"lowerdir=/lower,upperdir=/own/upper,workdir=/own/work,volatile";
    at(ROOT, "overlay", "overlay", MountFlags::NOATIME, options)
}

/// Makes the root that was put together the root, with the kernel's files in it. What the initramfs holds is removed, because it takes
/// memory.
pub(super) fn switch() -> Result<(), InitError> {
    for folder in ["/proc", "/sys", "/dev"] {
        let to = format!("{ROOT}{folder}");
        make(&to)?;
        mount_move(folder, &to).map_err(|source| InitError::Mount {
            what: format!("`{folder}`"),
            at: to,
            source: source.into(),
        })?;
    }
    // What stays only costs memory.
    let _ = fs::remove_dir_all("/modules");
    let _ = fs::remove_file("/init");
    rustix::process::chdir(ROOT).map_err(failed("enter the root"))?;
    mount_move(".", "/").map_err(failed("move the root"))?;
    rustix::process::chroot(".").map_err(failed("change the root"))?;
    rustix::process::chdir("/").map_err(failed("enter the root"))
}

/// Mounts what every system has besides its files.
pub(super) fn mount_rest() -> Result<(), InitError> {
    let plain = MountFlags::NOSUID | MountFlags::NODEV;
    let strict = plain | MountFlags::NOEXEC;
    let terminals = c"ptmxmode=0666,mode=620,gid=5";
    at("/dev/pts", "devpts", "devpts", MountFlags::NOSUID | MountFlags::NOEXEC, terminals)?;
    at("/dev/shm", "shm", "tmpfs", plain, c"mode=1777")?;
    at("/run", "run", "tmpfs", plain, c"mode=755")?;
    // A kernel without it runs what needs none.
    let _ = at("/sys/fs/cgroup", "cgroup2", "cgroup2", strict, c"");
    for (link, target) in [("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")] {
        let linked = std::os::unix::fs::symlink(format!("/proc/self/{target}"), format!("/dev/{link}"));
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed(format!("link `/dev/{link}`"))(error));
            }
            _ => {}
        }
    }
    make("/tmp")?;
    fs::set_permissions("/tmp", fs::Permissions::from_mode(0o1777)).map_err(failed("open `/tmp` for all"))
}

fn at(folder: &str, what: &str, kind: &str, flags: MountFlags, options: &CStr) -> Result<(), InitError> {
    make(folder)?;
    mount(what, folder, kind, flags, options).map_err(|source| InitError::Mount {
        what: format!("`{what}` ({kind})"),
        at: folder.to_owned(),
        source: source.into(),
    })
}

fn make(folder: &str) -> Result<(), InitError> {
    match fs::create_dir_all(folder) {
        // `/sys` and others cannot be written to, and have it.
        Err(_) if fs::metadata(folder).is_ok_and(|metadata| metadata.is_dir()) => Ok(()),
        made => made.map_err(failed(format!("make the folder `{folder}`"))),
    }
}
