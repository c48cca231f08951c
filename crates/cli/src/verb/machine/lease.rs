//! Machines and snapshots by what people type, `firedog machine stop` and `gc`.

use std::path::PathBuf;
use std::time::Duration;

use hyper::Method;
use machine::leftovers::ProcessIdentity;
use serde_json::json;
use server::machines::ApiError;
use store::{MachineRow, SnapshotRow, Store};

use super::client;
use crate::args::AnswerFormat;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::history;
use crate::output;
use crate::state::StateFolder;

/// How long threads that are stuck in a system call may hold up the end.
const LAST_THREADS: Duration = Duration::from_millis(100);

/// Arguments of `stop`.
#[derive(Debug, clap::Args)]
pub(crate) struct StopArgs {
    /// The machines, by their ids, a beginning of them, or their names
    #[arg(value_name = "MACHINE", required_unless_present = "all", conflicts_with = "all")]
    machines: Vec<String>,
    /// Stop every machine of this state folder
    #[arg(long)]
    all: bool,
}

/// Arguments of `gc`.
#[derive(Debug, clap::Args)]
pub(crate) struct CollectArgs {
    /// Also remove the snapshots of machines that are not there any more
    #[arg(long)]
    snapshots: bool,
    /// How the answer is written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: AnswerFormat,
}

/// The machines and snapshots of a state folder.
#[derive(Debug)]
pub(super) struct Leases {
    store: Store,
    scratch: PathBuf,
    // Keeps this process registered as long as it uses the folder.
    _state: StateFolder,
}

/// Runs a future to its end on a runtime of its own.
pub(super) fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Usage, error).while_doing("cannot start"))?;
    let result = runtime.block_on(future);
    runtime.shutdown_timeout(LAST_THREADS);
    result
}

impl Leases {
    pub(super) async fn open(config: &Config) -> Result<Self, Failure> {
        let state = StateFolder::open(&config.state)?;
        let store = history::open_store(&state).await?;
        Ok(Self { store, scratch: state.scratch(), _state: state })
    }

    /// Does something with the machines of the configured state folder.
    pub(super) fn block_on<T>(
        config: &Config,
        work: impl AsyncFnOnce(&Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        block_on(async {
            let leases = Self::open(config).await?;
            work(&leases).await
        })
    }

    pub(super) async fn machines(&self) -> Result<Vec<MachineRow>, Failure> {
        self.store.machines().await.map_err(history::unreadable)
    }

    pub(super) async fn snapshots(&self) -> Result<Vec<SnapshotRow>, Failure> {
        self.store.machine_snapshots().await.map_err(history::unreadable)
    }

    /// The machine with this id, with an id that begins like this, or with this name.
    pub(super) async fn machine(&self, wanted: &str) -> Result<MachineRow, Failure> {
        let all = self.machines().await?;
        let row = one(all, wanted, "machine", |row| (&row.id, &row.name))?;
        if !is_owned(&row) {
            let message = format!("the process that owned the machine `{}` died", row.id);
            return Err(Failure::usage(message).with_help("`firedog machine gc` removes what it left"));
        }
        Ok(row)
    }

    /// The snapshot with this id, with an id that begins like this, or with this name.
    pub(super) async fn snapshot(&self, wanted: &str) -> Result<SnapshotRow, Failure> {
        one(self.snapshots().await?, wanted, "snapshot", |row| (&row.id, &row.name))
    }

    /// Removes a snapshot with its folder.
    pub(super) async fn remove_snapshot(&self, row: &SnapshotRow) -> Result<(), Failure> {
        match std::fs::remove_dir_all(&row.folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let doing = format!("cannot remove `{}`", row.folder);
                return Err(Failure::new(Exit::Usage, error).while_doing(doing));
            }
            _ => {}
        }
        self.store.remove_machine_snapshot(&row.id).await.map_err(|error| Failure::new(Exit::Usage, error))
    }
}

/// Whether the process that owns a machine is there.
pub(super) fn is_owned(row: &MachineRow) -> bool {
    row.owner.parse::<ProcessIdentity>().is_ok_and(|owner| owner.is_alive())
}

