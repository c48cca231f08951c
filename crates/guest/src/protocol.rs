//! The messages between a host and the agent in its machine.
//!
//! The host chooses every `id`; a reply carries the id of the request that it answers. A process keeps the id of its
//! [`Request::Exec`] until [`Reply::Exited`]. Requests are carried out in the order in which they arrive, except that
//! processes, hashes and archives run beside each other.
//!
//! Flow control: each process may have [`WINDOW`] bytes of output under way (every frame counts [`FRAME_COST`] bytes
//! more than it carries). The host hands room back with [`Request::Grant`]. An agent without room stops reading from the
//! process, which then blocks; other processes on the stream go on. The same holds for the chunks of an outgoing archive.
//! What goes into a process or an incoming archive is bounded by the number of chunks that the agent has not yet taken.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// Both sides must speak the same version; there is no negotiation, because the host brings its own agent.
pub const PROTOCOL_VERSION: u32 = 4;

/// Longest encoded message, in bytes, in either direction.
pub const MAX_FRAME: usize = 1 << 20;

/// Most bytes of output or file content that one frame carries.
pub const MAX_CHUNK: usize = 64 * 1024;

/// Bytes of output that may be under way for one process or transfer.
pub const WINDOW: u32 = 1 << 20;

/// What a frame costs of the window beyond its content, so that tiny frames are bounded too.
pub const FRAME_COST: u32 = 128;

/// Most chunks of an incoming archive that the agent has not yet taken.
pub const TAR_PIPELINE: usize = 4;

/// Most chunks of a process's input that the agent has not yet passed on.
pub const INPUT_PIPELINE: usize = 4;

/// The environment variable by which a step's orphans are recognised, as on GitHub's runner.
pub const TRACKING_VARIABLE: &str = "RUNNER_TRACKING_ID";

/// What the host asks of the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each variant explains its fields")]
pub enum Request {
    /// Start a process: answered by `Started`, then `Output`, then `Exited`; or by `Failed`.
    Exec { id: u32, exec: Exec },
    /// Send a signal to a process that `Exec` started. Answered by `Done`, also when it has ended already.
    Signal { id: u32, process: u32, signal: i32, scope: Scope },
    /// When the process ends, kill what is left of its tree before `Exited` is sent. Answered by `Done`, also when it has
    /// ended already.
    KillRest { id: u32, process: u32 },
    /// Room for that many more bytes of output of the process or transfer `id`. Not answered.
    Grant { id: u32, bytes: u32 },
    /// The next bytes, at most [`MAX_CHUNK`], for a process with [`Stdin::Stream`]. Answered by `Taken` for the process's id
    /// once they have been passed on, or dropped because nobody reads them; not answered when the process has ended.
    Input { process: u32, data: ByteBuf },
    /// There is no more input for the process. A terminal gets its end-of-file character. Not answered.
    EndInput { process: u32 },
    /// The terminal of a process has another size. Answered by `Done`, also when the process has none or has ended.
    Resize { id: u32, process: u32, size: TerminalSize },
    /// Nobody reads this process any more: kill its whole tree, discard its output. Not answered.
    Abandon { id: u32 },
    /// Write files, creating their parents. Answered by `Done`.
    WriteFiles { id: u32, files: Vec<FileWrite> },
    /// Read regular files: a `File` for each path, in chunks, then `Done`. One longer than `max_bytes` is a failure.
    ReadFiles { id: u32, paths: Vec<String>, max_bytes: u64 },
    /// Look programs up on a search path. Answered by `Paths`, one entry a name.
    Which { id: u32, names: Vec<String>, path: String },
    /// Hash the files below `root` that match `patterns`, as `hashFiles` does. Answered by `Hashed`.
    Hash { id: u32, root: String, patterns: Vec<String> },
    /// Unpack the tar archive that follows in `TarChunk`s into the folder `destination`. Answered by `Done`.
    PutTar { id: u32, destination: String },
    /// The next part of the archive of `PutTar`; an empty one ends it. Each is answered by `Taken`.
    TarChunk { id: u32, data: ByteBuf },
    /// Pack the folder `root` (or only `entries` of it): `Data` chunks, then `Done`.
    GetTar { id: u32, root: String, entries: Vec<String> },
    /// Kill everything, answer `Usage`, end.
    Shutdown { id: u32 },
    /// Become this machine and no other: for the first process of a virtual machine, after its boot and after each restore, before
    /// anything runs. Answered by `Done`.
    Configure { id: u32, configuration: Box<Configuration> },
    /// Answered by `Done`: all requests before it have been read, and the agent waits for the next.
    Reach { id: u32 },
}

/// What makes a virtual machine one of its own: what a snapshot must not share with its copies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// The host name.
    pub hostname: String,
    /// `/etc/machine-id`: 32 hexadecimal digits.
    pub machine_id: String,
    /// Nanoseconds since 1970, UTC.
    pub time: u64,
    /// Random bytes, which count as entropy.
    pub entropy: ByteBuf,
    /// Whose processes and files there are where nothing else is said.
    pub user: User,
    /// Folders to make for that user, parents first; those that are there stay as they are.
    pub folders: Vec<String>,
    /// The network.
    pub network: Option<NetworkConfiguration>,
}

