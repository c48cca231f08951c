//! What every root file system gets, wherever it comes from: mount points, a user, a name; and loses: what differs from
//! build to build and belongs to a machine rather than to an image.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use crate::manifest::{Tool, User};
use crate::source::Root;
use crate::tree::{Content, Kind, Metadata, Tree, TreeError};

/// Who runs a job, with the numbers of GitHub's machines.
const RUNNER: &str = "runner";
const RUNNER_ID: u32 = 1001;
/// Groups of that user on GitHub's machines, where the image has them.
const RUNNER_GROUPS: &[&str] = &["adm", "users", "sudo"];
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Folders that the agent mounts something on.
const MOUNT_POINTS: &[(&str, u16)] = &[
    ("/proc", 0o555),
    ("/sys", 0o555),
    ("/dev", 0o755),
    ("/run", 0o755),
    ("/tmp", 0o1777),
    ("/var/tmp", 0o1777),
];
/// What machines write there is not the image's.
const EMPTIED: &[&str] = &["/proc", "/sys", "/dev", "/run", "/tmp", "/var/tmp"];
/// Files that name one machine, or tell when and how packages were installed.
const REMOVED: &[&str] = &[
    "/.dockerenv",
    "/etc/.pwd.lock",
    "/etc/passwd-",
    "/etc/group-",
    "/etc/shadow-",
    "/etc/gshadow-",
    "/etc/subuid-",
    "/etc/subgid-",
    "/var/cache/apt/pkgcache.bin",
    "/var/cache/apt/srcpkgcache.bin",
    "/var/cache/ldconfig/aux-cache",
    "/var/lib/dbus/machine-id",
    "/var/lib/systemd/random-seed",
    "/var/log/alternatives.log",
    "/var/log/apt",
    "/var/log/bootstrap.log",
    "/var/log/dpkg.log",
    "/var/log/fontconfig.log",
    "/var/log/lastlog",
    "/var/log/faillog",
];
/// The largest file of those that are read here (`passwd`, the list of packages), in bytes.
const MAX_TABLE: u64 = 64 << 20;

