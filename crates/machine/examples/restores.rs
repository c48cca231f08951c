//! Goes on from one snapshot of a virtual machine many times, in a row and beside each other, and tells how long it took.
//!
//! `restores IMAGE IN_A_ROW AT_ONCE BATCHES`, where IMAGE is a folder with `vmlinux`, `initramfs*.cpio` and `root.ext4`. Ends with an
//! error at the first machine that does not answer, and where anything is left behind.

#![expect(clippy::print_stdout, reason = "what it tells is its result")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use machine::qemu::{Accelerator, Program, Qemu};
use machine::vm::{Image, User};
use machine::{
    AgentCommand, Caller, ExecSpec, ExitStatus, Machine, MachineSpec, Network, OutputMode, RunAs, Stdin,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let usage = "IMAGE IN_A_ROW AT_ONCE BATCHES";
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or(usage)?);
    let mut number = || arguments.next().ok_or(usage)?.parse::<usize>().map_err(Box::<dyn Error>::from);
    let (in_a_row, at_once, batches) = (number()?, number()?, number()?);
    let path: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    let qemu = Qemu::new(Program::find(&path)?, Accelerator::Tcg, image(&folder)?);
    let root = std::env::temp_dir().join(format!("firedog-restores-{}", std::process::id()));
    let spec = spec(&root, path);
    let begin = Instant::now();
    let machine = Machine::start(&qemu, &spec).await?;
    first_command(&machine).await?;
    println!("boot to the first command: {:?}", begin.elapsed());
    let snapshot = root.join("snapshot");
    let begin = Instant::now();
    machine.snapshot(&snapshot).await?;
    println!("snapshot: {:?}", begin.elapsed());
    machine.stop().await;
    let mut times = Vec::new();
    for _ in 0..in_a_row {
        times.push(restore(&qemu, &spec, &snapshot).await?);
    }
    report("in a row", times);
    let mut times = Vec::new();
    for _ in 0..batches {
        let machines = (0..at_once).map(|_| restore(&qemu, &spec, &snapshot));
        times.extend(futures_util::future::try_join_all(machines).await?);
    }
    report("beside each other", times);
    machine::scratch::wait_for_removals();
    let left: Vec<_> = std::fs::read_dir(&spec.scratch)?.flatten().map(|entry| entry.file_name()).collect();
    let left: Vec<_> = left.iter().filter(|name| !name.to_string_lossy().starts_with("spare-")).collect();
    std::fs::remove_dir_all(&root)?;
    if left.is_empty() { Ok(()) } else { Err(format!("left behind: {left:?}").into()) }
}

fn report(name: &str, mut times: Vec<Duration>) {
    times.sort();
    if let (Some(median), Some(last)) = (times.get(times.len() / 2), times.last()) {
        println!(
            "{} restores {name}, to the first command: median {median:?}, slowest {last:?}",
            times.len()
        );
    }
}

async fn restore(qemu: &Qemu, spec: &MachineSpec, snapshot: &Path) -> Result<Duration, Box<dyn Error>> {
    let begin = Instant::now();
    let machine = Machine::restore(qemu, spec, snapshot).await?;
    first_command(&machine).await?;
    let time = begin.elapsed();
    machine.stop().await;
    Ok(time)
}

async fn first_command(machine: &Machine) -> Result<(), Box<dyn Error>> {
    let exec = ExecSpec {
        argv: ["sh", "-c", "true"].map(str::to_owned).to_vec(),
        env: machine.environment().to_vec(),
        cwd: "/".to_owned(),
        stdin: Stdin::Null,
        output: OutputMode::Merged,
        user: RunAs::User,
    };
    match machine.exec(exec).await?.wait().await? {
        ExitStatus::Code(0) => Ok(()),
        other => Err(format!("the first command ended with {other:?}").into()),
    }
}

fn image(folder: &Path) -> Result<Image, Box<dyn Error>> {
    let files = std::fs::read_dir(folder)?.flatten().map(|entry| entry.path());
    let is_initramfs = |file: &PathBuf| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("initramfs") && name.ends_with(".cpio")
    };
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    Ok(Image {
        digest: "example".to_owned(),
        kernel: folder.join("vmlinux"),
        initramfs: files.into_iter().find(is_initramfs).ok_or("the image has no initramfs")?,
        root: folder.join("root.ext4"),
        user: User { name: "runner".to_owned(), uid: 1001, gid: 1001, home: "/home/runner".to_owned() },
        environment: vec![("PATH".to_owned(), path.to_owned())],
    })
}

fn spec(root: &Path, path: Vec<PathBuf>) -> MachineSpec {
    MachineSpec {
        name: "restores".to_owned(),
        repository: "demo".to_owned(),
        folders: Vec::new(),
        in_memory: Vec::new(),
        read_only: Vec::new(),
        caller: Caller { path, ..Caller::default() },
        network: Network::None,
        size: None,
        scratch: root.join("scratch"),
        agent: AgentCommand { program: PathBuf::new(), arguments: Vec::new() },
    }
}
