//! What is mounted inside a sandbox after bubblewrap has made it: once in the template, and in each machine.
//!
//! Each of bubblewrap's mounts takes much longer than one of these. So bubblewrap only brings in what is the host's; what
//! hides a part of that, and what is one machine's, is mounted from inside.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use guest::template::{Mount, Room};
use rustix::fs::{Access, access};

use super::arguments::CERTIFICATES;
use super::tools::{Tools, is_visible};
use super::{HOME, TOOL_CACHE, folder_name, path_of};
use crate::network::resolver_file;
use crate::spec::{Content, MachineSpec, Network, Place};

/// Where the template has what its machines mount elsewhere. It is gone from a machine before anything runs there.
pub(super) const STORE: &str = "/run/firedog/store";

/// Where the clone device of network devices is in the store, for machines with a network of their own.
pub(super) const CLONE_DEVICE_INSIDE: &str = "/run/firedog/store/tun";

/// The folder of all machines' private folders in the store.
pub(super) const MACHINES: &str = "machines";

/// Cargo's home inside: writable, with the caller's registry in it.
pub(super) const CARGO_HOME: &str = "/home/runner/.cargo";

/// Where Go finds modules that the caller has downloaded.
pub(super) const GO_MODULES: &str = "/run/firedog/go-modules";

/// Most bytes in a folder that [`MachineSpec::in_memory`] names.
const MAX_IN_MEMORY: u64 = 256 * 1024 * 1024;

/// Parts of `/proc` that change the whole host when written to.
const KERNEL_SETTINGS: [&str; 4] = ["/proc/sys", "/proc/irq", "/proc/bus", "/proc/acpi"];

/// Secrets of the system that a caller with rights could read.
const SECRETS: [&str; 18] = [
    "/etc/shadow",
    "/etc/shadow-",
    "/etc/gshadow",
    "/etc/gshadow-",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/etc/krb5.keytab",
    "/etc/ssl/private",
    "/etc/pki/tls/private",
    "/etc/letsencrypt",
    "/etc/wireguard",
    "/etc/openvpn",
    "/etc/NetworkManager/system-connections",
    "/etc/kubernetes",
    "/etc/rancher",
    "/etc/docker",
    "/etc/ppp",
    "/etc/security/opasswd",
];

/// A host path that machines see, read-only.
#[derive(Debug)]
pub(super) struct Shown {
    /// Where it is on the host.
    pub(super) from: PathBuf,
    /// Where it is inside.
    pub(super) to: PathBuf,
}

impl Shown {
    fn new(from: &Path, to: impl Into<PathBuf>) -> Self {
        Self { from: from.to_owned(), to: to.into() }
    }

    fn in_place(path: &Path) -> Self {
        Self::new(path, path)
    }

    /// Whether it lies in a folder that each machine has for its own, and that would hide it.
    fn is_in_own_folder(&self) -> bool {
        ["/tmp", "/var/tmp", HOME].iter().any(|own| self.to.starts_with(own))
    }
}

/// What machines see of the host besides the system: what a template mounts in its place, and what each machine does. The
/// template has the latter in its store, by their positions.
pub(super) fn shown(spec: &MachineSpec, tools: &Tools) -> (Vec<Shown>, Vec<Shown>) {
    let mut all = Vec::new();
    for place in Place::ALL {
        if let Content::ReadOnly(root) = spec.content(place) {
            let to = match place {
                Place::ToolCache => TOOL_CACHE.to_owned(),
                other => path_of(other, folder_name(&spec.repository)),
            };
            all.push(Shown::new(root, to));
        }
    }
    // A home that is shown as a whole is below what is shown in it.
    all.sort_by_key(|shown| shown.to != Path::new(HOME));
    all.extend(tools.shown.iter().map(|path| Shown::in_place(path)));
    all.extend(tools.cargo.iter().map(|(path, name)| Shown::new(path, format!("{CARGO_HOME}/{name}"))));
    all.extend(tools.go_modules.iter().map(|modules| Shown::new(modules, GO_MODULES)));
    all.extend(spec.read_only.iter().map(|path| Shown::in_place(path)));
    let certificates = CERTIFICATES.iter().filter_map(|name| spec.caller.variable(name).map(Path::new));
    let certificates =
        certificates.filter(|file| file.is_absolute() && !is_visible(file, &tools.shown) && file.exists());
    all.extend(certificates.map(Shown::in_place));
    all.into_iter().partition(|shown| !shown.is_in_own_folder())
}

