//! `firedog machine`: machines that are made, used and removed by hand or over HTTP.
//!
//! Each machine has an owner, a process that holds it and listens on a Unix socket: `serve` for all of its machines, or the
//! process that `boot` leaves behind for one. The other verbs find the owner's socket by the machine's lease in the state
//! folder and use the same HTTP interface as everybody else.

mod boot;
mod client;
mod lease;
mod list;
mod own;
mod process;
mod serve;
mod snapshot;

use std::path::PathBuf;

use clap::Subcommand;
use machine::{BackendName, MachineSpec, Size};
use server::machines::{BODY_DEADLINE, Settings};
use store::Store;

use super::run::args::{DEFAULT_IMAGE, MachineChoice, NetworkChoice, network};
use super::run::machines::{agent, caller, find};
use super::run::network::of as network_of;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::state::StateFolder;

/// Arguments of `machine`.
#[derive(Debug, clap::Args)]
pub(crate) struct MachineArgs {
    #[command(subcommand)]
    verb: MachineVerb,
}

#[derive(Debug, Subcommand)]
#[command(subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
enum MachineVerb {
    /// Make a machine that stays until it is stopped; prints its id
    Boot(boot::BootArgs),
    /// List machines, or snapshots of machines
    Ls(list::ListArgs),
    /// Run a program in a machine; standard input, output and the exit code pass through
    Exec(process::ExecArgs),
    /// Open a shell on a terminal in a machine
    Shell(process::ShellArgs),
    /// Keep a machine's memory, processes and files; prints the snapshot's id
    Snapshot(snapshot::SnapshotArgs),
    /// Make a machine that goes on from a snapshot; prints its id
    Restore(boot::RestoreArgs),
    /// Make machines that go on from where a machine is now; prints their ids
    Fork(snapshot::ForkArgs),
    /// Stop machines and remove them
    Stop(lease::StopArgs),
    /// Remove what machines of processes that died have left
    Gc(lease::CollectArgs),
    /// Serve machines over HTTP
    Serve(serve::ServeArgs),
    /// Print a token for the machines that `serve` serves
    Token(serve::TokenArgs),
    /// Own a machine; started by `boot`
    #[command(hide = true)]
    Own(boot::BootArgs),
}

/// What machines are made of.
#[derive(Debug, Clone, clap::Args)]
struct KindArgs {
    /// The kind of machine: `host` is this machine itself, without isolation
    #[arg(long, value_name = "KIND", default_value = "auto", help_heading = "Machines")]
    machine: MachineChoice,
    /// The image that virtual machines are made of: a name or a digest of `firedog image ls`
    #[arg(long, value_name = "IMAGE", default_value = DEFAULT_IMAGE, help_heading = "Machines")]
    image: String,
    /// What the machines reach: `full`, `none`, or `allow=DESTINATION,…` as for `firedog run`
    #[arg(long, value_name = "REACH", default_value = "full", value_parser = reach, help_heading = "Machines")]
    network: Reach,
    /// Virtual processors of a machine
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Machines")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=64))]
    vcpus: u32,
    /// Memory of a machine in MiB
    #[arg(long, value_name = "MIB", default_value_t = 512, help_heading = "Machines")]
    #[arg(value_parser = clap::value_parser!(u32).range(64..=1_048_576))]
    memory: u32,
}

/// What machines reach, with the text that says so.
#[derive(Debug, Clone)]
struct Reach {
    text: String,
    choice: NetworkChoice,
}

fn reach(text: &str) -> Result<Reach, String> {
    Ok(Reach { text: text.to_owned(), choice: network(text)? })
}

impl KindArgs {
    fn size(&self) -> Size {
        Size { vcpus: self.vcpus, memory_mib: self.memory }
    }

    /// How machines of this kind are made by this process, which listens at `endpoint`.
    fn settings(
        &self,
        config: &Config,
        state: &StateFolder,
        store: &Store,
        endpoint: PathBuf,
    ) -> Result<Settings, Failure> {
        let backend = find(self.machine, &self.image, config)?;
        let is_virtual = matches!(backend.name(), BackendName::Qemu | BackendName::Firecracker);
        let caller = caller(&[]);
        Ok(Settings {
            backend,
            spec: MachineSpec {
                name: String::new(),
                repository: "workspace".to_owned(),
                folders: Vec::new(),
                in_memory: Vec::new(),
                read_only: Vec::new(),
                network: network_of(&self.network.choice, &[], &caller)?,
                caller,
                size: None,
                scratch: state.scratch(),
                agent: agent()?,
            },
            size: self.size(),
            image: is_virtual.then(|| self.image.clone()),
            store: store.clone(),
            endpoint,
            snapshots: state.path().join("machine-snapshots"),
            keeps_snapshots: false,
            body_deadline: BODY_DEADLINE,
            warm: 0,
            report: output::to_stderr,
        })
    }
}

pub(crate) fn run(args: MachineArgs, config: &Config) -> Result<Exit, Failure> {
    match args.verb {
        MachineVerb::Boot(args) => boot::boot(&args, config),
        MachineVerb::Restore(args) => boot::restore(&args, config),
        MachineVerb::Own(args) => own::run(&args, config),
        MachineVerb::Ls(args) => list::run(&args, config),
        MachineVerb::Exec(args) => process::exec(args, config),
        MachineVerb::Shell(args) => process::shell(args, config),
        MachineVerb::Snapshot(args) => snapshot::keep(&args, config),
        MachineVerb::Fork(args) => snapshot::fork(&args, config),
        MachineVerb::Stop(args) => lease::stop(&args, config),
        MachineVerb::Gc(args) => lease::collect(&args, config),
        MachineVerb::Serve(args) => serve::serve(&args, config),
        MachineVerb::Token(args) => serve::token(&args),
    }
}

/// The socket of this process, below the state folder.
fn endpoint(state: &StateFolder) -> PathBuf {
    state.path().join("sockets").join(format!("{}.sock", state.owner().id()))
}
