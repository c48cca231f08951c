//! Machines for tests, and what tests do with them.

use std::path::{Path, PathBuf};

use machine::leftovers::Leftover;
use machine::namespace::Namespace;
use machine::probe;
use machine::qemu::{Accelerator, Program, Qemu};
use machine::vm::{Image, User};
use machine::{
    AgentCommand, Backend, BackendName, Caller, ExecSpec, ExitStatus, Folder, Machine, MachineSpec, Network,
    OutputMode, Process, RunAs, Stdin,
};
use rustix::process::Pid;
use tokio::sync::OnceCell;

/// A machine's specification with everything private below `root`.
pub(crate) fn spec(root: &Path) -> MachineSpec {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    MachineSpec {
        name: "test machine/1".to_owned(),
        repository: "demo".to_owned(),
        folders: Vec::<Folder>::new(),
        in_memory: Vec::new(),
        read_only: Vec::new(),
        caller: Caller {
            home: PathBuf::from(variable("HOME")),
            path: std::env::split_paths(&variable("PATH")).collect(),
            environment: std::env::vars().collect(),
        },
        network: Network::Full,
        size: None,
        scratch: root.join("scratch"),
        agent: AgentCommand {
            program: PathBuf::from(env!("CARGO_BIN_EXE_machine-agent")),
            arguments: Vec::new(),
        },
    }
}

/// A command line for `sh`, started in the root folder.
pub(crate) fn shell(machine: &Machine, script: &str) -> ExecSpec {
    ExecSpec {
        argv: vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()],
        env: machine.environment().to_vec(),
        cwd: "/".to_owned(),
        stdin: Stdin::Null,
        output: OutputMode::Merged,
        user: RunAs::User,
    }
}

/// All output of a process, and how it ended.
pub(crate) async fn finish(process: &mut Process) -> (Vec<u8>, ExitStatus) {
    let mut output = Vec::new();
    while let Some(piece) = process.next_output().await {
        output.extend_from_slice(&piece.bytes);
    }
    (output, process.wait().await.expect("the machine is there"))
}

/// Runs a shell script to its end.
pub(crate) async fn run(machine: &Machine, script: &str) -> (String, ExitStatus) {
    let mut process = machine.exec(shell(machine, script)).await.expect("the shell starts");
    let (output, status) = finish(&mut process).await;
    (String::from_utf8_lossy(&output).into_owned(), status)
}

/// The backends that this host has.
pub(crate) async fn backends() -> Vec<Box<dyn Backend>> {
    let mut backends: Vec<Box<dyn Backend>> = vec![Box::new(machine::host::Host)];
    if let Some(namespace) = namespace() {
        backends.push(Box::new(namespace));
    }
    if let Some(qemu) = warm_qemu().await {
        backends.push(Box::new(qemu));
    }
    if let Some(firecracker) = crate::fake::sound_backend() {
        backends.push(Box::new(firecracker));
    }
    backends
}

/// QEMU with the image for tests, by translation: so it is the same on every host. Says so where something is missing.
#[expect(clippy::print_stderr, reason = "a test that is skipped must be seen to be")]
pub(crate) fn qemu() -> Option<Qemu> {
    let Some(folder) = std::env::var_os("FIREDOG_TEST_IMAGE").map(PathBuf::from) else {
        eprintln!("skipped: FIREDOG_TEST_IMAGE names no image for virtual machines");
        return None;
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    match Program::find(&std::env::split_paths(&path).collect::<Vec<_>>()) {
        Ok(program) => Some(Qemu::new(program, Accelerator::Tcg, image(&folder))),
        Err(error) => {
            eprintln!("skipped: {error}");
            None
        }
    }
}

/// The image in a folder.
pub(crate) fn image(folder: &Path) -> Image {
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let files = std::fs::read_dir(folder).expect("FIREDOG_TEST_IMAGE is a folder").flatten();
    let is_initramfs = |file: &PathBuf| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("initramfs") && name.ends_with(".cpio")
    };
    let initramfs = files.map(|entry| entry.path()).find(is_initramfs);
    Image {
        digest: "test".to_owned(),
        kernel: folder.join("vmlinux"),
        initramfs: initramfs.expect("the image has an initramfs"),
        root: folder.join("root.ext4"),
        user: User { name: "runner".to_owned(), uid: 1001, gid: 1001, home: "/home/runner".to_owned() },
        environment: vec![("PATH".to_owned(), path.to_owned())],
    }
}

