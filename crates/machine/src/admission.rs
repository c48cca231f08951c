//! How much memory this host has for machines.
//!
//! Read from `/proc/meminfo` and from the control groups of this process, of version 1 and 2: the least of them counts.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cgroup::{Hierarchy, own_groups};

/// What machines leave to the rest of the host, in MiB.
pub const RESERVE_MIB: u64 = 256;

/// Limits of control groups from here on mean "no limit", in bytes.
const UNLIMITED: u64 = 1 << 60;

/// Memory in MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// All that this process and its machines may ever have.
    pub total_mib: u64,
    /// What can be had now.
    pub available_mib: u64,
}

impl Memory {
    /// What this host has; `None` where the kernel does not say.
    pub fn of_host() -> Option<Self> {
        let meminfo = fs::read_to_string("/proc/meminfo").ok()?;
        let mut memory = parse_meminfo(&meminfo)?;
        for (hierarchy, folder) in own_groups("memory") {
            // A limit of any group above holds, too.
            for group in folder.ancestors().take_while(|group| group.starts_with(hierarchy.mount())) {
                if let Some((limit, usage)) = limit_and_usage(&hierarchy, group) {
                    memory.total_mib = memory.total_mib.min(limit >> 20);
                    memory.available_mib = memory.available_mib.min(limit.saturating_sub(usage) >> 20);
                }
            }
        }
        Some(memory)
    }

    /// What all machines together may be given.
    pub fn for_machines_mib(&self) -> u64 {
        self.total_mib.saturating_sub(RESERVE_MIB)
    }

    /// What one more machine may be given now.
    pub fn for_next_mib(&self) -> u64 {
        self.available_mib.saturating_sub(RESERVE_MIB)
    }
}

fn parse_meminfo(text: &str) -> Option<Memory> {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    };
    Some(Memory { total_mib: field("MemTotal")? >> 10, available_mib: field("MemAvailable")? >> 10 })
}

/// The limit of a group and what of it is used and cannot be had back, in bytes; `None` without a limit.
fn limit_and_usage(hierarchy: &Hierarchy, group: &Path) -> Option<(u64, u64)> {
    let (limit, usage, reclaimable) = match hierarchy {
        Hierarchy::Unified { .. } => ("memory.max", "memory.current", "inactive_file"),
        Hierarchy::Single { .. } => ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    };
    let number = |file: PathBuf| fs::read_to_string(file).ok()?.trim().parse::<u64>().ok();
    let limit = number(group.join(limit)).filter(|limit| *limit < UNLIMITED)?;
    let usage = number(group.join(usage))?;
    let statistics = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    let reclaimable = statistics
        .lines()
        .find_map(|line| line.strip_prefix(reclaimable)?.trim().parse::<u64>().ok())
        .unwrap_or(0);
    Some((limit, usage.saturating_sub(reclaimable)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Hierarchy, Memory, limit_and_usage, parse_meminfo};

    #[test]
    fn this_host_has_memory() {
        let memory = Memory::of_host().unwrap();
        assert!(memory.available_mib <= memory.total_mib && memory.total_mib > 0, "{memory:?}");
    }

    #[test]
    fn the_kernels_text_is_read() {
        let text = "MemTotal:        8000000 kB\nMemFree:  1 kB\nMemAvailable:    2097152 kB\n";
        let expected = Memory { total_mib: 7812, available_mib: 2048 };
        assert_eq!(parse_meminfo(text), Some(expected));
        assert_eq!((expected.for_machines_mib(), expected.for_next_mib()), (7556, 1792));
        assert_eq!(parse_meminfo("MemTotal: 1 kB\n"), None);
        assert_eq!(parse_meminfo("MemTotal: x kB\nMemAvailable: 1 kB"), None);
        let small = Memory { total_mib: 100, available_mib: 10 };
        assert_eq!((small.for_machines_mib(), small.for_next_mib()), (0, 0));
    }

    #[test]
    fn groups_of_both_versions_have_limits() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        let unified = Hierarchy::Unified { mount: folder.path().to_owned() };
        let single = Hierarchy::Single { mount: folder.path().to_owned() };
        assert_eq!(limit_and_usage(&unified, folder.path()), None);
        write("memory.max", "max\n");
        write("memory.current", "500\n");
        assert_eq!(limit_and_usage(&unified, folder.path()), None);
        write("memory.max", "1000\n");
        assert_eq!(limit_and_usage(&unified, folder.path()), Some((1000, 500)));
        write("memory.stat", "anon 3\ninactive_file 200\ntotal_inactive_file 100\n");
        assert_eq!(limit_and_usage(&unified, folder.path()), Some((1000, 300)));
        write("memory.limit_in_bytes", "9223372036854771712\n");
        write("memory.usage_in_bytes", "500\n");
        assert_eq!(limit_and_usage(&single, folder.path()), None);
        write("memory.limit_in_bytes", "2000\n");
        assert_eq!(limit_and_usage(&single, folder.path()), Some((2000, 400)));
    }
}
