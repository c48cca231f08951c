//! A machine that dies says what of.

use machine::{ExecSpec, ExitStatus, FileToWrite, Machine, MachineError, MachineSpec, RunAs, Size};
use rustix::mount::{MountFlags, UnmountFlags};
use rustix::process::Signal;

use crate::fixture::{finish, left, qemu, run, shell, spec, vm_program};

/// What a process gets to hear when its machine dies of `kill`, which is run as root inside.
async fn check(kill: &str, is_expected: impl Fn(&str) -> bool) {
    let Some(qemu) = qemu() else { return };
    let root = tempfile::tempdir().expect("the machine is there");
    let spec = spec(root.path());
    let machine = Machine::start(&qemu, &spec).await.expect("the machine is there");
    let mut process =
        machine.exec(shell(&machine, "echo up; sleep 1000")).await.expect("the machine is there");
    process.next_output().await.expect("the machine is there");
    let exec = ExecSpec { user: RunAs::Agent, ..shell(&machine, kill) };
    let killing = machine.exec(exec).await;
    match process.wait().await {
        Err(MachineError::Lost { reason }) => assert!(is_expected(&reason), "{reason}"),
        other => panic!("{other:?} {:?}", killing.err()),
    }
    machine.stop().await;
    assert_eq!(left(&spec.scratch), Vec::<String>::new());
}

#[tokio::test]
async fn of_a_panic_of_its_kernel() {
    check("echo c > /proc/sysrq-trigger", |reason| {
        reason.starts_with("the machine's kernel panicked: sysrq triggered crash; the last of its console: ")
    })
    .await;
}

#[tokio::test]
async fn of_being_switched_off_from_inside() {
    check("echo o > /proc/sysrq-trigger", |reason| {
        reason.starts_with("the machine was switched off from inside")
    })
    .await;
}

#[tokio::test]
async fn of_the_end_of_its_program() {
    let Some(qemu) = qemu() else { return };
    let root = tempfile::tempdir().unwrap();
    let spec = spec(root.path());
    let machine = Machine::start(&qemu, &spec).await.unwrap();
    let mut process = machine.exec(shell(&machine, "echo up; sleep 1000")).await.unwrap();
    process.next_output().await.unwrap();
    rustix::process::kill_process(vm_program(&machine).unwrap(), Signal::KILL).unwrap();
    let reason = "the program that ran the machine ended (signal: 9 (SIGKILL))".to_owned();
    assert_eq!(process.wait().await, Err(MachineError::Lost { reason }));
    machine.stop().await;
    assert_eq!(left(&spec.scratch), Vec::<String>::new());
}

#[tokio::test]
async fn it_lives_on_without_memory_and_without_room_on_its_disk_and_says_which() {
    let Some(qemu) = qemu() else { return };
    let root = tempfile::tempdir().unwrap();
    let size = Some(Size { vcpus: 1, memory_mib: 256 });
    let spec = MachineSpec { size, ..spec(root.path()) };
    let machine = Machine::start(&qemu, &spec).await.unwrap();
    assert_eq!(machine.out_of_memory(), None);
    let hog = "exec perl -e 'push @x, \"x\" x (1 << 22) while 1'";
    let mut process = machine.exec(shell(&machine, hog)).await.unwrap();
    assert_eq!(finish(&mut process).await.1, ExitStatus::Signal(9));
    let killed = machine.out_of_memory().unwrap();
    assert!(killed.starts_with("Out of memory: Killed process") && killed.contains("perl"), "{killed}");
    // Room is taken without being written to.
    let fill = "fallocate -l 15G ~/full && while fallocate -l 64M ~/more.$i 2>/dev/null; do i=x$i; done; \
                while fallocate -l 64K ~/last.$i 2>/dev/null; do i=x$i; done; head -c 300000 /dev/zero > ~/new";
    let (output, status) = run(&machine, fill).await;
    assert!(output.contains("No space left on device") && status != ExitStatus::Code(0), "{output}");
    let file = FileToWrite { path: "/home/runner/file".to_owned(), data: vec![7; 1 << 20], mode: 0o644 };
    let error = machine.write_files(vec![file]).await.unwrap_err().to_string();
    assert_eq!(error, "cannot write `/home/runner/file`: No space left on device (os error 28)");
    assert_eq!(run(&machine, "echo lives").await.0, "lives\n");
    machine.stop().await;
    assert_eq!(left(&spec.scratch), Vec::<String>::new());
}

#[tokio::test]
#[expect(clippy::print_stderr, reason = "a test that is skipped must be seen to be")]
async fn of_a_disk_of_the_host_that_is_full() {
    let Some(qemu) = qemu() else { return };
    let root = tempfile::tempdir().unwrap();
    let small = root.path().join("small");
    std::fs::create_dir(&small).unwrap();
    if rustix::mount::mount("small", &small, "tmpfs", MountFlags::empty(), c"size=32m").is_err() {
        eprintln!("skipped: only root can make a small disk");
        return;
    }
    let spec = spec(&small);
    let machine = Machine::start(&qemu, &spec).await.unwrap();
    let mut process =
        machine.exec(shell(&machine, "head -c 100M /dev/urandom > ~/large; sync; sleep 1000")).await.unwrap();
    let error = process.wait().await.unwrap_err().to_string();
    machine.stop().await;
    machine::scratch::wait_for_removals();
    rustix::mount::unmount(&small, UnmountFlags::DETACH).unwrap();
    let expected = "the host's disk is full: there is no room for what the machine writes to its own";
    assert_eq!(error, format!("the machine was lost: {expected}"));
}
