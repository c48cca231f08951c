//! What a machine of namespaces keeps apart from the host.

use std::os::unix::fs::PermissionsExt;

use machine::namespace::Namespace;
use machine::{ExitStatus, Machine, MachineSpec, Network, Size};

use crate::fixture::{left, namespace, run, spec};

/// Runs a script in a namespace machine made as `change` says, and compares what it prints.
async fn check(change: impl Fn(&mut MachineSpec), script: &str, expected: &str) {
    let Some(backend) = namespace() else { return };
    let root = tempfile::tempdir().expect("a temporary folder");
    let mut spec = spec(root.path());
    change(&mut spec);
    let machine = Machine::start(&backend, &spec).await.expect("the machine starts");
    assert_eq!(run(&machine, script).await, (expected.to_owned(), ExitStatus::Code(0)), "{script}");
    machine.stop().await;
    assert_eq!(left(&spec.scratch), Vec::<String>::new());
}

#[tokio::test]
async fn the_callers_home_and_environment_are_not_there() {
    let root = tempfile::tempdir().unwrap();
    let home = root.path().join("home");
    for (file, text) in [(".ssh/id", "key"), (".cargo/credentials.toml", "token"), (".gitconfig", "")] {
        std::fs::create_dir_all(home.join(file).parent().unwrap()).unwrap();
        std::fs::write(home.join(file), text).unwrap();
    }
    std::fs::create_dir_all(home.join(".cargo/bin")).unwrap();
    let change = |spec: &mut MachineSpec| {
        spec.caller.home = home.clone();
        spec.caller.path.insert(0, home.join(".cargo/bin"));
        spec.caller.environment.push(("SECRET_TOKEN".to_owned(), "s3cret".to_owned()));
    };
    let home = home.display();
    let script = format!(
        "ls -A {home} {home}/.cargo; echo $HOME; cat /proc/1/environ /proc/self/environ 2>&1 | grep -c s3cret; true"
    );
    check(change, &script, &format!("{home}:\n.cargo\n\n{home}/.cargo:\nbin\n/home/runner\n0\n")).await;
}

#[tokio::test]
async fn the_system_is_read_only_and_without_secrets() {
    let script = "for file in /usr/x /etc/x /x /opt/x /root/x; do touch $file 2>/dev/null && echo wrote $file; done; \
                  touch /tmp/x /var/tmp/x $HOME/x && echo own; cat /etc/shadow 2>/dev/null; ls /home";
    check(|_| {}, script, "own\nrunner\n").await;
}

#[tokio::test]
async fn there_are_no_rights_to_get_more() {
    let script = "grep -E '^(CapPrm|CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status | tr '\\t' ' '";
    let expected = "CapPrm: 0000000000000000\nCapEff: 0000000000000000\nCapBnd: 0000000000000000\n\
                    NoNewPrivs: 1\nSeccomp: 2\n";
    check(|_| {}, script, expected).await;
    let script = "unshare -U true 2>/dev/null || echo no user namespace; \
                  unshare -Ur true 2>/dev/null || echo none with a map; \
                  mount -t tmpfs x /tmp 2>/dev/null || echo no mount; \
                  hostname other 2>/dev/null || hostname";
    check(|_| {}, script, "no user namespace\nnone with a map\nno mount\nfiredog\n").await;
}

#[tokio::test]
async fn the_kernels_settings_cannot_be_written() {
    // The kernel itself asks for a capability to write to `mtrr`; triggers on pressure change nothing.
    let script = "find /proc -path '/proc/[0-9]*' -prune -o -type f -writable -print 2>/dev/null | \
                  grep -v -e '^/proc/mtrr$' -e '^/proc/pressure/'; true";
    check(|_| {}, script, "").await;
}

#[tokio::test]
async fn the_agent_is_the_first_process_and_cannot_be_looked_into() {
    let script = "set -- /proc/[0-9]*; echo $#; kill -9 1; cat /proc/1/maps 2>/dev/null; echo alive";
    check(|_| {}, script, "2\nalive\n").await;
}

#[tokio::test]
async fn without_network_there_is_only_a_loopback_that_works() {
    let change = |spec: &mut MachineSpec| spec.network = Network::None;
    check(change, "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '", "lo\n").await;
    let host: String = std::fs::read_to_string("/proc/net/dev")
        .unwrap()
        .lines()
        .skip(2)
        .map(|line| format!("{}\n", line.split(':').next().unwrap().trim()))
        .collect();
    check(|_| {}, "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '", &host).await;
}

#[tokio::test]
async fn further_host_paths_are_shown_read_only() {
    let shown = tempfile::tempdir().unwrap();
    std::fs::write(shown.path().join("object"), "content\n").unwrap();
    let change = |spec: &mut MachineSpec| spec.read_only.push(shown.path().to_owned());
    let path = shown.path().display();
    check(
        change,
        &format!("cat {path}/object; touch {path}/x 2>/dev/null || echo read-only"),
        "content\nread-only\n",
    )
    .await;
}

#[tokio::test]
async fn folders_for_small_files_are_in_memory() {
    let change = |spec: &mut MachineSpec| spec.in_memory.push("small".to_owned());
    let script = "cd ~/work/_temp/small && echo x > file && cat file && stat -f -c %T . && stat -c %a .";
    check(change, script, "x\ntmpfs\n755\n").await;
}

