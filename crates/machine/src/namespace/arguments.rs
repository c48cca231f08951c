//! Bubblewrap's command line for a template.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use super::mounts::{CARGO_HOME, CLONE_DEVICE_INSIDE, GO_MODULES, MACHINES, STORE, Shown, in_store};
use super::tools::Tools;
use super::{HOME, TOOL_CACHE, path_of};
use crate::network::{CLONE_DEVICE, seen_from_machine};
use crate::spec::{MachineSpec, Network, Place};

/// Where the agent's executable is inside.
pub(super) const AGENT: &str = "/run/firedog/agent";

/// Folders at the root that are links on some systems and folders on others.
const ROOT_FOLDERS: [&str; 7] = ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/libo32"];

/// What installed programs read of `/var`, and what they learn about processors from `/sys`. Each mount costs a machine's
/// start about 0.15 ms, so there is no more of either.
const DATA: [&str; 6] = [
    "/var/lib/dpkg",
    "/var/lib/gems",
    "/var/lib/ghc",
    "/var/lib/texmf",
    "/var/lib/rpm",
    "/sys/devices/system/cpu",
];

/// Variables about language, time and tool behaviour that are the same inside.
const PASSED: [&str; 7] =
    ["LANG", "LANGUAGE", "LC_ALL", "TZ", "RUSTUP_TOOLCHAIN", "RUSTUP_AUTO_INSTALL", "PYENV_VERSION"];

/// Variables that name files with certificates.
pub(super) const CERTIFICATES: [&str; 9] = [
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NIX_SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
    "PIP_CERT",
    "CARGO_HTTP_CAINFO",
];

/// Variables that lead to the network; of no use without one.
const PROXIES: [&str; 8] = [
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
];

/// The arguments up to the program to run, for a template that shows of the host what it mounts itself, and what its
/// machines do.
pub(super) fn build(spec: &MachineSpec, in_template: &[Shown], in_machines: &[Shown]) -> Vec<OsString> {
    let mut arguments = Arguments::default();
    arguments.isolation(&spec.network);
    arguments.system();
    arguments.private_folders();
    for Shown { from, to } in in_template {
        // What is gone since it was found is not there inside.
        arguments.pair("--ro-bind-try", from, to);
    }
    arguments.pair("--ro-bind", &spec.agent.program, AGENT);
    arguments.store(spec, in_machines);
    arguments.one("--remount-ro", "/");
    arguments.one("--chdir", "/");
    arguments.list
}

/// What processes in the machine start from.
pub(super) fn environment(spec: &MachineSpec, tools: &Tools) -> Vec<(String, String)> {
    let caller = &spec.caller;
    let mut path = vec![PathBuf::from(CARGO_HOME).join("bin")];
    for entry in &caller.path {
        if let Some(pyenv) = tools.pyenv.as_ref().filter(|pyenv| pyenv.shims == *entry) {
            path.extend(pyenv.programs.iter().cloned());
        }
        path.push(entry.clone());
    }
    // An entry with a colon cannot have come from a search path.
    let path = std::env::join_paths(path).unwrap_or_default();
    let mut environment = vec![
        ("PATH".to_owned(), path.to_string_lossy().into_owned()),
        ("HOME".to_owned(), HOME.to_owned()),
        ("CARGO_HOME".to_owned(), CARGO_HOME.to_owned()),
    ];
    environment.extend(tools.environment.iter().cloned());
    let passed: Vec<&str> = PASSED.iter().chain(&CERTIFICATES).copied().collect();
    let values =
        passed.iter().filter_map(|name| Some(((*name).to_owned(), caller.variable(name)?.to_owned())));
    environment.extend(values);
    let proxies = PROXIES.iter().filter_map(|name| Some(((*name).to_owned(), caller.variable(name)?)));
    match &spec.network {
        Network::Full => environment.extend(proxies.map(|(name, value)| (name, value.to_owned()))),
        Network::None => {}
        Network::Limited(_) => {
            environment.extend(proxies.map(|(name, value)| (name, seen_from_machine(value))));
        }
    }
    if tools.go_modules.is_some() {
        let proxies = match spec.network {
            Network::Full | Network::Limited(_) => ",https://proxy.golang.org,direct",
            Network::None => "",
        };
        environment.push(("GOPROXY".to_owned(), format!("file://{GO_MODULES}{proxies}")));
    }
    environment
}

