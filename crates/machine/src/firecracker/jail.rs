//! Firecracker behind its jailer: own user, own root, own process namespace.
//!
//! The jailer changes the root to `CHROOT/PROGRAM/ID/root` and the user to one that no other machine has at the time. The
//! machine's files are mounted there one by one, read-only; the mounts are in a namespace of their own, so that nothing has to be
//! taken away again.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cgroup::{Hierarchy, own_groups};

/// Descriptors that Firecracker may have open: devices, sockets of the channel and memory need far fewer.
const OPEN_FILES: u32 = 2048;

/// Longest name that the jailer takes.
const MAX_ID: usize = 64;

/// What the jailer is told.
#[derive(Debug)]
pub(crate) struct Jail<'a> {
    pub(crate) jailer: &'a Path,
    pub(crate) firecracker: &'a Path,
    /// The folder under which it makes the new root.
    pub(crate) chroot: &'a Path,
    pub(crate) id: &'a str,
    pub(crate) user: u32,
    /// The file of the network namespace to be in, where it is not this process's.
    pub(crate) network: Option<&'a Path>,
    /// The longest file that is written, in bytes.
    pub(crate) longest_file: u64,
}

impl Jail<'_> {
    /// The command, to be followed by Firecracker's own arguments.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(self.jailer);
        command.arg("--id").arg(self.id).arg("--exec-file").arg(self.firecracker);
        let user = self.user.to_string();
        command.args(["--uid", &user, "--gid", &user]).arg("--chroot-base-dir").arg(self.chroot);
        if let Some(network) = self.network {
            command.arg("--netns").arg(network);
        }
        // The machine is put into its groups before the jailer runs, so that this only says which kind it must not look for.
        let has_version_1 =
            own_groups("memory").iter().any(|(hierarchy, _)| matches!(hierarchy, Hierarchy::Single { .. }));
        match has_version_1 {
            true => command.args(["--cgroup-version", "1"]),
            false => command.args(["--cgroup-version", "2", "--parent-cgroup", "firedog-none"]),
        };
        command.args(["--resource-limit", &format!("no-file={OPEN_FILES}")]);
        command.args(["--resource-limit", &format!("fsize={}", self.longest_file)]);
        command.args(["--new-pid-ns", "--"]);
        command
    }
}

/// The root of a jailed machine, as a path of the host.
pub(crate) fn root(chroot: &Path, firecracker: &Path, id: &str) -> PathBuf {
    chroot.join(firecracker.file_name().unwrap_or_default()).join(id).join("root")
}

/// A machine's name as the jailer takes it: letters, digits and `-`.
pub(crate) fn id(name: &str) -> String {
    let kept = |character: char| if character.is_ascii_alphanumeric() { character } else { '-' };
    // The end tells machines apart.
    let skipped = name.chars().count().saturating_sub(MAX_ID);
    name.chars().skip(skipped).map(kept).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Jail, id, root};

    #[test]
    fn a_name_is_what_the_jailer_takes() {
        assert_eq!(id("run_1 job/2-77-0"), "run-1-job-2-77-0");
        let long = id(&format!("{}-4711-0", "x".repeat(90)));
        assert!(long.len() == 64 && long.ends_with("-4711-0"), "{long}");
    }

    #[test]
    fn the_jailer_is_told_everything() {
        let jail = Jail {
            jailer: Path::new("/usr/bin/jailer"),
            firecracker: Path::new("/opt/firecracker"),
            chroot: Path::new("/scratch/m-1"),
            id: "m-1",
            user: 70_000,
            network: Some(Path::new("/run/netns/m-1")),
            longest_file: 1 << 30,
        };
        let root = root(jail.chroot, jail.firecracker, jail.id);
        assert_eq!(root, Path::new("/scratch/m-1/firecracker/m-1/root"));
        let command = jail.command();
        let arguments: Vec<_> =
            command.get_args().map(|argument| argument.to_string_lossy().into_owned()).collect();
        let line = arguments.join(" ");
        for part in [
            "--id m-1 --exec-file /opt/firecracker --uid 70000 --gid 70000",
            "--chroot-base-dir /scratch/m-1",
            "--netns /run/netns/m-1",
            "--resource-limit no-file=2048",
            "--resource-limit fsize=1073741824",
            "--new-pid-ns --",
        ] {
            assert!(line.contains(part), "{part}: {line}");
        }
        assert_eq!(command.get_program(), "/usr/bin/jailer");
    }
}
