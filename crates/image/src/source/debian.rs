//! A root file system of Debian packages, installed by `mmdebstrap` without root where the host allows that.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::program::{Program, ProgramError};
use crate::progress::{Progress, Reporter};
use crate::recipe::DebianPackages;
use crate::source::Root;
use crate::source::node::{self, NodeError};
use crate::tarball::{self, TarError, Whiteouts};
use crate::tree::{Content, Kind, Metadata, Tree, TreeError};

/// Why there is no root file system.
#[derive(Debug, thiserror::Error)]
pub enum DebianError {
    /// The text is no name of a release, or of a package.
    #[error("`{0}` is no name of a Debian release or package")]
    Name(String),
    /// The program that installs packages failed.
    #[error("cannot install Debian packages")]
    Install(#[from] ProgramError),
    /// What it made cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The archive.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What it made is not as it should be.
    #[error("cannot use what Debian's packages became")]
    Tar(#[from] TarError),
    /// There is no Node.js.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// A setting cannot be put into it.
    #[error("cannot use what Debian's packages became")]
    Tree(#[source] TreeError),
}

/// Folders with documentation in all languages: half of the files, and nothing that a job reads.
const LEFT_OUT: &[&str] = &[
    "/usr/share/doc/*",
    "/usr/share/info/*",
    "/usr/share/locale/*",
    "/usr/share/man/*",
    "/usr/share/lintian/*",
    "/usr/share/bug/*",
];
/// Licences stay, as they demand.
const KEPT: &[&str] = &["/usr/share/doc/*/copyright"];

/// The packages of a choice, besides what Debian marks as essential.
pub(crate) fn packages(choice: DebianPackages) -> &'static [&'static str] {
    match choice {
        DebianPackages::Base => &[],
        DebianPackages::Minimal => &["ca-certificates", "curl", "git", "procps", "iproute2", "sudo"],
        DebianPackages::Ci => CI,
    }
}

const CI: &[&str] = &[
    "autoconf",
    "automake",
    "bash-completion",
    "bc",
    "bind9-dnsutils",
    "bison",
    "brotli",
    "build-essential",
    "bzip2",
    "ca-certificates",
    "clang",
    "cmake",
    "coreutils",
    "curl",
    "dbus",
    "dpkg-dev",
    "fakeroot",
    "file",
    "findutils",
    "flex",
    "g++",
    "gcc",
    "gdb",
    "git",
    "git-lfs",
    "gnupg",
    "gzip",
    "iproute2",
    "iputils-ping",
    "jq",
    "less",
    "libbz2-dev",
    "libcurl4-openssl-dev",
    "libffi-dev",
    "liblzma-dev",
    "libsqlite3-dev",
    "libssl-dev",
    "libtool",
    "libxml2-dev",
    "libyaml-dev",
    "locales",
    "lsof",
    "lz4",
    "m4",
    "make",
    "nano",
    "net-tools",
    "netcat-openbsd",
    "ninja-build",
    "openssh-client",
    "openssl",
    "p7zip-full",
    "parallel",
    "patch",
    "patchelf",
    "perl",
    "pipx",
    "pkg-config",
    "procps",
    "psmisc",
    "python-is-python3",
    "python3",
    "python3-dev",
    "python3-pip",
    "python3-venv",
    "rsync",
    "ruby",
    "shellcheck",
    "sqlite3",
    "strace",
    "sudo",
    "tar",
    "time",
    "tree",
    "tzdata",
    "unzip",
    "uuid-runtime",
    "wget",
    "xz-utils",
    "yamllint",
    "zip",
    "zlib1g-dev",
    "zstd",
    "zsync",
];

/// Installs packages into a new root file system; `folder` is for what is written on the way.
pub(crate) fn root(
    suite: &str,
    choice: DebianPackages,
    more: &[String],
    epoch: i64,
    folder: &Path,
    report: Reporter<'_>,
) -> Result<Root, DebianError> {
    let mut names: Vec<&str> =
        packages(choice).iter().copied().chain(more.iter().map(String::as_str)).collect();
    names.sort_unstable();
    names.dedup();
    for name in names.iter().chain([&suite]) {
        check_name(name)?;
    }
    report(Progress::Stage("installing Debian packages"));
    let archive = folder.join("debian.tar");
    let mut program = installer()
        .variable("SOURCE_DATE_EPOCH", epoch.to_string())
        .variable("TMPDIR", folder)
        .arguments(["--variant=minbase", "--format=tar", "--dpkgopt=force-unsafe-io"])
        .arguments(LEFT_OUT.iter().map(|path| format!("--dpkgopt=path-exclude={path}")))
        .arguments(KEPT.iter().map(|path| format!("--dpkgopt=path-include={path}")));
    if !names.is_empty() {
        program = program.argument(format!("--include={}", names.join(",")));
    }
    program.argument(suite).argument(&archive).run(report)?;
    let file = File::open(&archive).map_err(|source| DebianError::Read { path: archive.clone(), source })?;
    let mut tree = Tree::new();
    tarball::read_into(&mut tree, file, Whiteouts::Keep)?;
    let mut root = Root::new(tree, format!("debian {suite}"));
    root.environment.insert("LANG".to_owned(), "C.UTF-8".to_owned());
    if choice == DebianPackages::Ci {
        root.tools = node::install(&mut root.tree, folder, report)?;
        as_on_github(&mut root, suite)?;
    }
    Ok(root)
}

/// `mmdebstrap`, in a world of its own where this is root: what it mounts is seen by nobody else and ends with it, and
/// so does every process that it starts. Without root it makes such a world itself.
fn installer() -> Program {
    if rustix::process::geteuid().is_root() {
        Program::new("unshare", "util-linux")
            .needs("mmdebstrap", "mmdebstrap")
            .arguments(["--mount", "--propagation=private", "--pid", "--fork", "--kill-child=SIGKILL"])
            .arguments(["--mount-proc", "--", "mmdebstrap", "--mode=root"])
    } else {
        Program::that_cleans_up("mmdebstrap", "mmdebstrap").argument("--mode=unshare")
    }
}

/// Settings that jobs find on GitHub's machines, as far as they are true here.
fn as_on_github(root: &mut Root, suite: &str) -> Result<(), DebianError> {
    let os = if suite == "bookworm" { "debian12" } else { suite };
    let settings = [
        ("AGENT_TOOLSDIRECTORY", "/opt/hostedtoolcache"),
        ("DEBIAN_FRONTEND", "noninteractive"),
        ("ImageOS", os),
    ];
    root.environment.extend(settings.map(|(name, value)| (name.to_owned(), value.to_owned())));
    // Without it `pip install` demands a virtual environment first.
    let pip = Content::Bytes(Arc::from(b"[global]\nbreak-system-packages = true\n".as_slice()));
    root.tree
        .put(b"/etc/pip.conf", Metadata::of_root(0o644), Kind::Regular(pip))
        .map_err(DebianError::Tree)?;
    Ok(())
}

/// Names are words of a list that `mmdebstrap` splits at commas and spaces.
fn check_name(name: &str) -> Result<(), DebianError> {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let begins_well = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if is_plain && begins_well && name.len() < 128 {
        Ok(())
    } else {
        Err(DebianError::Name(name.chars().take(80).collect()))
    }
}
