//! Machines that are forked from one template, and the template itself.

use std::path::Path;

use machine::namespace::Namespace;
use machine::{ExitStatus, Machine, MachineError, MachineSpec, Network, Process};
use rustix::process::{Pid, Signal, kill_process};

use crate::fixture::{left, namespace, parent, processes_with, run, shell, spec};

/// Runs `test` with a backend that has a template already, and a specification that fits it. Whatever the test does, nothing
/// is left in the end.
async fn check(test: impl AsyncFn(&Namespace, &MachineSpec)) {
    let Some(backend) = namespace() else { return };
    let root = tempfile::tempdir().expect("a temporary folder");
    let spec = spec(root.path());
    let first = Machine::start(&backend, &spec).await.expect("the machine starts");
    first.stop().await;
    test(&backend, &spec).await;
    drop(backend);
    assert_eq!(left(&spec.scratch), Vec::<String>::new());
    assert_eq!(templates(&spec.scratch), []);
}

/// The processes of templates whose machines have their folders there.
fn templates(scratch: &Path) -> Vec<Pid> {
    processes_with(&scratch.display().to_string(), None)
}

/// A machine with a process that sleeps, the number of the machine's first process on the host, and the sleeper.
async fn sleeper(backend: &Namespace, spec: &MachineSpec, mark: u32) -> (Machine, Pid, Process) {
    let machine = Machine::start(backend, spec).await.expect("the machine starts");
    let script = format!("echo up; exec sleep {mark}{}", std::process::id());
    let mut process = machine.exec(shell(&machine, &script)).await.expect("the shell starts");
    process.next_output().await.expect("it says that it is up");
    // While the shell becomes the sleeper, its arguments cannot be read for a moment.
    let sleeper = loop {
        match processes_with(&format!("{mark}{}", std::process::id()), None).first() {
            Some(found) => break *found,
            None => tokio::task::yield_now().await,
        }
    };
    let agent = parent(sleeper);
    (machine, agent, process)
}

fn name_space(process: Pid, kind: &str) -> String {
    let link = format!("/proc/{}/ns/{kind}", process.as_raw_nonzero());
    std::fs::read_link(link).expect("the process is there").display().to_string()
}

