//! Machines of the Firecracker backend, with the fake: snapshots, and everything that can go wrong.

#![expect(clippy::unwrap_used, reason = "its helpers are as much tests as the tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use machine::firecracker::api::Deadlines;
use machine::leftovers::Leftover;
use machine::{Backend, BootError, ExitStatus, Machine, MachineSpec, Network, Place};

use crate::fake::{Fake, can_jail, can_run};
use crate::fixture::{left, processes_with, run};

/// Whether the fake and its guest run, or wait to be reaped, for machines below a folder.
fn runs_below(root: &Path) -> bool {
    let root = root.to_string_lossy().into_owned();
    let is_below = |link: PathBuf| link.to_string_lossy().starts_with(&root);
    let all = fs::read_dir("/proc").unwrap().flatten();
    all.filter_map(|entry| fs::read_link(entry.path().join("cwd")).ok()).any(is_below)
        || !processes_with(&root, None).is_empty()
}

/// As firecracker's machines are: without a network.
fn spec(root: &Path) -> MachineSpec {
    MachineSpec { network: Network::None, ..crate::fixture::spec(root) }
}

/// An error with all that caused it.
fn told(error: &BootError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

async fn start(backend: &dyn Backend, root: &Path) -> Machine {
    let machine = Machine::start(backend, &spec(root)).await;
    machine.unwrap_or_else(|error| panic!("{}", told(&error)))
}

async fn restore(backend: &dyn Backend, root: &Path, snapshot: &Path) -> Machine {
    let machine = Machine::restore(backend, &spec(root), snapshot).await;
    machine.unwrap_or_else(|error| panic!("{}", told(&error)))
}

async fn says(machine: &Machine, script: &str) -> String {
    let (output, status) = run(machine, script).await;
    assert_eq!(status, ExitStatus::Code(0), "{output}");
    output.trim().to_owned()
}

async fn check_snapshots(is_jailed: bool) {
    let (fake, root) = (Fake::new(""), tempfile::tempdir().unwrap());
    let backend = fake.backend(is_jailed);
    let kept = |name: &str| root.path().join("kept").join(name);
    let machine = start(&backend, root.path()).await;
    let temp = machine.path(Place::Temp).to_owned();
    let id = "cat /etc/machine-id";
    let first_id = says(&machine, &format!("echo one > {temp}/mark; {id}")).await;
    let size = machine.snapshot(&kept("one")).await.unwrap();
    assert!(size.memory > 0 && size.memory < 1 << 30, "{size:?}");
    // The machine goes on, and is kept again: what has changed is added to a copy.
    assert_eq!(
        says(&machine, &format!("cat {temp}/mark; echo two > {temp}/mark; {id}")).await,
        format!("one\n{first_id}")
    );
    machine.snapshot(&kept("two")).await.unwrap();
    machine.stop().await;
    let restored = [
        restore(&backend, root.path(), &kept("one")).await,
        restore(&backend, root.path(), &kept("one")).await,
    ];
    let mut ids = vec![first_id];
    for machine in &restored {
        assert_eq!(says(machine, &format!("cat {temp}/mark; echo three > {temp}/mark")).await, "one");
        ids.push(says(machine, id).await);
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3, "each machine is one of its own");
    restored[0].snapshot(&kept("three")).await.unwrap();
    for (name, expected) in [("two", "two"), ("three", "three"), ("one", "one")] {
        let machine = restore(&backend, root.path(), &kept(name)).await;
        assert_eq!(says(&machine, &format!("cat {temp}/mark")).await, expected);
        machine.stop().await;
    }
    for machine in restored {
        machine.stop().await;
    }
    assert_eq!(left(&root.path().join("scratch")), Vec::<String>::new());
    assert!(!runs_below(&root.path().join("scratch")));
    let names = fs::read_dir(root.path().join("kept")).unwrap().count();
    assert_eq!(names, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_goes_on_after_a_snapshot_and_any_number_from_it() {
    if can_run() {
        check_snapshots(false).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jailed_machines_are_kept_and_restored_too() {
    if can_jail() {
        check_snapshots(true).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_another_version_or_image_is_refused() {
    if !can_run() {
        return;
    }
    let (fake, root) = (Fake::new(""), tempfile::tempdir().unwrap());
    let backend = fake.backend(false);
    let machine = start(&backend, root.path()).await;
    let folder = root.path().join("kept");
    machine.snapshot(&folder).await.unwrap();
    machine.stop().await;
    let manifest = folder.join("snapshot.json");
    let text = fs::read_to_string(&manifest).unwrap();
    for (from, to, expected) in [
        (
            "Firecracker 1.16.1",
            "Firecracker 1.14.0",
            "it is of a machine by `Firecracker 1.14.0`, and this is `Firecracker 1.16.1`",
        ),
        ("\"fake\"", "\"other\"", "it is of the image `other`, and this is `fake`"),
        (
            "\"has_network\": false",
            "\"has_network\": true",
            "it is of a machine `with a network device`, and this is `without a network device`",
        ),
    ] {
        fs::write(&manifest, text.replace(from, to)).unwrap();
        let error = Machine::restore(&backend, &spec(root.path()), &folder).await.unwrap_err();
        let text = told(&error);
        assert_eq!(text, format!("the snapshot `{}` cannot be gone on from: {expected}", folder.display()));
    }
    assert_eq!(left(&root.path().join("scratch")), Vec::<String>::new());
}

/// What a boot says that goes as `sabotage` says; nothing may be left of it.
async fn failed_boot(sabotage: &str, is_jailed: bool) -> String {
    let (fake, root) = (Fake::new(""), tempfile::tempdir().unwrap());
    let backend = fake.backend(is_jailed);
    fake.sabotage(sabotage);
    let error = Machine::start(&backend, &spec(root.path())).await.unwrap_err();
    assert_eq!(left(&root.path().join("scratch")), Vec::<String>::new(), "{sabotage}");
    assert!(!runs_below(&root.path().join("scratch")), "{sabotage}");
    told(&error)
}

const BOOT: [(&str, &str); 8] = [
    ("GET /version", "ask for the version"),
    ("PUT /machine-config", "set the size"),
    ("PUT /boot-source", "set the kernel"),
    ("PUT /drives/vda", "add the drive `vda`"),
    ("PUT /drives/vdb", "add the drive `vdb`"),
    ("PUT /vsock", "add the vsock device"),
    ("PUT /entropy", "add the entropy device"),
    ("PUT /actions", "start the machine"),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_call_of_a_boot_that_fails_is_told_and_leaves_nothing() {
    if !can_run() {
        return;
    }
    for (request, action) in BOOT {
        let refused = format!("Firecracker refused to {action}: it was told to refuse this");
        let error = failed_boot(&format!("{request} 400"), false).await;
        assert!(error.contains(&refused), "{error}");
        let failed = format!("Firecracker failed to {action} (status 500): it was told to fail at this");
        let error = failed_boot(&format!("{request} 500"), false).await;
        assert!(error.contains(&failed), "{error}");
        for sabotage in ["die", "cut"] {
            let error = failed_boot(&format!("{request} {sabotage}"), false).await;
            let expected = "the program that ran the machine ended (exit status: 1)";
            assert!(error.contains(expected), "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jailed_boot_that_fails_leaves_nothing() {
    if !can_jail() {
        return;
    }
    for (sabotage, expected) in [
        ("PUT /drives/vdb 400", "Firecracker refused to add the drive `vdb`: it was told to refuse this"),
        ("PUT /actions die", "the program that ran the machine ended (exit status: 1)"),
        ("START  die", "it was told to die at its start"),
    ] {
        let error = failed_boot(sabotage, true).await;
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_dies_at_its_start_or_says_nothing_is_told() {
    if !can_run() {
        return;
    }
    let error = failed_boot("START  die", false).await;
    let expected =
        "the program that ran the machine ended (exit status: 148): it was told to die at its start";
    assert!(error.contains(expected), "{error}");
    let (fake, root) = (Fake::new(""), tempfile::tempdir().unwrap());
    let short = Deadlines { short: Duration::from_secs(3), long: Duration::from_secs(60) };
    let backend = fake.backend(false).with_deadlines(short, Duration::from_secs(60));
    fake.sabotage("PUT /vsock silence");
    let error = told(&Machine::start(&backend, &spec(root.path())).await.unwrap_err());
    assert!(error.contains("Firecracker did not add the vsock device within 3 seconds"), "{error}");
    assert_eq!(left(&root.path().join("scratch")), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_fails_is_told_and_spares_the_snapshot() {
    if !can_run() {
        return;
    }
    let (fake, root) = (Fake::new(""), tempfile::tempdir().unwrap());
    let backend = fake.backend(false);
    let machine = start(&backend, root.path()).await;
    let folder = root.path().join("kept");
    machine.snapshot(&folder).await.unwrap();
    machine.stop().await;
    for (sabotage, expected) in [
        ("PUT /snapshot/load 400", "Firecracker refused to load the snapshot: it was told to refuse this"),
        ("PUT /snapshot/load 500", "Firecracker failed to load the snapshot (status 500)"),
        ("PUT /snapshot/load die", "the program that ran the machine ended (exit status: 1)"),
        ("GET /version cut", "the program that ran the machine ended (exit status: 1)"),
    ] {
        fake.sabotage(sabotage);
        let error = told(&Machine::restore(&backend, &spec(root.path()), &folder).await.unwrap_err());
        assert!(error.contains(expected), "{error}");
        assert_eq!(left(&root.path().join("scratch")), Vec::<String>::new());
    }
    fake.sabotage("");
    restore(&backend, root.path(), &folder).await.stop().await;
    // One whose files are not those of one moment is refused by Firecracker itself.
    let disk = folder.join("disk");
    let length = fs::metadata(&disk).unwrap().len();
    fs::remove_file(&disk).unwrap();
    fs::File::create(&disk).unwrap().set_len(length).unwrap();
    let error = told(&Machine::restore(&backend, &spec(root.path()), &folder).await.unwrap_err());
    assert!(error.contains("the machine's own disk is not the one of the snapshot"), "{error}");
    assert_eq!(left(&root.path().join("scratch")), Vec::<String>::new());
    assert!(!runs_below(&root.path().join("scratch")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_fails_leaves_no_folder_and_the_machine_as_it_was() {
    if !can_run() {
        return;
    }
    let (fake, root) = (Fake::new(""), tempfile::tempdir().unwrap());
    let machine = start(&fake.backend(false), root.path()).await;
    let folder = root.path().join("kept");
    for (sabotage, expected) in [
        (
            "PATCH /vm 400",
            "cannot pause the machine: Firecracker refused to pause the machine: it was told to refuse this",
        ),
        (
            "PUT /snapshot/create 400",
            "cannot save the machine: Firecracker refused to make the snapshot: it was told to refuse this",
        ),
        (
            "PUT /snapshot/create 500",
            "cannot save the machine: Firecracker failed to make the snapshot (status 500): it was told to fail at this",
        ),
    ] {
        fake.sabotage(sabotage);
        let error = machine.snapshot(&folder).await.unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "only the scratch folder");
        assert_eq!(says(&machine, "echo alive").await, "alive");
    }
    fake.sabotage("PUT /snapshot/create die");
    machine.snapshot(&folder).await.unwrap_err();
    assert!(machine.lost().await.contains("the program that ran the machine ended (exit status: 1)"));
    machine.stop().await;
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    assert_eq!(left(&root.path().join("scratch")), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_panics_and_a_firecracker_that_is_killed_are_told_apart() {
    if !can_run() {
        return;
    }
    let (fake, root) = (Fake::new(""), tempfile::tempdir().unwrap());
    let backend = fake.backend(false);
    fs::write(fake.path().join("root.ext4"), "no file system").unwrap();
    let error = told(&Machine::start(&backend, &spec(root.path())).await.unwrap_err());
    assert!(
        error.contains("the machine's kernel panicked: VFS: Can't find ext4 filesystem on root.ext4"),
        "{error}"
    );
    let fake = Fake::new("");
    let machine = start(&fake.backend(false), root.path()).await;
    let mark = format!("{}", 7_000_000 + std::process::id());
    let mut process =
        machine.exec(crate::fixture::shell(&machine, &format!("echo up; exec sleep {mark}"))).await.unwrap();
    process.next_output().await.unwrap();
    let firecracker = processes_with(&fake.firecracker().to_string_lossy(), None);
    assert_eq!(firecracker.len(), 1);
    rustix::process::kill_process(firecracker[0], rustix::process::Signal::KILL).unwrap();
    let lost = machine.lost().await;
    assert!(lost.contains("the program that ran the machine ended (signal: 9 (SIGKILL))"), "{lost}");
    process.wait().await.unwrap_err();
    machine.stop().await;
    assert_eq!(left(&root.path().join("scratch")), Vec::<String>::new());
}

/// Set for the process that is killed, to the folder of its machine.
const KILLED: &str = "FIREDOG_TEST_KILLED";

/// Not a test by itself: what the next one kills.
#[tokio::test(flavor = "multi_thread")]
async fn owner_to_be_killed() {
    let Some(root) = std::env::var_os(KILLED).map(PathBuf::from) else { return };
    let fake = Fake::new("");
    let machine = start(&fake.backend(root.join("jailed").exists()), &root).await;
    let process = machine.exec(crate::fixture::shell(&machine, "exec sleep 1000")).await.unwrap();
    let leftovers: Vec<String> = machine.leftovers().iter().map(ToString::to_string).collect();
    fs::write(root.join("leftovers"), leftovers.join("\n")).unwrap();
    fs::write(root.join("fake"), fake.path().to_string_lossy().as_bytes()).unwrap();
    fs::write(root.join("is-up"), "").unwrap();
    std::future::pending::<()>().await;
    drop(process);
}

fn check_killed_owner(is_jailed: bool) {
    let root = tempfile::tempdir().unwrap();
    if is_jailed {
        fs::write(root.path().join("jailed"), "").unwrap();
    }
    let mut owner = std::process::Command::new(std::env::current_exe().unwrap());
    owner.args(["--exact", "firecracker::owner_to_be_killed"]).env(KILLED, root.path());
    let mut owner = owner.stdout(std::process::Stdio::null()).spawn().unwrap();
    while !root.path().join("is-up").exists() {
        assert!(owner.try_wait().unwrap().is_none(), "the owner ends before its machine is up");
        std::thread::yield_now();
    }
    owner.kill().unwrap();
    owner.wait().unwrap();
    while runs_below(&root.path().join("scratch")) {
        std::thread::yield_now();
    }
    assert_eq!(machine::scratch::sweep(&root.path().join("scratch")).unwrap(), 1);
    // All else that is left is what the machine said would be.
    for line in fs::read_to_string(root.path().join("leftovers")).unwrap().lines() {
        line.parse::<Leftover>().unwrap().remove().unwrap();
        assert!(!line.strip_prefix("group ").is_some_and(|folder| Path::new(folder).exists()), "{line}");
    }
    let fake = fs::read_to_string(root.path().join("fake")).unwrap();
    fs::remove_dir_all(fake).unwrap();
}

#[test]
fn a_machine_whose_owner_is_killed_ends_with_it() {
    if can_run() {
        check_killed_owner(false);
    }
}

#[test]
fn a_jailed_machine_whose_owner_is_killed_ends_with_it() {
    if can_jail() {
        check_killed_owner(true);
    }
}