#[tokio::test]
async fn what_lies_above_something_shown_can_be_written_to_as_before() {
    let shown = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(shown.path().join("deep/inside")).unwrap();
    std::fs::write(shown.path().join("deep/inside/file"), "content\n").unwrap();
    std::fs::write(shown.path().join("deep/other"), "").unwrap();
    let change = |spec: &mut MachineSpec| spec.read_only.push(shown.path().join("deep/inside"));
    let script =
        format!("cd {} && cat deep/inside/file && ls deep && touch new deep/new", shown.path().display());
    check(change, &script, "content\ninside\n").await;
    assert!(!shown.path().join("new").exists());
}

#[tokio::test]
async fn a_sandbox_that_cannot_be_made_is_an_error_with_its_reason() {
    let root = tempfile::tempdir().unwrap();
    let program = root.path().join("bwrap");
    std::fs::write(&program, "#!/bin/sh\necho 'bwrap: no permission' >&2\nexit 1\n").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let spec = spec(root.path());
    let error = Machine::start(&Namespace::new(program), &spec).await.expect_err("it cannot start");
    assert!(error.to_string().contains("its log says: bwrap: no permission"), "{error}");
    assert_eq!(left(&spec.scratch), Vec::<String>::new());
}

/// Runs a script in a machine; then looks at what the next machine of another repository begins with.
async fn check_next(script: &str) {
    let Some(backend) = namespace() else { return };
    let root = tempfile::tempdir().expect("the test's own files are there");
    let own = root.path().join("own");
    std::fs::create_dir_all(own.join("demo/demo")).expect("the test's own files are there");
    let mut spec = spec(root.path());
    let look = "cd && find . | sort && stat -c %a . /tmp && ls -A /tmp";
    let mut seen = Vec::new();
    for (repository, script) in [("fresh", "true"), ("demo", script), ("fresh", "true")] {
        spec.repository = repository.to_owned();
        let machine = Machine::start(&backend, &spec).await.expect("the machine starts");
        seen.push(run(&machine, look).await);
        let script = script.replace("OWN", &own.display().to_string());
        assert_eq!(run(&machine, &script).await, (String::new(), ExitStatus::Code(0)), "{script}");
        machine.stop().await;
        assert_eq!(left(&spec.scratch), Vec::<String>::new());
    }
    assert!(seen[0].0.contains("./work/fresh/fresh\n"), "{}", seen[0].0);
    assert_eq!(seen[0], seen[2], "{script}");
    assert!(own.join("demo/demo").is_dir(), "{script}");
}

#[tokio::test]
async fn a_machine_finds_nothing_of_the_one_before() {
    check_next("true").await;
    check_next("cd && touch a .b work/c work/_temp/d /tmp/e && mkdir -p x/y .cargo/bin work/demo/demo/z")
        .await;
    check_next("cd && mkdir locked && touch locked/file && chmod 500 locked").await;
}

#[tokio::test]
async fn a_machine_cannot_change_what_the_next_begins_with() {
    check_next("chmod 777 $HOME /tmp").await;
    check_next("cd && mv work old && ln -s OWN work").await;
    check_next("cd && rm -r work/demo && ln -s OWN/demo work/demo").await;
    check_next("cd && rm -r work/demo/demo && ln -s OWN/demo/demo work/demo/demo").await;
    check_next("rm -r $HOME/work; touch $HOME/work").await;
    check_next("cd && rm -r work/_temp && ln -s /etc work/_temp && rmdir work/_tool").await;
}

#[tokio::test]
#[expect(clippy::print_stderr, reason = "a test that is skipped must be seen to be")]
async fn a_machine_is_held_to_its_size_and_its_groups_go_with_it() {
    let Some(namespace) = namespace() else { return };
    let root = tempfile::tempdir().unwrap();
    let mut spec = spec(root.path());
    spec.size = Some(Size { vcpus: 1, memory_mib: 64 });
    let machine = Machine::start(&namespace, &spec).await.unwrap();
    let groups = machine.leftovers().to_vec();
    let has_memory = groups.iter().any(|group| {
        let folder = group.to_string();
        ["memory.max", "memory.limit_in_bytes"]
            .iter()
            .any(|file| std::path::Path::new(folder.trim_start_matches("group ")).join(file).exists())
    });
    if !has_memory {
        eprintln!("skipped: no control groups for memory can be made here");
        machine.stop().await;
        return;
    }
    // The kernel ends what takes more than the machine has; others go on.
    let greedy = "head -c 200000000 /dev/zero | tail -c 199999999 | wc -c";
    let (output, status) = run(&machine, &format!("sh -c '{greedy}'; echo still here")).await;
    assert!(output.ends_with("still here\n") && !output.contains("199999999"), "{output}");
    assert!(status.success());
    machine.stop().await;
    assert_eq!(left(&spec.scratch), Vec::<String>::new());
    for group in groups {
        let folder = group.to_string();
        assert!(!std::path::Path::new(folder.strip_prefix("group ").unwrap()).exists(), "{folder}");
    }
}
