//! `firedog machine snapshot` and `fork`.

use hyper::Method;
use serde_json::{Value, json};

use super::boot::{self, RestoredArgs, print, restored_arguments};
use super::client;
use super::lease::Leases;
use crate::args::AnswerFormat;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::state::StateFolder;

/// What can be done where there are no snapshots of memory.
const INSTEAD: &str = "make a machine that can be kept with `firedog machine boot --machine qemu`; or copy files out with \
                       `firedog machine exec MACHINE -- tar c .`";

/// Arguments of `snapshot`.
#[derive(Debug, clap::Args)]
pub(crate) struct SnapshotArgs {
    /// The machine, by its id, a beginning of it, or its name
    #[arg(value_name = "MACHINE")]
    machine: String,
    /// What to call the snapshot [default: its id]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// What to say of it
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// How the answer is written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: AnswerFormat,
}

/// Arguments of `fork`.
#[derive(Debug, clap::Args)]
pub(crate) struct ForkArgs {
    /// The machine, by its id, a beginning of it, or its name
    #[arg(value_name = "MACHINE")]
    machine: String,
    /// How many machines are made
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    count: u16,
    #[command(flatten)]
    restored: RestoredArgs,
}

pub(super) fn keep(args: &SnapshotArgs, config: &Config) -> Result<Exit, Failure> {
    Leases::block_on(config, async |leases| {
        let body = json!({ "name": args.name, "description": args.description });
        let kept = snapshot(leases, &args.machine, &body).await?;
        match args.format {
            AnswerFormat::Json => output::json_to_stdout(&kept)?,
            AnswerFormat::Text => output::to_stdout(&format!("{}\n", id(&kept)))?,
        }
        Ok(Exit::Success)
    })
}

fn id(kept: &Value) -> &str {
    kept["snapshot_id"].as_str().unwrap_or_default()
}

async fn snapshot(leases: &Leases, machine: &str, body: &Value) -> Result<Value, Failure> {
    let row = leases.machine(machine).await?;
    // The owner says the same, without what can be done.
    if matches!(row.backend.as_str(), "namespace" | "host") {
        let message = format!("machines of the {} backend have no snapshots of memory", row.backend);
        return Err(Failure::missing(message).with_help(INSTEAD));
    }
    let path = format!("/api/vms/{}/snapshots", row.id);
    client::call(&row.endpoint, Method::POST, &path, body).await
}

pub(super) fn fork(args: &ForkArgs, config: &Config) -> Result<Exit, Failure> {
    let state = StateFolder::open(&config.state)?;
    let snapshot = Leases::block_on(config, async |leases| {
        let kept = snapshot(leases, &args.machine, &json!({ "name": "fork" })).await?;
        leases.snapshot(id(&kept)).await
    })?;
    let arguments = restored_arguments(&snapshot, &args.restored);
    let starting: Vec<_> = (0..args.count).map(|_| boot::start(&arguments, &state)).collect();
    let mut failure = None;
    for started in starting {
        match started.and_then(boot::Starting::wait) {
            Ok(machine) => drop(print(args.restored.format, &machine)?),
            Err(error) => failure = Some(error),
        }
    }
    // The machines that were made of it keep what they need of its files.
    Leases::block_on(config, async |leases| leases.remove_snapshot(&snapshot).await)?;
    failure.map_or(Ok(Exit::Success), Err)
}