#[tokio::test]
async fn machines_of_one_template_have_nothing_in_common_that_one_can_change() {
    check(async |backend, spec| {
        let (one, one_agent, _sleeper) = sleeper(backend, spec, 61).await;
        let (two, two_agent, _other) = sleeper(backend, spec, 62).await;
        assert_eq!(parent(one_agent), parent(two_agent), "one template");
        for kind in ["user", "mnt", "pid", "ipc", "uts"] {
            let template = name_space(parent(one_agent), kind);
            let (one, two) = (name_space(one_agent, kind), name_space(two_agent, kind));
            assert!(one != two && one != template && two != template, "{kind}: {one}, {two}, {template}");
        }
        let leave = "echo x | tee /tmp/left ~/left /dev/shm/left >/dev/null && ipcmk -Q >/dev/null && \
                     exec 3<>/dev/ptmx && ls /dev/pts";
        assert_eq!(run(&one, leave).await, ("0\nptmx\n".to_owned(), ExitStatus::Code(0)));
        let look = "ls /tmp /dev/shm /dev/pts; ls ~; ipcs -q | grep -c 0x; cat /proc/[0-9]*/cmdline | tr '\\0' ' '";
        let (seen, _) = run(&two, look).await;
        assert!(seen.starts_with("/dev/pts:\nptmx\n\n/dev/shm:\n\n/tmp:\nwork\n0\n"), "{seen}");
        assert!(seen.contains("sleep 62") && !seen.contains("sleep 61"), "{seen}");
        // Of all that is mounted, this is what could be written to.
        let writable = "while read -r _ _ _ _ at options _; do case $options in rw*) test -c $at || echo $at;; esac; done \
                        </proc/self/mountinfo | grep -v '/shims$' | sort -u";
        let expected = "/dev/pts\n/dev/shm\n/home/runner\n/proc\n/tmp\n";
        assert_eq!(run(&two, writable).await.0, expected);
        let devices = "touch /dev/new 2>/dev/null && echo wrote; ls -A /run/firedog/store";
        assert_eq!(run(&two, devices).await, (String::new(), ExitStatus::Code(0)));
        one.stop().await;
        two.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_machine_has_no_way_back_to_its_template() {
    check(async |backend, spec| {
        let machine = Machine::start(backend, spec).await.expect("the machine starts");
        let script = "umount /proc 2>/dev/null || umount -l /home/runner 2>/dev/null || echo no unmounting; \
                      mount -o remount,rw / 2>/dev/null || echo no remounting; \
                      unshare -Urm true 2>/dev/null || echo no namespace of its own; \
                      nsenter -t 1 -m true 2>/dev/null || echo not into the agent\\'s; \
                      chroot / true 2>/dev/null || echo no other root; \
                      cat /proc/self/uid_map | tr -s ' '; echo $(ls /proc/self/fd)";
        let user = rustix::process::geteuid().as_raw();
        let above = if user == 0 { 0 } else { user };
        let expected = format!(
            "no unmounting\nno remounting\nno namespace of its own\nnot into the agent's\nno other root\n \
             {above} 0 1\n0 1 2 3\n"
        );
        assert_eq!(run(&machine, script).await.0, expected);
        machine.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_machine_that_dies_harms_neither_its_template_nor_the_others() {
    check(async |backend, spec| {
        let (one, one_agent, mut process) = sleeper(backend, spec, 63).await;
        let (two, two_agent, _other) = sleeper(backend, spec, 64).await;
        let template = parent(one_agent);
        kill_process(one_agent, Signal::KILL).expect("it is ours");
        let lost = process.wait().await;
        assert!(matches!(lost, Err(MachineError::Lost { .. })), "{lost:?}");
        one.stop().await;
        assert_eq!(run(&two, "echo still here").await.0, "still here\n");
        let (three, three_agent, _process) = sleeper(backend, spec, 65).await;
        assert_eq!((parent(two_agent), parent(three_agent)), (template, template));
        two.stop().await;
        three.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_template_that_dies_takes_its_machines_with_it_and_is_replaced() {
    check(async |backend, spec| {
        let (one, one_agent, mut process) = sleeper(backend, spec, 66).await;
        kill_process(parent(one_agent), Signal::KILL).expect("it is ours");
        let lost = process.wait().await;
        assert!(matches!(lost, Err(MachineError::Lost { .. })), "{lost:?}");
        let after = one.exec(shell(&one, "true")).await;
        assert!(matches!(after, Err(MachineError::Lost { .. })), "{after:?}");
        one.stop().await;
        let two = Machine::start(backend, spec).await.expect("there is a new template");
        assert_eq!(run(&two, "echo here").await.0, "here\n");
        two.stop().await;
    })
    .await;
}

#[tokio::test]
async fn machines_of_other_kinds_have_other_templates() {
    check(async |backend, spec| {
        let (one, one_agent, _process) = sleeper(backend, spec, 67).await;
        let mut other = spec.clone();
        other.network = Network::None;
        let (two, two_agent, _other) = sleeper(backend, &other, 68).await;
        assert_ne!(parent(one_agent), parent(two_agent));
        let (three, three_agent, _third) = sleeper(backend, &other, 69).await;
        assert_eq!(parent(two_agent), parent(three_agent));
        assert_ne!(name_space(two_agent, "net"), name_space(three_agent, "net"));
        // The first template has gone out of use, but not its machine.
        assert_eq!(run(&one, "echo still here").await.0, "still here\n");
        for machine in [one, two, three] {
            machine.stop().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_template_ends_when_nobody_wants_it_any_more() {
    let Some(backend) = namespace() else { return };
    let root = tempfile::tempdir().expect("a temporary folder");
    let spec = spec(root.path());
    let (machine, agent, mut process) = sleeper(&backend, &spec, 60).await;
    assert!(templates(&spec.scratch).contains(&parent(parent(agent))), "bubblewrap is above the template");
    drop(backend);
    assert_eq!(run(&machine, "echo still here").await.0, "still here\n");
    drop(machine);
    assert!(process.wait().await.is_err());
    drop(process);
    assert_eq!(left(&spec.scratch), Vec::<String>::new());
    assert_eq!(templates(&spec.scratch), []);
}