/// QEMU whose machines begin as copies of one that was booted once for all tests.
async fn warm_qemu() -> Option<Qemu> {
    static WARM: OnceCell<PathBuf> = OnceCell::const_new();
    let qemu = qemu()?;
    let snapshot = WARM.get_or_init(|| async {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("warm-{}", std::process::id()));
        for entry in std::fs::read_dir(env!("CARGO_TARGET_TMPDIR")).expect("there is such a folder").flatten()
        {
            let name = entry.file_name().to_string_lossy().into_owned();
            let owner = name.strip_prefix("warm-").and_then(|owner| owner.parse::<u32>().ok());
            if owner.is_some_and(|owner| !Path::new(&format!("/proc/{owner}")).exists()) {
                std::fs::remove_dir_all(entry.path()).expect("nobody else uses it");
            }
        }
        let machine = Machine::start(&qemu, &spec(&root)).await.expect("the machine starts");
        let snapshot = root.join("snapshot");
        machine.snapshot(&snapshot).await.expect("the machine can be kept");
        machine.stop().await;
        snapshot
    });
    let snapshot = snapshot.await.clone();
    Some(qemu.starting_from(snapshot))
}

/// The namespace backend; says so where this host has none.
#[expect(clippy::print_stderr, reason = "a test that is skipped must be seen to be")]
pub(crate) fn namespace() -> Option<Namespace> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    match probe::try_namespace(&std::env::split_paths(&path).collect::<Vec<_>>()) {
        Ok(namespace) => Some(namespace),
        Err(error) => {
            eprintln!("skipped: {error}");
            None
        }
    }
}

/// What stopped machines left below their root, spare folders excepted.
pub(crate) fn left(scratch: &Path) -> Vec<String> {
    machine::scratch::wait_for_removals();
    let entries = std::fs::read_dir(scratch).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| !name.starts_with("spare-")).collect()
}

/// The processes of this host whose command line has `mark`, of the program `name` if one is given.
pub(crate) fn processes_with(mark: &str, name: Option<&str>) -> Vec<Pid> {
    let all = std::fs::read_dir("/proc").expect("there is a /proc").flatten();
    all.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let command = std::fs::read(entry.path().join("cmdline")).ok()?;
        let command = String::from_utf8_lossy(&command).into_owned();
        let is_marked = command.contains(mark) && pid != std::process::id() as i32;
        let is_named = name.is_none_or(|name| command.split('\0').next() == Some(name));
        (is_marked && is_named).then(|| Pid::from_raw(pid))?
    })
    .collect()
}

/// How many processes of a machine have `mark` in their command line.
pub(crate) async fn count_in(machine: &Machine, mark: &str) -> usize {
    if machine.backend() != BackendName::Qemu {
        return processes_with(mark, None).len();
    }
    // What looks is not to find itself.
    let (head, tail) = mark.split_at(1);
    let script = "cd /proc; grep -l \"$0$1\" [0-9]*/cmdline 2>/dev/null | wc -l";
    let mut exec = shell(machine, script);
    exec.argv.extend([head.to_owned(), tail.to_owned()]);
    let mut process = machine.exec(exec).await.expect("the shell starts");
    let (output, _) = finish(&mut process).await;
    // The pattern is in the command line of `grep` itself.
    String::from_utf8_lossy(&output).trim().parse::<usize>().expect("it is a number").saturating_sub(1)
}

/// The program that runs a machine, where there is one.
pub(crate) fn vm_program(machine: &Machine) -> Option<Pid> {
    machine.leftovers().iter().find_map(|leftover| match leftover {
        Leftover::Process(process) => Pid::from_raw(process.pid()),
        Leftover::Group(_) => None,
    })
}

/// The process that started another.
pub(crate) fn parent(child: Pid) -> Pid {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.as_raw_nonzero()))
        .expect("the test's own files are there");
    let line =
        status.lines().find_map(|line| line.strip_prefix("PPid:")).expect("the test's own files are there");
    Pid::from_raw(line.trim().parse().expect("the test's own files are there")).expect("it has a parent")
}