/// A user of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct User {
    /// The name.
    pub name: String,
    /// The user's number.
    pub uid: u32,
    /// The number of the user's group.
    pub gid: u32,
    /// The home folder.
    pub home: String,
}

/// How a machine reaches others, by its first network interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkConfiguration {
    /// Its address.
    pub address: std::net::Ipv4Addr,
    /// How many bits of the address name the network.
    pub prefix: u8,
    /// Where everything else goes.
    pub gateway: Option<std::net::Ipv4Addr>,
    /// Who answers questions of names.
    pub name_servers: Vec<std::net::IpAddr>,
    /// The interface's hardware address, where it must not be the one of the snapshot.
    pub hardware_address: Option<[u8; 6]>,
    /// The longest packet, in bytes, where it is not what the interface begins with.
    pub mtu: Option<u16>,
}

/// A process to start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exec {
    /// Program and arguments. A name without a slash is looked up on the `PATH` of `env`.
    pub argv: Vec<String>,
    /// The whole environment: nothing is inherited.
    pub env: Vec<(String, String)>,
    /// The folder that the process starts in.
    pub cwd: String,
    /// What the process reads.
    pub stdin: Stdin,
    /// Where its output goes.
    pub output: OutputMode,
    /// As whom it runs.
    pub user: RunAs,
}

/// As whom a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum RunAs {
    /// As the user of the machine: who is configured, or else whoever the agent runs as.
    #[default]
    User,
    /// As whoever the agent runs as; in a virtual machine this is root.
    Agent,
}

/// What a process finds on its standard input.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Stdin {
    /// End of file at once.
    #[default]
    Null,
    /// These bytes, then end of file.
    Bytes(ByteBuf),
    /// What [`Request::Input`] brings, until [`Request::EndInput`].
    Stream,
}

/// How standard output and standard error travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum OutputMode {
    /// Both into one pipe, so that their order is exact; reported as [`Stream::Stdout`].
    #[default]
    Merged,
    /// Each through its own pipe; their order relative to each other is lost.
    Separate,
    /// Both to a terminal of this size, which is also where input comes from. The process leads a session of its own there.
    Terminal(TerminalSize),
}

/// The size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

/// The stream that a piece of output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Stream {
    /// Standard output, or both in `Merged` mode and from a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How far a signal reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// The process alone.
    Process,
    /// Its process group: what a terminal's Ctrl-C would reach.
    Group,
    /// Every descendant, also those in sessions of their own.
    Tree,
}

/// A file, or a part of one, to write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileWrite {
    /// Absolute path in the guest.
    pub path: String,
    /// The bytes to write.
    pub data: ByteBuf,
    /// Permission bits, such as `0o644`.
    pub mode: u32,
    /// Whether `data` replaces the file's content or goes to its end.
    pub placement: Placement,
}

/// Where written bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Placement {
    /// They become the whole content.
    #[default]
    Replace,
    /// They go to the end.
    Append,
}

/// What the agent says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each variant explains its fields")]
pub enum Reply<'a> {
    /// Output of a process. First, because [`frame::output_head`](crate::frame::output_head) writes it by hand.
    Output {
        id: u32,
        stream: Stream,
        #[serde(borrow, with = "serde_bytes")]
        data: &'a [u8],
    },
    /// A part of an archive (under the same flow control as output) or of a file.
    Data {
        id: u32,
        index: u32,
        #[serde(borrow, with = "serde_bytes")]
        data: &'a [u8],
    },
    /// The process runs; `pid` is its number inside the machine.
    Started { id: u32, pid: i32 },
    /// The process ended and all its output has been sent.
    Exited { id: u32, status: ExitStatus },
    /// The file at `index` of `ReadFiles` exists (its `Data` came before) or not.
    File { id: u32, index: u32, found: Found },
    /// The answer to `Which`.
    Paths { id: u32, paths: Vec<Option<String>> },
    /// The answer to `Hash`: lower-case hexadecimal, or empty when no file matches.
    Hashed { id: u32, hash: String },
    /// A `TarChunk` has been written, or an `Input` passed on; the next may follow.
    Taken { id: u32 },
    /// The request is carried out.
    Done { id: u32 },
    /// The request failed: what was being done, and why.
    Failed { id: u32, operation: String, message: String },
    /// What everything in the machine used, in answer to `Shutdown`.
    Usage { id: u32, usage: Usage },
}

/// Whether a file to read is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Found {
    /// It was read whole.
    Read,
    /// There is no such file.
    Missing,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ExitStatus {
    /// It exited with this code.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
}

impl ExitStatus {
    /// Exit code zero.
    pub fn success(self) -> bool {
        self == Self::Code(0)
    }

    /// The code as a shell would show it: 128 and the signal's number for a signal.
    pub fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }
}

/// What the processes of a machine used, as far as they were waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// CPU time in user mode, in microseconds.
    pub user_microseconds: u64,
    /// CPU time in the kernel, in microseconds.
    pub system_microseconds: u64,
    /// The most memory that any one process held, in KiB.
    pub peak_kib: u64,
}
