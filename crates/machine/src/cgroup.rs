//! Control groups: which this process is in, and one for each machine that is to be held to its size.
//!
//! Hosts have version 1, version 2, both beside each other or none; what is not there or may not be written limits nothing.

use std::fs;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Pid;

use crate::leftovers::Leftover;
use crate::spec::Size;

/// Most processes and threads of a machine that is held to its size.
const MAX_PROCESSES: u32 = 8192;

/// How often the removal of a group is tried in which something runs, and the wait in between.
const REMOVALS: u32 = 100;
const REMOVAL_WAIT: Duration = Duration::from_millis(3);

/// The period over which CPU time is counted, in microseconds.
const CPU_PERIOD: u64 = 100_000;

/// A mounted tree of groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hierarchy {
    /// Version 2, with every controller in one tree.
    Unified {
        /// Where it is mounted.
        mount: PathBuf,
    },
    /// Version 1, with a tree for each controller.
    Single {
        /// Where it is mounted.
        mount: PathBuf,
    },
}

impl Hierarchy {
    pub(crate) fn mount(&self) -> &Path {
        match self {
            Self::Unified { mount } | Self::Single { mount } => mount,
        }
    }
}

/// The groups of this process that `controller` may limit, each with its tree.
pub(crate) fn own_groups(controller: &str) -> Vec<(Hierarchy, PathBuf)> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let found = parse_groups(controller, &mounts, &groups).into_iter();
    found
        .map(|(hierarchy, group)| {
            // In a container the path may be the host's, of which only the container's own part is mounted.
            let group = if group.is_dir() { group } else { hierarchy.mount().to_owned() };
            (hierarchy, group)
        })
        .collect()
}

fn parse_groups(controller: &str, mounts: &str, groups: &str) -> Vec<(Hierarchy, PathBuf)> {
    let mut found = Vec::new();
    for line in mounts.lines() {
        let mut fields = line.split(' ').skip(1);
        let (Some(mount), Some(kind), Some(options)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let mount = PathBuf::from(mount);
        let has_controller = options.split(',').any(|option| option == controller);
        let (hierarchy, is_of_tree): (_, &dyn Fn(&str) -> bool) = match kind {
            "cgroup2" => (Hierarchy::Unified { mount: mount.clone() }, &|names| names.is_empty()),
            "cgroup" if has_controller => (Hierarchy::Single { mount: mount.clone() }, &|names| {
                names.split(',').any(|name| name == controller)
            }),
            _ => continue,
        };
        let group = groups.lines().find_map(|line| {
            let (names, path) = line.split_once(':')?.1.split_once(':')?;
            is_of_tree(names).then(|| mount.join(path.trim_start_matches('/')))
        });
        found.extend(group.map(|group| (hierarchy, group)));
    }
    found
}

/// The groups of one machine; removed when dropped, which works once nothing runs in them any more.
#[derive(Debug, Default)]
pub(crate) struct Group {
    folders: Vec<PathBuf>,
}

impl Group {
    /// Makes the groups `NAME` that hold a machine to its size, as far as this host lets us.
    pub(crate) fn create(name: &str, size: Size) -> Self {
        let name = format!("firedog-{name}");
        let mut group = Self::default();
        for controller in ["memory", "pids", "cpu"] {
            for (hierarchy, own) in own_groups(controller) {
                // One that cannot be made or written limits nothing; the machine works all the same.
                let _ = group.add_limits(&hierarchy, &own.join(&name), controller, size);
            }
        }
        group
    }

    fn add_limits(
        &mut self,
        hierarchy: &Hierarchy,
        folder: &Path,
        controller: &str,
        size: Size,
    ) -> io::Result<()> {
        if let Hierarchy::Unified { .. } = hierarchy {
            let above = folder.parent().expect("a group lies in a tree");
            let controllers = fs::read_to_string(above.join("cgroup.controllers"))?;
            if !controllers.split_whitespace().any(|name| name == controller) {
                return Ok(());
            }
            // Refused where processes are in the group itself.
            fs::write(above.join("cgroup.subtree_control"), format!("+{controller}"))?;
        }
        if !self.folders.iter().any(|made| made == folder) {
            fs::create_dir(folder)?;
            self.folders.push(folder.to_owned());
        }
        for (file, value) in limits(hierarchy, controller, size) {
            fs::write(folder.join(file), value)?;
        }
        Ok(())
    }

    /// Puts a process, with all that it will start, into the groups.
    pub(crate) fn add(&self, process: Pid) -> io::Result<()> {
        let number = process.as_raw_nonzero().to_string();
        self.folders.iter().try_for_each(|folder| fs::write(folder.join("cgroup.procs"), &number))
    }

    /// Lets the process that `command` starts be in the groups from its first moment, as far as they let it.
    pub(crate) fn join(&self, command: &mut Command) {
        let open =
            |folder: &PathBuf| fs::OpenOptions::new().write(true).open(folder.join("cgroup.procs")).ok();
        let files: Vec<fs::File> = self.folders.iter().filter_map(open).collect();
        // SAFETY: between fork and exec the closure only makes system calls.
        #[expect(unsafe_code, reason = "the groups are joined between fork and exec")]
        unsafe {
            command.pre_exec(move || {
                for mut file in &files {
                    // The number 0 stands for whoever writes it. What refuses limits nothing.
                    let _ = file.write_all(b"0");
                }
                Ok(())
            });
        }
    }

    pub(crate) fn leftovers(&self) -> Vec<Leftover> {
        self.folders.iter().cloned().map(Leftover::Group).collect()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for folder in &self.folders {
            for _ in 0..REMOVALS {
                match fs::remove_dir(folder) {
                    // What was killed with the machine's first process may be about to end.
                    Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                        std::thread::sleep(REMOVAL_WAIT);
                    }
                    // One in which something still runs is removed by whoever collects what this process leaves.
                    _ => break,
                }
            }
        }
    }
}

