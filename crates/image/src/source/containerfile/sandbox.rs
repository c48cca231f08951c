//! Runs commands of a containerfile: in a folder that is the root, with namespaces of their own, with the host's network.
//!
//! ```text
//! Tree ──tar──> folder ──bubblewrap──> folder ──tar──> Tree
//! ```
//!
//! Invariants: a command sees nothing of the host's files; as on a container engine, its root has few of root's powers, and none over
//! the host. Who is not root on the host is root of a user namespace, in which the folder's files belong to whom they belong in the image.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use guest::run_as::RUN_AS;

use crate::AGENT;
use crate::program::{Program, ProgramError};
use crate::progress::Reporter;
use crate::tarball::{self, TarError, Whiteouts};
use crate::tree::{Kind, Tree};

/// What root may do in a container, as Docker has it, without making devices and raw packets.
const POWERS: [&str; 10] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
];
/// Where commands find the agent that starts them, outside of what is kept.
const AGENT_PLACE: &str = "/dev/.firedog-guest";
const HOST_RESOLVERS: &str = "/etc/resolv.conf";

/// Why a command cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A file of the build cannot be written or read.
    #[error("cannot {operation} `{}`", path.display())]
    File {
        /// A verb.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A program of the host failed.
    #[error("cannot put the root into a folder and back")]
    Program(#[source] ProgramError),
    /// What the commands left cannot be read.
    #[error("cannot use what the commands left")]
    Tar(#[from] TarError),
    /// The sandbox cannot be made, or the command failed.
    #[error(transparent)]
    Run(ProgramError),
}

/// A root in a folder.
#[derive(Debug)]
pub(super) struct Sandbox {
    scratch: PathBuf,
    root: PathBuf,
    agent: PathBuf,
}

/// One command.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) words: Vec<String>,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) working_directory: String,
    pub(super) user: (u32, u32),
}

/// A program that sees owners as they are in the image.
fn as_root(name: &str, package: &'static str) -> Program {
    if rustix::process::geteuid().is_root() {
        return Program::new(name, package);
    }
    Program::new("unshare", "util-linux").arguments(["--user", "--map-root-user", "--map-auto", "--", name])
}

impl Sandbox {
    /// Unpacks a tree into a folder of `scratch`. Devices are left out: commands get those that they need.
    pub(super) fn unpack(tree: &Tree, scratch: &Path, report: Reporter<'_>) -> Result<Self, SandboxError> {
        let file = |operation, path: &Path| {
            let path = path.to_owned();
            move |source| SandboxError::File { operation, path, source }
        };
        let agent = scratch.join("agent");
        fs::write(&agent, AGENT).map_err(file("write", &agent))?;
        let executable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(&agent, executable).map_err(file("write", &agent))?;
        let root = scratch.join("root");
        fs::create_dir(&root).map_err(file("make", &root))?;
        let sandbox = Self { scratch: scratch.to_owned(), root, agent };
        let archive = sandbox.scratch.join("in.tar");
        let packed = File::create(&archive).and_then(|to| pack(tree, to));
        packed.map_err(file("write", &archive))?;
        let input = File::open(&archive).map_err(file("read", &archive))?;
        let unpack = as_root("tar", "tar")
            .arguments(["--extract", "--same-owner", "--same-permissions", "--numeric-owner", "--xattrs"])
            .arguments(["--xattrs-include=security.capability", "--delay-directory-restore", "--directory"])
            .argument(&sandbox.root)
            .standard_input(input)
            .standard_output(std::process::Stdio::null());
        unpack.run(report).map_err(SandboxError::Program)?;
        fs::remove_file(&archive).map_err(file("remove", &archive))?;
        Ok(sandbox)
    }

    /// Runs a command to its end.
    pub(super) fn run(&self, step: &Step, report: Reporter<'_>) -> Result<(), SandboxError> {
        let mut program = as_root("bwrap", "bubblewrap")
            .argument("--bind")
            .argument(&self.root)
            .arguments(["/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/dev/shm"])
            .argument("--ro-bind")
            .argument(&self.agent)
            .argument(AGENT_PLACE)
            .arguments(["--ro-bind-try", HOST_RESOLVERS, HOST_RESOLVERS])
            .arguments(["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"])
            .arguments(["--hostname", "build", "--die-with-parent", "--new-session", "--clearenv"])
            .arguments(["--chdir", &step.working_directory]);
        for power in POWERS {
            program = program.arguments(["--cap-add", power]);
        }
        for (name, value) in &step.environment {
            program = program.arguments(["--setenv", name, value]);
        }
        let (uid, gid) = step.user;
        program = program.arguments(["--", AGENT_PLACE, RUN_AS, &uid.to_string(), &gid.to_string()]);
        program.arguments(&step.words).run(report).map_err(SandboxError::Run)
    }

    /// Reads back what is in the folder now, and removes it.
    pub(super) fn pack(self, report: Reporter<'_>) -> Result<Tree, SandboxError> {
        let archive = self.scratch.join("out.tar");
        let file = |operation| {
            let path = archive.clone();
            move |source| SandboxError::File { operation, path, source }
        };
        as_root("tar", "tar")
            .arguments(["--create", "--format=posix", "--one-file-system", "--numeric-owner", "--xattrs"])
            .arguments(["--xattrs-include=security.capability", "--sort=name", "--file"])
            .argument(&archive)
            .argument("--directory")
            .argument(&self.root)
            .argument(".")
            .run(report)
            .map_err(SandboxError::Program)?;
        let packed = File::open(&archive).map_err(file("read"))?;
        // The tree keeps it open, and nobody else needs it.
        fs::remove_file(&archive).map_err(file("remove"))?;
        let mut tree = Tree::new();
        tarball::read_into(&mut tree, packed, Whiteouts::Keep)?;
        Ok(tree)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // Some of the files may be another user's. What is left is removed with the build's folder.
        let _ = as_root("rm", "coreutils").arguments(["-rf", "--"]).argument(&self.root).run(&|_| ());
    }
}

/// Writes a tree as an archive.
fn pack(tree: &Tree, to: File) -> io::Result<()> {
    let mut builder = tar::Builder::new(BufWriter::with_capacity(1 << 20, to));
    let mut first_names: HashMap<usize, Vec<u8>> = HashMap::new();
    for (path, id) in tree.walk() {
        let Some(path) = path.strip_prefix(b"/").map(<[u8]>::to_vec) else { continue };
        let name = Path::new(std::ffi::OsStr::from_bytes(&path));
        let node = tree.node(id);
        let mut header = tar::Header::new_gnu();
        header.set_mode(u32::from(node.metadata.permissions));
        header.set_uid(u64::from(node.metadata.uid));
        header.set_gid(u64::from(node.metadata.gid));
        header.set_mtime(u64::try_from(node.metadata.modified).unwrap_or(0));
        header.set_size(0);
        let link = |target: &[u8]| PathBuf::from(std::ffi::OsStr::from_bytes(target));
        if let Some(first) = first_names.get(&id) {
            header.set_entry_type(tar::EntryType::Link);
            builder.append_link(&mut header, name, link(first))?;
            continue;
        }
        if !matches!(node.kind, Kind::Folder(_)) {
            first_names.insert(id, path.clone());
        }
        let attributes = node.metadata.attributes.iter();
        let attributes: Vec<(String, &[u8])> =
            attributes.map(|(name, value)| (format!("SCHILY.xattr.{name}"), value.as_slice())).collect();
        let is_plain = matches!(node.kind, Kind::Folder(_) | Kind::Regular(_));
        if !attributes.is_empty() && is_plain {
            builder.append_pax_extensions(attributes.iter().map(|(name, value)| (name.as_str(), *value)))?;
        }
        match &node.kind {
            Kind::Folder(_) => {
                header.set_entry_type(tar::EntryType::Directory);
                builder.append_data(&mut header, name, io::empty())?;
            }
            Kind::Regular(content) => {
                header.set_size(content.len());
                builder.append_data(&mut header, name, content.reader())?;
            }
            Kind::Link(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                builder.append_link(&mut header, name, link(target))?;
            }
            Kind::Pipe => {
                header.set_entry_type(tar::EntryType::Fifo);
                builder.append_data(&mut header, name, io::empty())?;
            }
            Kind::Character { .. } | Kind::Block { .. } => {}
        }
    }
    builder.into_inner()?.into_inner()?.sync_data()
}
