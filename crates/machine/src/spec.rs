//! What a machine is to be.

use std::path::PathBuf;
use std::sync::Arc;

/// All that a backend needs to know to boot a machine.
#[derive(Debug, Clone)]
pub struct MachineSpec {
    /// Names the machine in messages and in its scratch folder; letters, digits, `-` and `_` are kept.
    pub name: String,
    /// The repository's name without its owner: the workspace is `…/work/NAME/NAME`, as on GitHub.
    pub repository: String,
    /// What the machine's folders begin with. A place that is not named begins empty.
    pub folders: Vec<Folder>,
    /// Names of folders in [`Place::Temp`] for small files that come and go. The backend may keep them in memory.
    pub in_memory: Vec<String>,
    /// Host paths that the machine sees at the same place, read-only.
    pub read_only: Vec<PathBuf>,
    /// Whose tools the machine offers.
    pub caller: Caller,
    /// What the machine reaches.
    pub network: Network,
    /// What the machine is held to, as far as this host lets the backend; none for what the backend gives by itself.
    pub size: Option<Size>,
    /// The host folder under which machines keep their private files, one folder each.
    pub scratch: PathBuf,
    /// The program that becomes the guest agent.
    pub agent: AgentCommand,
}

impl MachineSpec {
    /// What a place begins with.
    pub fn content(&self, place: Place) -> &Content {
        self.folders
            .iter()
            .rev()
            .find(|folder| folder.place == place)
            .map_or(&Content::Empty, |folder| &folder.content)
    }
}

/// The person or service for whom the machine runs, as far as a machine may know.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Caller {
    /// The home folder. Its files are hidden from isolated machines, tools on `path` excepted.
    pub home: PathBuf,
    /// The folders of `PATH`, in their order.
    pub path: Vec<PathBuf>,
    /// The environment. Only variables that say where tools, certificates and proxies are get into a machine.
    pub environment: Vec<(String, String)>,
}

impl Caller {
    /// The value of one of the caller's environment variables; an empty one counts as unset.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let found = self.environment.iter().rev().find(|(variable, _)| variable == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }
}

/// How large a machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Virtual processors.
    pub vcpus: u32,
    /// Memory in MiB.
    pub memory_mib: u32,
}

/// A folder of the machine that has a meaning to GitHub's runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// `GITHUB_WORKSPACE`.
    Workspace,
    /// `RUNNER_TEMP`.
    Temp,
    /// `HOME`.
    Home,
    /// `RUNNER_TOOL_CACHE`.
    ToolCache,
    /// Where downloaded actions are kept.
    Actions,
}

impl Place {
    /// Every place, in a fixed order.
    pub const ALL: [Self; 5] = [Self::Workspace, Self::Temp, Self::Home, Self::ToolCache, Self::Actions];
}

/// A place and what it begins with.
#[derive(Debug, Clone)]
pub struct Folder {
    /// The place.
    pub place: Place,
    /// What is in it when the machine starts.
    pub content: Content,
}

/// What a folder begins with.
#[derive(Debug, Clone)]
pub enum Content {
    /// Nothing.
    Empty,
    /// Copies of files, symbolic links and (empty) folders below `root`, with their modes.
    Copy {
        /// The folder that `entries` are relative to.
        root: PathBuf,
        /// What to copy; parents are created.
        entries: Arc<Vec<PathBuf>>,
    },
    /// The host folder itself, which the machine cannot change where the backend isolates.
    ReadOnly(PathBuf),
}

/// What a machine reaches.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Network {
    /// The world. A virtual machine has a network of its own and reaches what is public; any other machine shares the host's
    /// network and reaches all that the host does.
    #[default]
    Full,
    /// Only its own loopback interface.
    None,
    /// What a policy admits, by a network of its own.
    Limited(Arc<network::Policy>),
}

/// The program that becomes the guest agent; it must call `guest::serve::main`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentCommand {
    /// The executable on the host.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}