/// The files of a group that limit a machine, with what to write into each.
fn limits(hierarchy: &Hierarchy, controller: &str, size: Size) -> Vec<(&'static str, String)> {
    let memory = (u64::from(size.memory_mib) << 20).to_string();
    let quota = u64::from(size.vcpus) * CPU_PERIOD;
    match (hierarchy, controller) {
        (Hierarchy::Unified { .. }, "memory") => vec![("memory.max", memory)],
        (Hierarchy::Single { .. }, "memory") => vec![("memory.limit_in_bytes", memory)],
        (Hierarchy::Unified { .. }, "cpu") => vec![("cpu.max", format!("{quota} {CPU_PERIOD}"))],
        (Hierarchy::Single { .. }, "cpu") => {
            vec![("cpu.cfs_period_us", CPU_PERIOD.to_string()), ("cpu.cfs_quota_us", quota.to_string())]
        }
        _ => vec![("pids.max", MAX_PROCESSES.to_string())],
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Hierarchy, parse_groups};

    /// The groups of the controller `memory`: `2` or `1` for the version, and the path.
    fn check(mounts: &str, groups: &str, expected: &[(u8, &str)]) {
        let found: Vec<_> = parse_groups("memory", mounts, groups)
            .into_iter()
            .map(|(hierarchy, group)| {
                (if matches!(hierarchy, Hierarchy::Unified { .. }) { 2 } else { 1 }, group)
            })
            .collect();
        let expected: Vec<_> =
            expected.iter().map(|(version, path)| (*version, PathBuf::from(path))).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn both_versions_alone_and_together() {
        let one = "cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0\n\
                   cgroup /sys/fs/cgroup/cpu cgroup rw,cpu,cpuacct 0 0\n";
        let two = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n";
        let both = format!("{one}cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n");
        check(one, "3:memory:/a/b\n2:cpu,cpuacct:/c\n", &[(1, "/sys/fs/cgroup/memory/a/b")]);
        check(two, "0::/user.slice/x\n", &[(2, "/sys/fs/cgroup/user.slice/x")]);
        let hybrid = [(1, "/sys/fs/cgroup/memory/a"), (2, "/sys/fs/cgroup/unified")];
        check(&both, "3:memory:/a\n0::/\n", &hybrid);
        check("proc /proc proc rw 0 0\n", "", &[]);
        check("nonsense\n\n", "0:/\n:", &[]);
        check(two, "", &[]);
    }
}
