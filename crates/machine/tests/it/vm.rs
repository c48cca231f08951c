//! What only virtual machines do: an identity of their own, and snapshots of memory.

use std::path::{Path, PathBuf};
use std::process::Command;

use machine::leftovers::ProcessIdentity;
use machine::{Backend, BootError, ExitStatus, Machine, MachineSpec, Network, RunAs, Size};
use rustix::process::{Pid, Signal};

use crate::fixture::{image, left, qemu, run, shell, spec, vm_program};

/// What a shell script says as root.
async fn as_root(machine: &Machine, script: &str) -> String {
    let mut process = machine
        .exec(machine::ExecSpec { user: RunAs::Agent, ..shell(machine, script) })
        .await
        .expect("it starts");
    String::from_utf8(crate::fixture::finish(&mut process).await.0).expect("it is text")
}

async fn boot(backend: &dyn Backend, spec: &MachineSpec) -> Machine {
    Machine::start(backend, spec).await.expect("the machine boots")
}

#[tokio::test]
async fn a_machine_is_its_own_and_its_steps_are_the_users() {
    let Some(qemu) = qemu() else { return };
    let root = tempfile::tempdir().unwrap();
    let spec = MachineSpec { network: Network::None, ..spec(root.path()) };
    let machine = boot(&qemu, &spec).await;
    let user = "id -un; id -u; stat -c %U:%G ~/work/demo/demo ~/work/_temp /opt/hostedtoolcache; pwd";
    let expected = "runner\n1001\nrunner:runner\nrunner:runner\nrunner:runner\n/\n";
    assert_eq!(run(&machine, user).await.0, expected);
    assert_eq!(
        as_root(&machine, "id -u; cat /etc/hostname; hostname").await,
        "0\ntest-machine-1\ntest-machine-1\n"
    );
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let theirs: u64 = run(&machine, "date +%s").await.0.trim().parse().unwrap();
    assert!(theirs.abs_diff(now) < 60, "{theirs} {now}");
    let identity = run(&machine, "cat /etc/machine-id").await.0;
    assert_eq!(identity.trim().len(), 32);
    let devices =
        run(&machine, "ls /sys/class/net; echo x > /dev/fd/1; test -c /dev/ptmx && echo terminals").await.0;
    assert_eq!(devices, "lo\nx\nterminals\n");
    machine.stop().await;
    assert_eq!(left(&spec.scratch), Vec::<String>::new());
}

#[tokio::test]
async fn copies_go_on_from_a_snapshot_beside_the_machine_and_each_other() {
    let Some(qemu) = qemu() else { return };
    let root = tempfile::tempdir().unwrap();
    let spec = spec(root.path());
    let folder = root.path().join("snapshot");
    let machine = boot(&qemu, &spec).await;
    let before = run(&machine, "cat /etc/machine-id; echo kept > ~/file; echo $$ > /dev/shm/memory").await.0;
    let count = "i=0; while :; do i=$((i+1)); echo $i > ~/count; sleep 0.05; done";
    let mut counting = machine.exec(shell(&machine, &format!("echo up; {count}"))).await.unwrap();
    counting.next_output().await.unwrap();
    machine.snapshot(&folder).await.unwrap();
    assert_eq!(run(&machine, "rm ~/file; echo gone > /dev/shm/memory; echo on").await.0, "on\n");
    let kept = contents(&folder);
    let (one, two) =
        tokio::join!(Machine::restore(&qemu, &spec, &folder), Machine::restore(&qemu, &spec, &folder));
    let copies = [one.unwrap(), two.unwrap()];
    let mut identities = vec![before];
    for (index, copy) in copies.iter().enumerate() {
        let (files, status) = run(copy, "cat ~/file; test $(cat /dev/shm/memory) -gt 0 && pwd").await;
        assert_eq!((files.as_str(), status), ("kept\n/\n", ExitStatus::Code(0)));
        let goes_on = "a=$(cat ~/count); while test \"$(cat ~/count)\" = \"$a\"; do :; done; echo counted";
        assert_eq!(run(copy, goes_on).await.0, "counted\n");
        let identity = run(copy, "cat /etc/machine-id").await.0;
        assert!(!identities.contains(&identity), "{identities:?}");
        identities.push(identity);
        assert_eq!(run(copy, &format!("ls ~/other; echo {index} > ~/other")).await.1, ExitStatus::Code(0));
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let theirs: u64 = run(copy, "date +%s").await.0.trim().parse().unwrap();
        assert!(theirs.abs_diff(now) < 60, "{theirs} {now}");
    }
    // A copy is kept as well as what was booted.
    let second = root.path().join("second");
    copies[1].snapshot(&second).await.unwrap();
    let third = Machine::restore(&qemu, &spec, &second).await.unwrap();
    assert_eq!(run(&third, "cat ~/file ~/other").await.0, "kept\n1\n");
    for machine in copies.into_iter().chain([machine, third]) {
        machine.stop().await;
    }
    assert_eq!(contents(&folder), kept, "the snapshot is as it was");
    assert_eq!(left(&spec.scratch), Vec::<String>::new());
}