/// Where something of the store is in the template.
pub(super) fn in_store(position: usize) -> String {
    format!("{STORE}/{position}")
}

/// What is mounted once in the template.
pub(super) fn of_template(spec: &MachineSpec) -> Vec<Mount> {
    let home = &spec.caller.home;
    let mut mounts = vec![read_only("/dev")];
    if matches!(spec.network, Network::Limited(_)) {
        let file = Path::new(STORE).join("resolv.conf");
        let text = resolver_file().into_bytes().into();
        mounts.push(Mount::File { at: file.clone().into(), text });
        mounts.extend([bind(file, "/etc/resolv.conf"), read_only("/etc/resolv.conf")]);
    }
    let keys =
        fs::read_dir("/etc/ssh").into_iter().flatten().flatten().map(|entry| entry.path()).filter(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ssh_host_"))
        });
    let secrets = SECRETS.iter().map(PathBuf::from).chain(keys);
    // What the caller cannot read, the machine cannot either.
    for path in secrets.filter(|path| access(path, Access::READ_OK).is_ok()) {
        mounts.push(if path.is_dir() { hidden(&path) } else { bind("/dev/null", path) });
    }
    // A service's home may lie inside what is shown.
    if ["/usr", "/opt", "/nix", "/etc"].iter().any(|shown| home.starts_with(shown)) && home.is_dir() {
        mounts.push(hidden(home));
    }
    mounts
}

/// What is mounted in the machine whose private folder is `scratch`, before [`of_machine`].
pub(super) fn private(scratch: &Path) -> [Mount; 2] {
    let own = scratch.file_name().expect("a machine's private folder has a name");
    let own = Path::new(STORE).join(MACHINES).join(own);
    [bind(own.join("tmp"), "/tmp"), bind(own.join("home"), HOME)]
}

/// What is mounted in each machine, of the store what is `shown` there.
pub(super) fn of_machine(spec: &MachineSpec, shown: &[Shown], tools: &Tools) -> Vec<Mount> {
    let temp = path_of(Place::Temp, "");
    let in_memory = spec.in_memory.iter().map(|name| format!("{temp}/{name}").into());
    let mut mounts: Vec<_> = in_memory
        .map(|at| Mount::Empty { at, mode: 0o755, room: Room::Bytes(MAX_IN_MEMORY) })
        .chain(above(shown).into_iter().map(|at| Mount::Empty {
            at: at.into(),
            mode: 0o755,
            room: Room::Half,
        }))
        .collect();
    let shown = shown.iter().enumerate();
    mounts.extend(shown.map(|(position, shown)| bind(in_store(position), &shown.to)));
    if let Some(pyenv) = &tools.pyenv {
        mounts.push(Mount::Empty { at: pyenv.shims.clone().into(), mode: 0o755, room: Room::Half });
    }
    mounts.push(Mount::Processes { at: "/proc".into() });
    // The caller may be root, who owns the kernel's settings: being without capabilities does not protect those.
    let has_files = |path: &&&str| fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
    if rustix::process::geteuid().is_root() {
        for settings in KERNEL_SETTINGS.iter().filter(has_files) {
            mounts.extend([bind(settings, settings), read_only(settings)]);
        }
    }
    mounts.push(Mount::Terminals { at: "/dev/pts".into() });
    mounts.push(Mount::Empty { at: "/dev/shm".into(), mode: 0o1777, room: Room::Half });
    mounts.push(Mount::Remove { at: STORE.into() });
    mounts
}

/// Folders right below `/tmp` with something shown deep inside: each is in memory, so that what lies between need not be
/// made, and removed again, on a disk.
fn above(shown: &[Shown]) -> BTreeSet<PathBuf> {
    let mut above = BTreeSet::new();
    for own in ["/tmp", "/var/tmp"].map(Path::new) {
        let inside = shown.iter().filter_map(|shown| shown.to.strip_prefix(own).ok());
        let first = inside.filter_map(|path| path.components().next());
        above.extend(first.map(|first| own.join(first)));
    }
    above.retain(|folder| shown.iter().all(|shown| shown.to != *folder));
    above
}

fn bind(from: impl AsRef<OsStr>, to: impl AsRef<OsStr>) -> Mount {
    Mount::Bind { from: from.as_ref().to_owned(), to: to.as_ref().to_owned() }
}

fn read_only(at: &str) -> Mount {
    Mount::ReadOnly { at: at.into() }
}

fn hidden(at: &Path) -> Mount {
    Mount::Empty { at: OsString::from(at), mode: 0o755, room: Room::Nothing }
}
