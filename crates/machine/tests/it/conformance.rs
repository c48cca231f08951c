//! What a process, a file and a folder are like in every machine.

use std::future::Future;
use std::sync::Arc;

use machine::{
    Content, ExitStatus, FileToWrite, Folder, Machine, MachineError, MachineSpec, OutputMode, Place, Scope,
    Stdin, Stream,
};
use sha2::{Digest, Sha256};

use crate::fixture::{
    backends, count_in, finish, left, parent, processes_with, run, shell, spec, vm_program,
};

/// Runs `test` in a machine of each backend, made as `change` says.
async fn check_with<F: Future>(
    change: impl Fn(&mut MachineSpec),
    test: impl Fn(std::sync::Arc<Machine>) -> F,
) {
    for backend in backends().await {
        let root = tempfile::tempdir().expect("a temporary folder");
        let mut spec = spec(root.path());
        change(&mut spec);
        let machine = Machine::start(&*backend, &spec).await.expect("the machine starts");
        let machine = std::sync::Arc::new(machine);
        test(std::sync::Arc::clone(&machine)).await;
        machine.stop().await;
        assert_eq!(left(&spec.scratch), Vec::<String>::new());
    }
}

pub(crate) async fn check<F: Future>(test: impl Fn(std::sync::Arc<Machine>) -> F) {
    check_with(|_| {}, test).await;
}

#[tokio::test]
async fn exit_codes_and_signals() {
    check(|machine| async move {
        assert_eq!(run(&machine, "echo hello").await, ("hello\n".to_owned(), ExitStatus::Code(0)));
        assert_eq!(run(&machine, "exit 7").await.1, ExitStatus::Code(7));
        assert_eq!(run(&machine, "kill -9 $$").await.1, ExitStatus::Signal(9));
    })
    .await;
}

#[tokio::test]
async fn merged_output_keeps_its_order_and_separate_output_its_streams() {
    check(|machine| async move {
        let script = "for i in 1 2 3 4 5; do echo out $i; echo err $i >&2; done";
        let expected: String = (1..=5).map(|i| format!("out {i}\nerr {i}\n")).collect();
        assert_eq!(run(&machine, script).await.0, expected);
        let mut exec = shell(&machine, script);
        exec.output = OutputMode::Separate;
        let mut process = machine.exec(exec).await.unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        while let Some(piece) = process.next_output().await {
            match piece.stream {
                Stream::Stdout => out.extend_from_slice(&piece.bytes),
                Stream::Stderr => err.extend_from_slice(&piece.bytes),
            }
        }
        assert_eq!(out, b"out 1\nout 2\nout 3\nout 4\nout 5\n");
        assert_eq!(err, b"err 1\nerr 2\nerr 3\nerr 4\nerr 5\n");
    })
    .await;
}

#[tokio::test]
async fn a_hundred_megabytes_arrive_whole() {
    check(|machine| async move {
        let mut process = machine.exec(shell(&machine, "seq 1 13000000 | head -c 100000000")).await.unwrap();
        let (mut hash, mut length) = (Sha256::new(), 0);
        while let Some(piece) = process.next_output().await {
            hash.update(&piece.bytes);
            length += piece.bytes.len();
        }
        assert_eq!(process.wait().await, Ok(ExitStatus::Code(0)));
        assert_eq!(length, 100_000_000);
        let mut expected = Sha256::new();
        let mut left = length;
        for number in 1.. {
            let line = format!("{number}\n");
            let part = &line.as_bytes()[..line.len().min(left)];
            expected.update(part);
            left -= part.len();
            if left == 0 {
                break;
            }
        }
        assert_eq!(hash.finalize(), expected.finalize());
    })
    .await;
}

