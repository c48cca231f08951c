//! `firedog machine boot` and `restore`: a machine in a process of its own, which stays behind.
//!
//! That process is this program again, as `machine own`. It says on its standard output, a pipe to here, which machine it
//! owns or why it owns none; whoever is not there any more to read it gets no machine.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use serde::{Deserialize, Serialize};
use store::SnapshotRow;

use super::KindArgs;
use super::lease::Leases;
use crate::args::AnswerFormat;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::state::StateFolder;

/// Longest answer of an owner, in bytes.
const MAX_ANSWER: u64 = 64 * 1024;

/// Arguments of `boot`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct BootArgs {
    /// What to call the machine [default: its id]
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,
    /// Stop the machine after so many seconds
    #[arg(long, value_name = "SECONDS")]
    pub(super) lifetime: Option<u64>,
    /// How the answer is written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(super) format: AnswerFormat,
    /// The snapshot to go on from
    #[arg(long, value_name = "ID", hide = true)]
    pub(super) snapshot: Option<String>,
    #[command(flatten)]
    pub(super) kind: KindArgs,
}

/// Arguments of `restore`.
#[derive(Debug, clap::Args)]
pub(crate) struct RestoreArgs {
    /// The snapshot
    #[arg(value_name = "SNAPSHOT")]
    snapshot: String,
    #[command(flatten)]
    boot: RestoredArgs,
}

/// What can be said of a machine that is restored; the rest is in its snapshot.
#[derive(Debug, clap::Args)]
pub(super) struct RestoredArgs {
    /// What to call the machine [default: its id]
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,
    /// Stop the machine after so many seconds
    #[arg(long, value_name = "SECONDS")]
    pub(super) lifetime: Option<u64>,
    /// What the machine reaches, as for `boot`; `none` exactly where the machine that was kept reached nothing
    #[arg(long, value_name = "REACH", default_value = "full", value_parser = super::reach)]
    network: super::Reach,
    /// How the answer is written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(super) format: AnswerFormat,
}

/// What an owner says once, when it has its machine or cannot have it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// The machine, as the interface describes it.
    Owned(serde_json::Value),
    /// There is none.
    Failed {
        /// Why.
        cause: String,
        /// What helps.
        help: Option<String>,
        /// Whether it is this host that lacks something.
        is_missing: bool,
    },
}

pub(super) fn boot(args: &BootArgs, config: &Config) -> Result<Exit, Failure> {
    // Found here, so that a folder that cannot be used is said at once.
    let state = StateFolder::open(&config.state)?;
    let machine = start(&arguments(args), &state)?.wait()?;
    print(args.format, &machine)
}

pub(super) fn restore(args: &RestoreArgs, config: &Config) -> Result<Exit, Failure> {
    let state = StateFolder::open(&config.state)?;
    let snapshot = Leases::block_on(config, async |leases| leases.snapshot(&args.snapshot).await)?;
    let machine = start(&restored_arguments(&snapshot, &args.boot), &state)?.wait()?;
    print(args.boot.format, &machine)
}

/// Prints a machine that has been made.
pub(super) fn print(format: AnswerFormat, machine: &serde_json::Value) -> Result<Exit, Failure> {
    match format {
        AnswerFormat::Json => output::json_to_stdout(machine)?,
        AnswerFormat::Text => {
            output::to_stdout(&format!("{}\n", machine["id"].as_str().unwrap_or_default()))?
        }
    }
    Ok(Exit::Success)
}

/// The arguments with which this program owns a machine.
fn arguments(args: &BootArgs) -> Vec<String> {
    let kind = &args.kind;
    let mut arguments = common(args.name.as_deref(), args.lifetime);
    arguments.extend([
        "--machine".to_owned(),
        text(kind.machine),
        "--network".to_owned(),
        kind.network.text.clone(),
    ]);
    arguments.extend(["--image".to_owned(), kind.image.clone()]);
    arguments.extend(size(kind.vcpus, kind.memory));
    arguments
}

/// The arguments with which this program owns a machine that goes on from a snapshot.
pub(super) fn restored_arguments(snapshot: &SnapshotRow, args: &RestoredArgs) -> Vec<String> {
    let mut arguments = common(args.name.as_deref(), args.lifetime);
    arguments.extend(["--machine".to_owned(), snapshot.backend.clone()]);
    arguments.extend(["--network".to_owned(), args.network.text.clone()]);
    arguments.extend(["--snapshot".to_owned(), snapshot.id.clone()]);
    arguments.extend(snapshot.image.iter().flat_map(|image| ["--image".to_owned(), image.clone()]));
    arguments.extend(size(snapshot.vcpus, snapshot.memory_mib));
    arguments
}

fn common(name: Option<&str>, lifetime: Option<u64>) -> Vec<String> {
    let mut arguments = Vec::new();
    arguments.extend(name.iter().flat_map(|name| ["--name".to_owned(), (*name).to_owned()]));
    arguments.extend(lifetime.iter().flat_map(|seconds| ["--lifetime".to_owned(), seconds.to_string()]));
    arguments
}

fn size(vcpus: u32, memory: u32) -> [String; 4] {
    ["--vcpus".to_owned(), vcpus.to_string(), "--memory".to_owned(), memory.to_string()]
}

fn text(choice: impl clap::ValueEnum) -> String {
    choice.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// An owner that has been started.
pub(super) struct Starting {
    child: Child,
}

/// Starts an owner with these arguments.
pub(super) fn start(arguments: &[String], state: &StateFolder) -> Result<Starting, Failure> {
    let failed = |error| Failure::new(Exit::Usage, error).while_doing("cannot start the machine's owner");
    let program = std::env::current_exe().map_err(failed)?;
    let log = state.path().join("machines.log");
    let log = std::fs::OpenOptions::new().append(true).create(true).open(log).map_err(failed)?;
    let mut command = Command::new(program);
    command.args(["machine", "own"]).args(arguments).arg("--state-dir").arg(state.path());
    // What the caller's folder is has no bearing, and it would be kept from being removed.
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
    Ok(Starting { child: command.spawn().map_err(failed)? })
}

impl Starting {
    /// Waits until the owner has its machine.
    pub(super) fn wait(mut self) -> Result<serde_json::Value, Failure> {
        let answers = self.child.stdout.take().expect("its standard output is a pipe");
        let mut line = String::new();
        // An owner that dies leaves the pipe empty.
        let _ = BufReader::new(answers).take(MAX_ANSWER).read_line(&mut line);
        match serde_json::from_str(&line) {
            Ok(Answer::Owned(machine)) => Ok(machine),
            Ok(Answer::Failed { cause, help, is_missing }) => {
                let failure = if is_missing { Failure::missing(cause) } else { Failure::usage(cause) };
                Err(match help {
                    Some(help) => failure.with_help(help),
                    None => failure,
                })
            }
            Err(_) => {
                let ended = self.child.wait().map(|status| status.to_string());
                let ended = ended.unwrap_or_else(|error| error.to_string());
                Err(Failure::usage(format!("the machine's owner ended without a word: {ended}"))
                    .with_help("`machines.log` in the state folder may say why"))
            }
        }
    }
}
