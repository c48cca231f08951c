//! Bubblewrap's command line for a machine.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::tools::{Tools, is_visible};
use super::{HOME, TOOL_CACHE, folder_name, path_of};
use crate::spec::{Content, MachineSpec, Network, Place};

/// Where the agent's executable is inside.
pub(super) const AGENT: &str = "/run/firedog/agent";

/// Where Go finds modules that the caller has downloaded.
const GO_MODULES: &str = "/run/firedog/go-modules";

/// Cargo's home inside: writable, with the caller's registry in it.
const CARGO_HOME: &str = "/home/runner/.cargo";

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

/// Variables about language, time and tool behaviour that are the same inside.
const PASSED: [&str; 7] =
    ["LANG", "LANGUAGE", "LC_ALL", "TZ", "RUSTUP_TOOLCHAIN", "RUSTUP_AUTO_INSTALL", "PYENV_VERSION"];

/// Variables that name files with certificates.
const CERTIFICATES: [&str; 9] = [
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

/// The arguments up to the program to run.
pub(super) fn build(spec: &MachineSpec, tools: &Tools, scratch: &Path) -> Vec<OsString> {
    let mut arguments = Arguments::default();
    arguments.isolation(spec.network);
    arguments.system(&spec.caller.home);
    arguments.private_folders(spec, scratch);
    arguments.tools(tools);
    for path in &spec.read_only {
        arguments.pair("--ro-bind", path, path);
    }
    for name in CERTIFICATES {
        if let Some(file) = spec.caller.variable(name).map(Path::new)
            && file.is_absolute()
            && !is_visible(file, &tools.shown)
        {
            arguments.pair("--ro-bind-try", file, file);
        }
    }
    arguments.pair("--ro-bind", &spec.agent.program, AGENT);
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
    let mut passed: Vec<&str> = PASSED.iter().chain(&CERTIFICATES).copied().collect();
    match spec.network {
        Network::Full => passed.extend(PROXIES),
        Network::None => {}
    }
    let values =
        passed.into_iter().filter_map(|name| Some((name.to_owned(), caller.variable(name)?.to_owned())));
    environment.extend(values);
    if tools.go_modules.is_some() {
        let proxies = match spec.network {
            Network::Full => ",https://proxy.golang.org,direct",
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
    /// agent ends with its stream, whoever held the other end, and dies with bubblewrap by a wish of its own.
    fn isolation(&mut self, network: Network) {
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
        match network {
            Network::Full => {}
            Network::None => self.flag("--unshare-net"),
        }
        self.one("--cap-drop", "ALL");
        self.one("--hostname", "firedog");
        // The filter's program is the standard output that bubblewrap is started with.
        self.one("--seccomp", "1");
    }

    fn system(&mut self, home: &Path) {
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
        // The caller may be root, who owns the kernel's settings: being without capabilities does not protect those.
        let has_files = |path: &&&str| fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
        if rustix::process::geteuid().is_root() {
            for settings in KERNEL_SETTINGS.iter().filter(has_files) {
                self.pair("--ro-bind", settings, settings);
            }
        }
        self.one("--dev", "/dev");
        self.hide_secrets();
        // Name servers are often a file that a service keeps under `/run`.
        if let Ok(resolver) = fs::canonicalize("/etc/resolv.conf")
            && !resolver.starts_with("/etc")
            && !resolver.starts_with("/usr")
        {
            self.pair("--ro-bind-try", &resolver, &resolver);
        }
        // A service's home may lie inside what is shown.
        if ["/usr", "/opt", "/nix", "/etc"].iter().any(|shown| home.starts_with(shown)) && home.is_dir() {
            self.one("--tmpfs", home);
        }
    }

    fn hide_secrets(&mut self) {
        let keys = fs::read_dir("/etc/ssh").into_iter().flatten().flatten().map(|entry| entry.path()).filter(
            |path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ssh_host_")),
        );
        let secrets = SECRETS.iter().map(PathBuf::from).chain(keys);
        // What the caller cannot read, the machine cannot either.
        for path in secrets.filter(|path| access(path, Access::READ_OK).is_ok()) {
            if path.is_dir() {
                self.one("--tmpfs", &path);
            } else {
                self.pair("--ro-bind", "/dev/null", &path);
            }
        }
    }

    fn private_folders(&mut self, spec: &MachineSpec, scratch: &Path) {
        self.pair("--bind", scratch.join("tmp"), "/tmp");
        self.pair("--symlink", "/tmp", "/var/tmp");
        self.pair("--bind", scratch.join("home"), HOME);
        self.pair("--symlink", TOOL_CACHE, path_of(Place::ToolCache, ""));
        for place in Place::ALL {
            if let Content::ReadOnly(root) = spec.content(place) {
                let inside = match place {
                    Place::ToolCache => TOOL_CACHE.to_owned(),
                    other => path_of(other, folder_name(&spec.repository)),
                };
                self.pair("--ro-bind", root, inside);
            }
        }
    }

    fn tools(&mut self, tools: &Tools) {
        for path in &tools.shown {
            self.pair("--ro-bind-try", path, path);
        }
        for (path, name) in &tools.cargo {
            self.pair("--ro-bind", path, format!("{CARGO_HOME}/{name}"));
        }
        if let Some(pyenv) = &tools.pyenv {
            self.one("--tmpfs", &pyenv.shims);
        }
        if let Some(modules) = &tools.go_modules {
            self.pair("--ro-bind", modules, GO_MODULES);
        }
    }
}