/// The files of a folder with a number that changes with their contents.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).expect("the test's own files are there").flatten();
    let mut files: Vec<_> = entries.map(|entry| (entry.path(), hash(&entry.path()))).collect();
    files.sort();
    files
}

/// The hash of a file's data with the places where it is; the holes of a disk would take a minute to read.
fn hash(path: &Path) -> Vec<u8> {
    use rustix::fs::{SeekFrom, seek};
    use sha2::{Digest, Sha256};
    let file = std::fs::File::open(path).expect("the test's own files are there");
    let length = file.metadata().expect("the test's own files are there").len();
    let mut hash = Sha256::new();
    hash.update(length.to_le_bytes());
    let mut end = 0;
    while let Ok(start) = seek(&file, SeekFrom::Data(end)) {
        end = seek(&file, SeekFrom::Hole(start)).expect("a file ends with a hole");
        let mut data = vec![0; usize::try_from(end - start).expect("memory is that large")];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut data, start).expect("it is there");
        hash.update(start.to_le_bytes());
        hash.update(&data);
    }
    hash.finalize().to_vec()
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_used_is_refused_with_its_reason() {
    let Some(qemu) = qemu() else { return };
    let root = tempfile::tempdir().unwrap();
    let spec = spec(root.path());
    let folder = root.path().join("snapshot");
    let machine = boot(&qemu, &spec).await;
    machine.snapshot(&folder).await.unwrap();
    let again = machine.snapshot(&folder).await.unwrap_err();
    assert!(again.to_string().starts_with("cannot write"), "{again}");
    assert_eq!(run(&machine, "echo on").await.0, "on\n");
    machine.stop().await;
    let refused = async |folder: &Path, spec: &MachineSpec| -> String {
        match Machine::restore(&qemu, spec, folder).await.unwrap_err() {
            BootError::Snapshot { source, .. } => source.to_string(),
            other => panic!("{other}"),
        }
    };
    let none = MachineSpec { network: Network::None, ..spec.clone() };
    let expected = "it is of a machine `with a network device`, and this is `without a network device`";
    assert_eq!(refused(&folder, &none).await, expected);
    std::fs::write(folder.join("devices"), "short").ok();
    std::fs::remove_file(folder.join("devices")).unwrap();
    assert!(refused(&folder, &spec).await.ends_with("devices` cannot be read"));
    assert!(refused(&root.path().join("none"), &spec).await.ends_with("cannot be read"));
    assert_eq!(left(&spec.scratch), Vec::<String>::new());
}

#[tokio::test]
async fn a_state_of_devices_that_is_garbage_ends_the_machine_with_a_reason() {
    let Some(qemu) = qemu() else { return };
    let root = tempfile::tempdir().unwrap();
    let spec = spec(root.path());
    let folder = root.path().join("snapshot");
    let machine = boot(&qemu, &spec).await;
    machine.snapshot(&folder).await.unwrap();
    machine.stop().await;
    let devices = folder.join("devices");
    let length = std::fs::metadata(&devices).unwrap().len();
    std::fs::remove_file(&devices).unwrap();
    std::fs::write(&devices, vec![0x5a; usize::try_from(length).unwrap()]).unwrap();
    let error = Machine::restore(&qemu, &spec, &folder).await.unwrap_err();
    assert!(
        matches!(&error, BootError::NoAgent { reason } if reason.contains("QEMU") || reason.contains("ended")),
        "{error}"
    );
    assert_eq!(left(&spec.scratch), Vec::<String>::new());
}

#[tokio::test]
async fn its_files_are_nobody_elses_and_its_program_has_no_rights() {
    let Some(qemu) = qemu() else { return };
    let root = tempfile::tempdir().unwrap();
    let spec = spec(root.path());
    let machine = boot(&qemu, &spec).await;
    let program = vm_program(&machine).unwrap().as_raw_nonzero();
    let status = std::fs::read_to_string(format!("/proc/{program}/status")).unwrap();
    let field =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    assert_eq!(field("Seccomp:"), "2");
    if rustix::process::geteuid().is_root() {
        assert!(field("Uid:").split('\t').all(|uid| uid.parse::<u32>().unwrap() >= 0x4000_0000), "{status}");
        assert_eq!(field("CapEff:"), "0000000000000000");
    }
    machine.stop().await;
    assert_eq!(left(&spec.scratch), Vec::<String>::new());
}

/// Not a test: a process that holds a machine until it is killed, started by the test below.
#[tokio::test]
async fn holds_a_machine_where_it_is_asked_to() {
    let Some(folder) = std::env::var_os("FIREDOG_TEST_HOLD").map(PathBuf::from) else { return };
    let qemu = qemu().unwrap();
    let machine = boot(&qemu, &spec(&folder)).await;
    std::fs::write(folder.join("program.new"), vm_program(&machine).unwrap().as_raw_nonzero().to_string())
        .unwrap();
    std::fs::rename(folder.join("program.new"), folder.join("program")).unwrap();
    std::future::pending::<()>().await;
}

