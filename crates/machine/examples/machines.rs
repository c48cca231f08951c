//! Makes machines one after another and runs `true` in each, to be measured from outside:
//! `perf stat machines namespace 20 1 AGENT` for 20 machines with one process each.

use std::path::PathBuf;

use machine::probe::{Choice, Wanted, select};
use machine::{AgentCommand, Caller, ExecSpec, Machine, MachineSpec, Network, OutputMode, RunAs, Stdin};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("BACKEND MACHINES PROCESSES AGENT [ARGUMENTS]");
    let choice = if next()? == "host" { Choice::Host } else { Choice::Namespace };
    let (machines, processes) = (next()?.parse::<u32>()?, next()?.parse::<u32>()?);
    let agent = AgentCommand { program: PathBuf::from(next()?), arguments: arguments.collect() };
    let path: Vec<_> = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    let backend = select(Wanted { choice, has_network: true }, &path, &no_image)?.backend;
    let scratch = std::env::temp_dir().join(format!("machines-{}", std::process::id()));
    let spec = MachineSpec {
        name: "measured".to_owned(),
        repository: "measured".to_owned(),
        folders: Vec::new(),
        in_memory: Vec::new(),
        read_only: Vec::new(),
        caller: Caller {
            home: std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default(),
            path,
            environment: std::env::vars().collect(),
        },
        network: Network::Full,
        size: None,
        scratch: scratch.clone(),
        agent,
    };
    tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build()?.block_on(async {
        for _ in 0..machines {
            let machine = Machine::start(&*backend, &spec).await?;
            for _ in 0..processes {
                run(&machine).await?;
            }
            machine.stop().await;
        }
        Ok::<_, Box<dyn std::error::Error>>(())
    })?;
    std::fs::remove_dir(scratch)?;
    Ok(())
}

async fn run(machine: &Machine) -> Result<(), Box<dyn std::error::Error>> {
    let exec = ExecSpec {
        argv: vec!["true".to_owned()],
        env: machine.environment().to_vec(),
        cwd: "/".to_owned(),
        stdin: Stdin::Null,
        output: OutputMode::Merged,
        user: RunAs::User,
    };
    machine.exec(exec).await?.wait().await?;
    Ok(())
}

fn no_image() -> Result<machine::probe::FoundImage, machine::probe::NoBackend> {
    Err(machine::probe::NoBackend { reason: "it is not asked for".to_owned(), remedy: None })
}