#[derive(Default)]
struct Arguments {
    list: Vec<OsString>,
}

impl Arguments {
    fn flag(&mut self, flag: &str) {
        self.list.push(flag.into());
    }

    fn one(&mut self, flag: &str, value: impl AsRef<OsStr>) {
        self.list.extend([flag.into(), value.as_ref().to_owned()]);
    }

    fn pair(&mut self, flag: &str, from: impl AsRef<OsStr>, to: impl AsRef<OsStr>) {
        self.list.extend([flag.into(), from.as_ref().to_owned(), to.as_ref().to_owned()]);
    }

    /// Without `--die-with-parent`: a bubblewrap that is killed early by it leaves a half-made sandbox waiting for ever. The
    /// template ends with its socket, whoever held the other end, and dies with bubblewrap by a wish of its own.
    ///
    /// The template may mount, and make namespaces, in this sandbox; being its root is what terminals are mounted by. Machines
    /// give all of it up.
    fn isolation(&mut self, network: &Network) {
        for flag in [
            "--unshare-user",
            "--unshare-pid",
            "--unshare-ipc",
            "--unshare-uts",
            "--unshare-cgroup-try",
            "--new-session",
            "--as-pid-1",
        ] {
            self.flag(flag);
        }
        self.one("--uid", "0");
        self.one("--gid", "0");
        self.one("--cap-drop", "ALL");
        self.one("--cap-add", "CAP_SYS_ADMIN");
        // The kernel asks for it where a user namespace maps the root of the one above.
        self.one("--cap-add", "CAP_SETFCAP");
        match network {
            Network::Full => {}
            // To start the interfaces of the machines' own networks.
            Network::None | Network::Limited(_) => self.one("--cap-add", "CAP_NET_ADMIN"),
        }
        self.one("--hostname", "firedog");
    }

    fn system(&mut self) {
        self.pair("--ro-bind", "/usr", "/usr");
        for folder in ROOT_FOLDERS {
            match fs::read_link(folder) {
                Ok(target) => self.pair("--symlink", target, folder),
                Err(_) if Path::new(folder).is_dir() => self.pair("--ro-bind", folder, folder),
                Err(_) => {}
            }
        }
        self.pair("--ro-bind", "/etc", "/etc");
        self.pair("--ro-bind-try", "/nix", "/nix");
        // One by one, because the tool cache goes among them.
        for entry in fs::read_dir("/opt").into_iter().flatten().flatten() {
            if entry.file_name() != "hostedtoolcache" {
                self.pair("--ro-bind-try", entry.path(), entry.path());
            }
        }
        for path in DATA.iter().filter(|path| Path::new(path).exists()) {
            self.pair("--ro-bind-try", path, path);
        }
        for folder in ["/run", "/var/log", "/var/spool", "/mnt", "/media", "/srv"] {
            self.one("--dir", folder);
        }
        self.pair("--symlink", "/run", "/var/run");
        self.pair("--symlink", "/run/lock", "/var/lock");
        self.one("--dir", "/run/lock");
        self.one("--proc", "/proc");
        self.one("--dev", "/dev");
        // Name servers are often a file that a service keeps under `/run`.
        if let Ok(resolver) = fs::canonicalize("/etc/resolv.conf")
            && !resolver.starts_with("/etc")
            && !resolver.starts_with("/usr")
        {
            self.pair("--ro-bind-try", &resolver, &resolver);
        }
    }

    /// Mount points of what is each machine's own.
    fn private_folders(&mut self) {
        self.one("--dir", "/tmp");
        self.pair("--symlink", "/tmp", "/var/tmp");
        self.one("--dir", HOME);
        self.pair("--symlink", TOOL_CACHE, path_of(Place::ToolCache, ""));
    }

    /// What machines mount elsewhere.
    fn store(&mut self, spec: &MachineSpec, shown: &[Shown]) {
        self.one("--tmpfs", STORE);
        self.pair("--bind", &spec.scratch, format!("{STORE}/{MACHINES}"));
        if matches!(spec.network, Network::Limited(_)) {
            self.pair("--dev-bind", CLONE_DEVICE, CLONE_DEVICE_INSIDE);
        }
        for (position, Shown { from, .. }) in shown.iter().enumerate() {
            self.pair("--ro-bind", from, in_store(position));
        }
    }
}