#[tokio::test]
async fn a_process_whose_output_nobody_takes_blocks_without_blocking_others() {
    check(|machine| async move {
        let mut stuck = machine.exec(shell(&machine, "seq 1 3000000")).await.unwrap();
        for number in 0..20 {
            assert_eq!(run(&machine, &format!("echo {number}")).await.0, format!("{number}\n"));
        }
        let (output, status) = finish(&mut stuck).await;
        assert_eq!(status, ExitStatus::Code(0));
        assert_eq!(output.iter().filter(|&&byte| byte == b'\n').count(), 3_000_000);
    })
    .await;
}

#[tokio::test]
async fn any_bytes_go_in_and_out() {
    check(|machine| async move {
        let bytes: Vec<u8> =
            (0..200_000_u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let mut exec = shell(&machine, "cat");
        exec.stdin = Stdin::Bytes(bytes.clone().into());
        let mut process = machine.exec(exec).await.unwrap();
        assert_eq!(finish(&mut process).await, (bytes, ExitStatus::Code(0)));
        assert_eq!(run(&machine, "cat").await.0, "");
    })
    .await;
}

#[tokio::test]
async fn a_process_that_ignores_a_signal_is_ended_by_a_stronger_one() {
    check(|machine| async move {
        let script = "trap '' TERM; trap 'echo interrupted' INT; echo ready; while :; do sleep 0.01; done";
        let mut process = machine.exec(shell(&machine, script)).await.unwrap();
        assert_eq!(&process.next_output().await.unwrap().bytes[..], b"ready\n");
        process.signal(15, Scope::Tree).await.unwrap();
        process.signal(2, Scope::Process).await.unwrap();
        assert_eq!(&process.next_output().await.unwrap().bytes[..], b"interrupted\n");
        process.signal(9, Scope::Tree).await.unwrap();
        assert_eq!(process.wait().await, Ok(ExitStatus::Signal(9)));
        process.signal(9, Scope::Tree).await.unwrap();
        let no_signal = process.signal(999, Scope::Process).await;
        assert!(matches!(no_signal, Err(MachineError::Failed { .. })), "{no_signal:?}");
    })
    .await;
}

#[tokio::test]
async fn a_tree_signal_reaches_children_in_sessions_of_their_own_and_spares_other_steps() {
    check(|machine| async move {
        let mut other = machine.exec(shell(&machine, "echo up; exec sleep 1000")).await.unwrap();
        other.next_output().await.unwrap();
        let script = "(setsid sh -c 'echo $$; exec sleep 1001' &) ; sleep 0.05; echo up; exec sleep 1002";
        let mut exec = shell(&machine, script);
        exec.env.push(("RUNNER_TRACKING_ID".to_owned(), "github_step-1".to_owned()));
        let mut process = machine.exec(exec).await.unwrap();
        let mut text = Vec::new();
        while !text.ends_with(b"up\n") {
            text.extend_from_slice(&process.next_output().await.unwrap().bytes);
        }
        process.signal(9, Scope::Tree).await.unwrap();
        assert_eq!(process.wait().await, Ok(ExitStatus::Signal(9)));
        let found = run(&machine, "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '").await.0;
        assert!(!found.contains("sleep 1001"), "{found}");
        assert!(found.contains("sleep 1000"), "{found}");
    })
    .await;
}

#[tokio::test]
async fn what_a_process_leaves_is_killed_before_it_counts_as_ended_where_that_is_asked_for() {
    check(|machine| async move {
        let mark = format!("{}", 6_000_000 + std::process::id());
        let script = format!(
            "sleep {mark} >/dev/null 2>&1 & setsid sh -c 'sleep {mark} >/dev/null 2>&1 &'; echo up; exec sleep 1000"
        );
        let mut process = machine.exec(shell(&machine, &script)).await.unwrap();
        process.next_output().await.unwrap();
        let signaller = process.signaller();
        signaller.kill_rest().await.unwrap();
        assert!(count_in(&machine, &mark).await > 0);
        signaller.send(15, Scope::Process).await.unwrap();
        assert_eq!(process.wait().await, Ok(ExitStatus::Signal(15)));
        assert_eq!(count_in(&machine, &mark).await, 0);
        // There is nothing left of it, so that there is nothing to do.
        signaller.kill_rest().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_child_that_keeps_the_pipe_does_not_keep_the_step_and_lives_on() {
    check(|machine| async move {
        let script = "sh -c 'sleep 1; echo late; echo alive > $0' \"$HOME_OF_TEST/alive\" & echo started";
        let mut exec = shell(&machine, script);
        let temp = machine.path(Place::Temp).to_owned();
        exec.env.push(("HOME_OF_TEST".to_owned(), temp.clone()));
        let mut process = machine.exec(exec).await.unwrap();
        assert_eq!(finish(&mut process).await, (b"started\n".to_vec(), ExitStatus::Code(0)));
        let wait = format!("while ! test -s {temp}/alive; do sleep 0.02; done; cat {temp}/alive");
        assert_eq!(run(&machine, &wait).await.0, "alive\n");
    })
    .await;
}

#[tokio::test]
async fn files_go_in_and_out() {
    check(|machine| async move {
        let temp = machine.path(Place::Temp).to_owned();
        let large: Vec<u8> = (0..3_000_000_u32).map(|index| (index % 251) as u8).collect();
        let file = |name: &str, data: &[u8], mode| FileToWrite {
            path: format!("{temp}/{name}"),
            data: data.to_vec(),
            mode,
        };
        let script = file("deep/er/script.sh", b"#!/bin/sh\necho $0\n", 0o755);
        machine
            .write_files(vec![script, file("large", &large, 0o600), file("empty", b"", 0o644)])
            .await
            .unwrap();
        let path = format!("{temp}/deep/er/script.sh");
        assert_eq!(run(&machine, &path).await.0, format!("{path}\n"));
        let names = ["large", "missing", "empty"].map(|name| format!("{temp}/{name}")).to_vec();
        let read = machine.read_files(names.clone(), 3_000_000).await.unwrap();
        assert!(read == [Some(large), None, Some(Vec::new())]);
        let too_long = machine.read_files(names.clone(), 2_999_999).await.unwrap_err();
        let expected = format!("cannot read `{temp}/large`: it is longer than 2999999 bytes");
        assert_eq!(too_long.to_string(), expected);
        assert!(machine.read_files(vec![temp.clone()], 10).await.is_err());
    })
    .await;
}

#[tokio::test]
async fn a_pipe_in_the_place_of_a_file_is_refused() {
    check(|machine| async move {
        let path = format!("{}/pipe", machine.path(Place::Temp));
        assert_eq!(run(&machine, &format!("mkfifo {path}")).await.1, ExitStatus::Code(0));
        let file = FileToWrite { path: path.clone(), data: b"text".to_vec(), mode: 0o644 };
        let written = machine.write_files(vec![file.clone()]).await;
        assert!(matches!(written, Err(MachineError::Failed { .. })), "{written:?}");
        let read = machine.read_files(vec![path.clone()], 100).await;
        assert!(matches!(read, Err(MachineError::Failed { .. })), "{read:?}");
        // One that somebody reads can be opened, and is no file all the same.
        let mut reader = machine
            .exec(shell(&machine, &format!("exec 3<>{path}; echo open; exec sleep 1000")))
            .await
            .unwrap();
        assert_eq!(reader.next_output().await.unwrap().bytes, "open\n");
        let written = machine.write_files(vec![file]).await;
        assert!(matches!(written, Err(MachineError::Failed { .. })), "{written:?}");
    })
    .await;
}

#[tokio::test]
async fn a_machines_files_on_the_host_are_its_users_alone() {
    let scratch = tempfile::tempdir().unwrap();
    for backend in backends().await {
        let spec = spec(scratch.path());
        let machine = Machine::start(&*backend, &spec).await.unwrap();
        for entry in std::fs::read_dir(&spec.scratch).unwrap().flatten() {
            let metadata = entry.metadata().unwrap();
            let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions());
            assert!(!metadata.is_dir() || mode & 0o077 == 0, "{:?} has mode {mode:o}", entry.path());
        }
        machine.stop().await;
        assert_eq!(left(&spec.scratch), Vec::<String>::new());
    }
}

#[tokio::test]
async fn archives_go_out_and_in() {
    check(|machine| async move {
        let temp = machine.path(Place::Temp).to_owned();
        let make = "mkdir -p a/b && seq 1 500000 > a/b/numbers && ln -s b/numbers a/link && chmod 751 a/b";
        assert_eq!(run(&machine, &format!("cd {temp} && {make}")).await.1, ExitStatus::Code(0));
        let mut archive = Vec::new();
        machine.get(format!("{temp}/a"), Vec::new(), &mut archive).await.unwrap();
        machine.put(format!("{temp}/copy"), std::io::Cursor::new(archive)).await.unwrap();
        let compare = format!("cd {temp} && diff -r a copy && readlink copy/link && stat -c %a copy/b");
        assert_eq!(run(&machine, &compare).await.0, "b/numbers\n751\n");
        let cut = machine.put(format!("{temp}/cut"), std::io::Cursor::new(vec![7; 5000])).await;
        assert!(matches!(cut, Err(MachineError::Failed { .. })), "{cut:?}");
        let missing = machine.get(format!("{temp}/none"), Vec::new(), Vec::new()).await;
        assert!(matches!(missing, Err(MachineError::Failed { .. })), "{missing:?}");
    })
    .await;
}

#[tokio::test]
async fn folders_begin_with_what_is_asked_for() {
    let source = tempfile::tempdir().unwrap();
    let root = source.path().to_owned();
    std::fs::create_dir_all(root.join("src")).unwrap();
    std::fs::write(root.join("src/main.rs"), "fn main() {}\n").unwrap();
    std::fs::write(root.join("ignored"), "").unwrap();
    std::os::unix::fs::symlink("src/main.rs", root.join("link")).unwrap();
    let folder = |entries: &[&str]| Folder {
        place: Place::Workspace,
        content: Content::Copy {
            root: root.clone(),
            entries: Arc::new(entries.iter().map(Into::into).collect()),
        },
    };
    let change = |spec: &mut MachineSpec| spec.folders.push(folder(&["src/main.rs", "link"]));
    check_with(change, |machine| async move {
        let workspace = machine.path(Place::Workspace).to_owned();
        let found = run(&machine, &format!("cd {workspace} && find . | sort && cat link && touch new")).await;
        let expected = ".\n./link\n./src\n./src/main.rs\nfn main() {}\n".to_owned();
        assert_eq!(found, (expected, ExitStatus::Code(0)));
        let hash = machine.hash(workspace, vec!["**/*.rs".to_owned()]).await.unwrap();
        assert_eq!(hash.len(), 64);
    })
    .await;
    assert!(!root.join("new").exists());
    for backend in backends().await {
        let scratch = tempfile::tempdir().unwrap();
        let mut spec = spec(scratch.path());
        spec.folders.push(folder(&["src/gone.rs"]));
        let error = Machine::start(&*backend, &spec).await.unwrap_err().to_string();
        let expected = format!("cannot copy `{}` into the machine", root.join("src/gone.rs").display());
        assert_eq!(error, expected);
    }
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    check(|machine| async move {
        let mut exec = shell(&machine, "true");
        exec.cwd = "/no/such/folder".to_owned();
        let error = machine.exec(exec).await.unwrap_err().to_string();
        assert_eq!(error, "cannot start `sh`: there is no folder `/no/such/folder` to start it in");
        let mut exec = shell(&machine, "true");
        exec.argv = vec!["no-such-program".to_owned()];
        exec.env = vec![("PATH".to_owned(), "/usr/bin".to_owned())];
        let error = machine.exec(exec).await.unwrap_err().to_string();
        assert_eq!(error, "cannot start `no-such-program`: no such program on PATH (/usr/bin)");
        let mut exec = shell(&machine, "true");
        exec.argv.clear();
        assert!(matches!(machine.exec(exec).await, Err(MachineError::Failed { .. })));
        let names = ["sh", "no-such-program"].map(str::to_owned).to_vec();
        let found = machine.which(names, "/usr/bin:/bin".to_owned()).await.unwrap();
        assert_eq!(found, [Some("/usr/bin/sh".to_owned()), None]);
    })
    .await;
}

#[tokio::test]
async fn stopping_kills_everything_and_fails_what_was_running() {
    for backend in backends().await {
        let root = tempfile::tempdir().unwrap();
        let machine = Machine::start(&*backend, &spec(root.path())).await.unwrap();
        let mark = format!("{}", 7_000_000 + std::process::id());
        let script =
            format!("setsid setsid sleep {mark} & trap '' TERM INT; echo up; sleep {mark}; sleep {mark}");
        let mut process = machine.exec(shell(&machine, &script)).await.unwrap();
        process.next_output().await.unwrap();
        assert!(count_in(&machine, &mark).await > 0);
        machine.stop().await;
        machine::scratch::wait_for_removals();
        assert_eq!(processes_with(&mark, None).len(), 0);
        assert!(process.wait().await.is_err() || process.wait().await == Ok(ExitStatus::Signal(9)));
        let after = machine.exec(shell(&machine, "true")).await;
        assert!(matches!(after, Err(MachineError::Lost { .. })), "{after:?}");
    }
}

#[tokio::test]
async fn dropping_a_process_kills_its_tree() {
    check(|machine| async move {
        let mark = format!("{}", 8_000_000 + std::process::id());
        let script = format!("sleep {mark} & echo up; sleep {mark}");
        let mut process = machine.exec(shell(&machine, &script)).await.unwrap();
        process.next_output().await.unwrap();
        drop(process);
        // A request is carried out after those before it.
        run(&machine, "true").await;
        assert_eq!(count_in(&machine, &mark).await, 0);
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_is_killed_is_an_error_for_its_processes() {
    for backend in backends().await {
        let root = tempfile::tempdir().unwrap();
        let machine = Machine::start(&*backend, &spec(root.path())).await.unwrap();
        let mark = format!("{}", 9_000_000 + std::process::id());
        let mut process = machine.exec(shell(&machine, &format!("echo up; sleep {mark}"))).await.unwrap();
        process.next_output().await.unwrap();
        if let Some(program) = vm_program(&machine) {
            rustix::process::kill_process(program, rustix::process::Signal::KILL).unwrap();
        }
        for shell in processes_with(&format!("echo up; sleep {mark}"), Some("sh")) {
            let agent = parent(shell);
            rustix::process::kill_process(agent, rustix::process::Signal::KILL).unwrap();
        }
        let error = process.wait().await.unwrap_err();
        assert!(matches!(error, MachineError::Lost { .. }), "{error:?}");
        machine.stop().await;
        machine::scratch::wait_for_removals();
        for orphan in processes_with(&mark, None) {
            // Without isolation nothing is left that could end them.
            assert_eq!(backend.name(), machine::BackendName::Host);
            rustix::process::kill_process(orphan, rustix::process::Signal::KILL).unwrap();
        }
    }
}

#[tokio::test]
async fn machines_are_apart_from_each_other() {
    for backend in backends().await {
        let root = tempfile::tempdir().unwrap();
        let spec = spec(root.path());
        let (one, two) = tokio::join!(Machine::start(&*backend, &spec), Machine::start(&*backend, &spec));
        let (one, two) = (one.unwrap(), two.unwrap());
        let write = |machine: &Machine| format!("echo x > {}/file", machine.path(Place::Temp));
        assert_eq!(run(&one, &write(&one)).await.1, ExitStatus::Code(0));
        let list = format!("ls {}", two.path(Place::Temp));
        assert_eq!(run(&two, &list).await.0, "");
        one.stop().await;
        assert_eq!(run(&two, "echo still here").await.0, "still here\n");
        two.stop().await;
        machine::scratch::wait_for_removals();
    }
}
