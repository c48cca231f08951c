//! `firedog machine ls`: the machines of a state folder, or the snapshots of machines.

use serde_json::{Value, json};
use store::{MachineRow, SnapshotRow};

use super::lease::{Leases, is_owned};
use crate::args::AnswerFormat;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::history::{local_time, utc_time};
use crate::output;
use crate::render::style::Style;
use crate::render::text::shown;
use crate::verb::runs::columns;

/// The state of a machine whose owner died.
const STRAY: &str = "stray";

/// Arguments of `ls`.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// List snapshots instead
    #[arg(long)]
    snapshots: bool,
    /// How the list is written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: AnswerFormat,
}

pub(super) fn run(args: &ListArgs, config: &Config) -> Result<Exit, Failure> {
    Leases::block_on(config, async |leases| {
        if args.snapshots {
            let rows = leases.snapshots().await?;
            match args.format {
                AnswerFormat::Json => {
                    let rows: Vec<Value> = rows.iter().map(snapshot_json).collect();
                    output::json_to_stdout(&json!({ "snapshots": rows }))?;
                }
                AnswerFormat::Text if rows.is_empty() => output::to_stderr("there are no snapshots"),
                AnswerFormat::Text => output::to_stdout(&snapshot_table(&rows, config.stdout))?,
            }
            return Ok(Exit::Success);
        }
        let rows = leases.machines().await?;
        match args.format {
            AnswerFormat::Json => {
                let rows: Vec<Value> = rows.iter().map(machine_json).collect();
                output::json_to_stdout(&json!({ "machines": rows }))?;
            }
            AnswerFormat::Text if rows.is_empty() => output::to_stderr("there are no machines"),
            AnswerFormat::Text => output::to_stdout(&machine_table(&rows, config.stdout))?,
        }
        Ok(Exit::Success)
    })
}

fn state(row: &MachineRow) -> &str {
    if is_owned(row) { &row.state } else { STRAY }
}

fn machine_json(row: &MachineRow) -> Value {
    json!({
        "id": row.id, "name": row.name, "state": state(row), "error": row.reason, "vm_type": row.kind,
        "backend": row.backend, "image": row.image, "vcpus": row.vcpus, "memory_mb": row.memory_mib,
        "owner": row.owner.split('@').next().and_then(|pid| pid.parse::<i32>().ok()), "socket": row.endpoint,
        "created_at": utc_time(row.created), "expires_at": row.expires.and_then(utc_time),
    })
}

fn snapshot_json(row: &SnapshotRow) -> Value {
    json!({
        "id": row.id, "name": row.name, "description": row.description, "machine": row.machine, "backend": row.backend,
        "image": row.image, "vcpus": row.vcpus, "memory_mb": row.memory_mib, "bytes": row.bytes,
        "created_at": utc_time(row.created),
    })
}

fn machine_table(rows: &[MachineRow], style: Style) -> String {
    let head = ["ID", "NAME", "STATE", "BACKEND", "CPUS", "MEMORY", "CREATED"].map(|name| style.bold(name));
    let lines = rows.iter().map(|row| {
        [
            row.id.clone(),
            shown(&row.name, false).into_owned(),
            state(row).to_owned(),
            row.backend.clone(),
            row.vcpus.to_string(),
            format!("{} MiB", row.memory_mib),
            local_time(row.created),
        ]
    });
    columns(&std::iter::once(head).chain(lines).collect::<Vec<_>>())
}

fn snapshot_table(rows: &[SnapshotRow], style: Style) -> String {
    let head = ["ID", "NAME", "MACHINE", "BACKEND", "SIZE", "CREATED"].map(|name| style.bold(name));
    let lines = rows.iter().map(|row| {
        [
            row.id.clone(),
            shown(&row.name, false).into_owned(),
            row.machine.clone(),
            row.backend.clone(),
            format!("{} MiB", row.bytes >> 20),
            local_time(row.created),
        ]
    });
    columns(&std::iter::once(head).chain(lines).collect::<Vec<_>>())
}