/// The one row that is meant by `wanted`.
fn one<T>(
    rows: Vec<T>,
    wanted: &str,
    what: &str,
    names: impl Fn(&T) -> (&String, &String),
) -> Result<T, Failure> {
    let exact = |row: &T| names(row).0 == wanted || names(row).1 == wanted;
    let begins = |row: &T| !wanted.is_empty() && names(row).0.starts_with(wanted);
    let (found, others): (Vec<T>, Vec<T>) = rows.into_iter().partition(exact);
    let mut found = if found.is_empty() { others.into_iter().filter(begins).collect() } else { found };
    match found.len() {
        0 => Err(Failure::usage(format!("there is no {what} `{wanted}`")).with_help(format!(
            "`firedog machine ls{}` lists them",
            if what == "machine" { "" } else { " --snapshots" }
        ))),
        1 => Ok(found.remove(0)),
        _ => {
            let ids: Vec<&str> = found.iter().map(|row| names(row).0.as_str()).collect();
            Err(Failure::usage(format!("`{wanted}` is several {what}s: {}", ids.join(", "))))
        }
    }
}

/// The failure for what the interface refused.
pub(super) fn api_failure(error: ApiError) -> Failure {
    let text = error.text();
    match error {
        ApiError::NoMemory { .. } | ApiError::NoMemoryNow { .. } => {
            Failure::missing(text).with_help("stop a machine, or ask for a smaller one with `--memory MIB`")
        }
        ApiError::NoSnapshots { .. } | ApiError::Boot { .. } => Failure::missing(text),
        _ => Failure::usage(text),
    }
}

pub(super) fn stop(args: &StopArgs, config: &Config) -> Result<Exit, Failure> {
    Leases::block_on(config, async |leases| {
        let mut rows = Vec::new();
        if args.all {
            rows = leases.machines().await?.into_iter().filter(is_owned).collect();
        }
        for machine in &args.machines {
            rows.push(leases.machine(machine).await?);
        }
        for row in rows {
            let path = format!("/api/vms/{}", row.id);
            client::call(&row.endpoint, Method::DELETE, &path, &json!({})).await?;
        }
        Ok(Exit::Success)
    })
}

pub(super) fn collect(args: &CollectArgs, config: &Config) -> Result<Exit, Failure> {
    Leases::block_on(config, async |leases| {
        let collected = server::machines::collect(&leases.store, &leases.scratch)
            .await
            .map_err(|error| Failure::new(Exit::Usage, error))?;
        let mut snapshots = Vec::new();
        if args.snapshots {
            let machines = leases.machines().await?;
            let is_left = |row: &SnapshotRow| machines.iter().all(|machine| machine.id != row.machine);
            for row in leases.snapshots().await?.into_iter().filter(is_left) {
                leases.remove_snapshot(&row).await?;
                snapshots.push(row.id);
            }
        }
        let is_whole = collected.iter().all(|one| one.left.is_empty());
        match args.format {
            AnswerFormat::Json => {
                let machines: Vec<_> = collected
                    .iter()
                    .map(|one| json!({ "id": one.id, "name": one.name, "left": one.left }))
                    .collect();
                output::json_to_stdout(&json!({ "machines": machines, "snapshots": snapshots }))?;
            }
            AnswerFormat::Text => {
                for one in &collected {
                    output::to_stdout(&format!("{}\n", one.id))?;
                    one.left
                        .iter()
                        .for_each(|left| output::to_stderr(&format!("warning: still there: {left}")));
                }
                snapshots.iter().try_for_each(|id| output::to_stdout(&format!("{id}\n")))?;
            }
        }
        Ok(if is_whole { Exit::Success } else { Exit::Negative })
    })
}

#[cfg(test)]
mod tests {
    use super::one;

    fn check(wanted: &str, expected: Result<&str, &str>) {
        let row = |id: &str, name: &str| (id.to_owned(), name.to_owned());
        let rows = vec![row("vm-12", "one"), row("vm-13", "two"), row("vm-2", "two"), row("vm-21", "vm-2")];
        let found = one(rows, wanted, "machine", |(id, name)| (id, name));
        let found = found.map(|(id, _)| id).map_err(|failure| failure.cause());
        assert_eq!(found.as_deref().map_err(String::as_str), expected, "{wanted}");
    }

    #[test]
    fn a_machine_is_named_by_its_id_a_beginning_or_its_name() {
        check("vm-12", Ok("vm-12"));
        check("one", Ok("vm-12"));
        check("vm-13", Ok("vm-13"));
        check("vm-1", Err("`vm-1` is several machines: vm-12, vm-13"));
        check("two", Err("`two` is several machines: vm-13, vm-2"));
        check("vm-2", Err("`vm-2` is several machines: vm-2, vm-21"));
        check("x", Err("there is no machine `x`"));
        check("", Err("there is no machine ``"));
    }
}