#[test]
fn whoever_is_killed_leaves_no_machine_and_nothing_after_the_next_sweep() {
    if qemu().is_none() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let test = ["--exact", "vm::holds_a_machine_where_it_is_asked_to"];
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(test)
        .env("FIREDOG_TEST_HOLD", root.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let file = root.path().join("program");
    while !file.exists() {
        assert!(holder.try_wait().unwrap().is_none(), "it holds on");
        std::thread::yield_now();
    }
    let program: i32 = std::fs::read_to_string(&file).unwrap().parse().unwrap();
    let program = ProcessIdentity::of(Pid::from_raw(program).unwrap()).unwrap();
    rustix::process::kill_process(Pid::from_child(&holder), Signal::KILL).unwrap();
    holder.wait().unwrap();
    while program.is_alive() {
        std::thread::yield_now();
    }
    let scratch = root.path().join("scratch");
    assert_eq!(machine::scratch::sweep(&scratch).unwrap(), 1);
    assert_eq!(left(&scratch), Vec::<String>::new());
}

/// With so little memory that reading it again takes no time.
fn small(root: &Path) -> MachineSpec {
    MachineSpec { size: Some(Size { vcpus: 1, memory_mib: 256 }), ..spec(root) }
}

/// Not a test: a process that goes on from a snapshot where it is asked to, started by the test below.
#[tokio::test]
async fn goes_on_from_a_snapshot_where_it_is_asked_to() {
    let Some(folder) = std::env::var_os("FIREDOG_TEST_GO_ON").map(PathBuf::from) else { return };
    let qemu = qemu().unwrap();
    let machine = Machine::restore(&qemu, &small(&folder), &folder.join("snapshot")).await.unwrap();
    assert_eq!(run(&machine, "cat ~/file && rm ~/file").await.0, "kept\n");
    machine.stop().await;
    machine::scratch::wait_for_removals();
}

#[tokio::test]
async fn processes_of_the_host_go_on_from_one_snapshot_at_the_same_time() {
    let Some(qemu) = qemu() else { return };
    let root = tempfile::tempdir().unwrap();
    let (spec, folder) = (small(root.path()), root.path().join("snapshot"));
    let machine = boot(&qemu, &spec).await;
    run(&machine, "echo kept > ~/file").await;
    machine.snapshot(&folder).await.unwrap();
    machine.stop().await;
    let kept = contents(&folder);
    let start = || {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "vm::goes_on_from_a_snapshot_where_it_is_asked_to"])
            .env("FIREDOG_TEST_GO_ON", root.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap()
    };
    for mut process in [start(), start(), start()] {
        assert!(process.wait().unwrap().success());
    }
    assert_eq!(contents(&folder), kept, "the snapshot is as it was");
    assert_eq!(left(&spec.scratch), Vec::<String>::new());
}

#[tokio::test]
async fn one_that_forks_without_end_can_be_stopped_and_leaves_nothing() {
    let Some(qemu) = qemu() else { return };
    let root = tempfile::tempdir().unwrap();
    let spec = small(root.path());
    let machine = boot(&qemu, &spec).await;
    let forks = "echo up; f() { f & f & wait; }; f";
    let mut process = machine.exec(shell(&machine, forks)).await.unwrap();
    assert_eq!(process.next_output().await.unwrap().bytes, "up\n");
    machine.stop().await;
    assert_ne!(process.wait().await, Ok(ExitStatus::Code(0)));
    assert_eq!(left(&spec.scratch), Vec::<String>::new());
}

#[tokio::test]
async fn what_makes_no_machine_says_why() {
    let Some(qemu) = qemu() else { return };
    let given = PathBuf::from(std::env::var_os("FIREDOG_TEST_IMAGE").unwrap());
    let root = tempfile::tempdir().unwrap();
    let spec = spec(root.path());
    let broken = root.path().join("broken");
    std::fs::write(&broken, vec![0; 1 << 20]).unwrap();
    let program = || machine::qemu::Program::find(&spec.caller.path).unwrap();
    let start = async |change: &dyn Fn(&mut machine::vm::Image)| -> String {
        let mut image = image(&given);
        change(&mut image);
        let qemu = machine::qemu::Qemu::new(program(), qemu.accelerator(), image);
        Machine::start(&qemu, &spec).await.unwrap_err().to_string()
    };
    let agent = "the machine's guest agent did not answer: ";
    let root_is_bad = start(&|image| image.root = broken.clone()).await;
    let expected =
        "the machine gave up: cannot mount `/dev/vda` (ext4) at `/lower`: Invalid argument (os error 22)";
    assert_eq!(root_is_bad, format!("{agent}{expected}"));
    let no_init = start(&|image| image.initramfs = broken.clone()).await;
    assert!(no_init.starts_with(&format!("{agent}the machine's kernel panicked: ")), "{no_init}");
    let no_kernel = start(&|image| image.kernel = broken.clone()).await;
    assert!(no_kernel.starts_with(&format!("{agent}the program that ran the machine ended")), "{no_kernel}");
    let missing = start(&|image| image.kernel = PathBuf::from("/nowhere/vmlinux")).await;
    assert_eq!(missing, "cannot copy `/nowhere/vmlinux` into the machine");
    assert_eq!(left(&spec.scratch), Vec::<String>::new());
}