/// Why a root file system cannot become an image.
#[derive(Debug, thiserror::Error)]
pub enum FinishError {
    /// Nothing in it can run a script.
    #[error("the root file system has no `/bin/sh`, so no step could run in it")]
    NoShell,
    /// Its programs are for another processor.
    #[error("the root file system is for {found}, and this machine has {}", std::env::consts::ARCH)]
    Architecture {
        /// What its shell is for.
        found: String,
    },
    /// It has something where a folder must be, or the like.
    #[error("the root file system is not usable")]
    Tree(#[from] TreeError),
    /// Its user is not in its table of users.
    #[error("the image's user `{0}` is not in its `/etc/passwd`")]
    UnknownUser(String),
    /// A table of it cannot be read.
    #[error("cannot read `{path}` of the root file system")]
    Read {
        /// The file.
        path: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// What the manifest says of a root file system.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) user: User,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) working_directory: String,
    pub(crate) tools: Vec<Tool>,
}

/// A shell of another architecture is found now and not in a machine. What is no program may be a script.
fn check_shell(shell: &Content) -> Result<(), FinishError> {
    const HEADER: usize = 20;
    let mut header = [0; HEADER];
    let read = |source| FinishError::Read { path: "/bin/sh", source };
    if shell.len() < HEADER as u64 {
        return Ok(());
    }
    shell.reader().read_exact(&mut header).map_err(read)?;
    match crate::kernel::processor(&header) {
        Some(found) if found != std::env::consts::ARCH => Err(FinishError::Architecture { found }),
        _ => Ok(()),
    }
}

/// Makes the root file system ready for machines; no file in it is newer than `epoch`.
pub(crate) fn finish(root: &mut Root, epoch: i64) -> Result<Finished, FinishError> {
    let tree = &mut root.tree;
    check_shell(tree.content(b"/bin/sh").ok_or(FinishError::NoShell)?)?;
    for path in EMPTIED {
        tree.empty_folder(path.as_bytes());
    }
    for (path, permissions) in MOUNT_POINTS {
        tree.put(path.as_bytes(), Metadata::of_root(*permissions), Kind::Folder(BTreeMap::new()))?;
    }
    for path in REMOVED {
        tree.remove(path.as_bytes())?;
    }
    name_machine(tree)?;
    let user = match &root.user {
        None => runner(tree)?,
        Some(name) => known_user(tree, name)?,
    };
    for (_, id) in tree.walk() {
        let metadata = tree.metadata_mut(id);
        metadata.modified = metadata.modified.clamp(0, epoch);
    }
    let mut environment = root.environment.clone();
    environment.entry("PATH".to_owned()).or_insert_with(|| DEFAULT_PATH.to_owned());
    let home = if tree.find(user.home.as_bytes()).is_ok() { user.home.clone() } else { "/".to_owned() };
    Ok(Finished {
        working_directory: root.working_directory.clone().unwrap_or(home),
        user,
        environment,
        tools: tools(tree, root.tools.clone())?,
    })
}

/// Each machine has a number and a resolver of its own, which its agent writes; the name is the same for all at first.
fn name_machine(tree: &mut Tree) -> Result<(), TreeError> {
    put_text(tree, "/etc/machine-id", 0o444, "")?;
    put_text(tree, "/etc/hostname", 0o644, "firedog\n")?;
    put_text(tree, "/etc/resolv.conf", 0o644, "")?;
    let hosts = "127.0.0.1 localhost firedog\n::1 localhost ip6-localhost ip6-loopback\n";
    put_text(tree, "/etc/hosts", 0o644, hosts)
}

fn put_text(tree: &mut Tree, path: &str, permissions: u16, text: &str) -> Result<(), TreeError> {
    let content = Content::Bytes(Arc::from(text.as_bytes()));
    tree.put(path.as_bytes(), Metadata::of_root(permissions), Kind::Regular(content)).map(drop)
}

/// A table of `/etc`, empty where it is missing.
fn table(tree: &Tree, path: &'static str) -> Result<String, FinishError> {
    let Some(content) = tree.content(path.as_bytes()) else { return Ok(String::new()) };
    let bytes = content.read(MAX_TABLE).map_err(|source| FinishError::Read { path, source })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Changes a table; owner and permissions stay.
fn change(
    tree: &mut Tree,
    path: &'static str,
    permissions: u16,
    edit: impl FnOnce(String) -> String,
) -> Result<(), FinishError> {
    let text = edit(table(tree, path)?);
    let metadata = match tree.find(path.as_bytes()) {
        Ok(id) => tree.node(id).metadata.clone(),
        Err(_) => Metadata::of_root(permissions),
    };
    tree.put(path.as_bytes(), metadata, Kind::Regular(Content::Bytes(Arc::from(text.into_bytes()))))?;
    Ok(())
}

/// The user in a line of `/etc/passwd`.
fn user_in(line: &str) -> Option<User> {
    let mut fields = line.split(':');
    let name = fields.next()?.to_owned();
    let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
    let home = fields.nth(1)?;
    let home = if home.starts_with('/') { home } else { "/" };
    Some(User { name, uid, gid, home: home.to_owned() })
}

/// The user of this name or number.
pub(crate) fn known_user(tree: &Tree, text: &str) -> Result<User, FinishError> {
    let (name, group) = text.split_once(':').map_or((text, None), |(name, group)| (name, Some(group)));
    let users = table(tree, "/etc/passwd")?;
    let number = name.parse::<u32>().ok();
    let found = users.lines().filter_map(user_in).find(|user| user.name == name || Some(user.uid) == number);
    let mut user = match (found, name, number) {
        (Some(user), _, _) => user,
        (None, "root", _) | (None, _, Some(0)) => {
            User { name: "root".to_owned(), uid: 0, gid: 0, home: "/root".to_owned() }
        }
        // A number without a name is good enough for a container, and for a machine.
        (None, _, Some(uid)) => User { name: name.to_owned(), uid, gid: 0, home: "/".to_owned() },
        (None, _, None) => return Err(FinishError::UnknownUser(text.to_owned())),
    };
    if let Some(group) = group {
        let groups = table(tree, "/etc/group")?;
        let found = groups.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            (*fields.first()? == group).then(|| fields.get(2)?.parse().ok()).flatten()
        });
        user.gid =
            found.or_else(|| group.parse().ok()).ok_or_else(|| FinishError::UnknownUser(text.to_owned()))?;
    }
    Ok(user)
}

/// The user of GitHub's machines, made where there is none of that name.
fn runner(tree: &mut Tree) -> Result<User, FinishError> {
    let users = table(tree, "/etc/passwd")?;
    if let Some(user) = users.lines().filter_map(user_in).find(|user| user.name == RUNNER) {
        return Ok(user);
    }
    let home = format!("/home/{RUNNER}");
    let shell = if tree.find(b"/bin/bash").is_ok() { "/bin/bash" } else { "/bin/sh" };
    let line = format!("{RUNNER}:x:{RUNNER_ID}:{RUNNER_ID}::{home}:{shell}\n");
    let root = "root:x:0:0:root:/root:/bin/sh\n";
    change(
        tree,
        "/etc/passwd",
        0o644,
        |text| if text.is_empty() { format!("{root}{line}") } else { text + &line },
    )?;
    change(tree, "/etc/group", 0o644, with_runner_group)?;
    if tree.find(b"/etc/shadow").is_ok() {
        change(tree, "/etc/shadow", 0o640, |text| format!("{text}{RUNNER}:!:::::::\n"))?;
    }
    if tree.find(b"/etc/sudoers.d").is_ok() {
        put_text(tree, "/etc/sudoers.d/runner", 0o440, &format!("{RUNNER} ALL=(ALL) NOPASSWD:ALL\n"))?;
    }
    let own = |permissions| Metadata { uid: RUNNER_ID, gid: RUNNER_ID, ..Metadata::of_root(permissions) };
    tree.put(home.as_bytes(), own(0o755), Kind::Folder(BTreeMap::new()))?;
    for name in [".bashrc", ".profile", ".bash_logout"] {
        if let Some(content) = tree.content(format!("/etc/skel/{name}").as_bytes()).cloned() {
            tree.put(format!("{home}/{name}").as_bytes(), own(0o644), Kind::Regular(content))?;
        }
    }
    // Where actions like `setup-python` keep what they install.
    tree.put(b"/opt/hostedtoolcache", own(0o755), Kind::Folder(BTreeMap::new()))?;
    Ok(User { name: RUNNER.to_owned(), uid: RUNNER_ID, gid: RUNNER_ID, home })
}

/// A table of groups with the user's own group, and the user in those that it shall be in.
fn with_runner_group(text: String) -> String {
    let text = if text.is_empty() { "root:x:0:\n".to_owned() } else { text };
    let mut groups: Vec<String> = text.lines().map(str::to_owned).collect();
    for group in &mut groups {
        let name = group.split(':').next().unwrap_or_default();
        if RUNNER_GROUPS.contains(&name) && group.matches(':').count() == 3 {
            let separator = if group.ends_with(':') { "" } else { "," };
            group.push_str(&format!("{separator}{RUNNER}"));
        }
    }
    groups.push(format!("{RUNNER}:x:{RUNNER_ID}:"));
    groups.join("\n") + "\n"
}

/// The packages that the root file system says it has, in Debian's list or Alpine's, besides `tools`.
fn tools(tree: &Tree, mut tools: Vec<Tool>) -> Result<Vec<Tool>, FinishError> {
    for (path, name_key, version_key) in
        [("/var/lib/dpkg/status", "Package: ", "Version: "), ("/lib/apk/db/installed", "P:", "V:")]
    {
        for paragraph in table(tree, path)?.split("\n\n") {
            let value = |key: &str| paragraph.lines().find_map(|line| line.strip_prefix(key));
            if let (Some(name), Some(version)) = (value(name_key), value(version_key)) {
                tools.push(Tool { name: name.to_owned(), version: version.to_owned() });
            }
        }
    }
    tools.sort();
    tools.dedup();
    Ok(tools)
}
