//! `firedog machine`: machines that stay between calls, and the server of machines.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::command::{Answer, Place, answer};

const SMALL: [&str; 4] = ["--memory", "64", "--network", "none"];

/// Makes a machine; its id. None where this host has no isolated machines.
#[expect(clippy::print_stderr, reason = "a test that is skipped must be seen to be")]
fn boot(place: &Place, name: &str) -> Option<String> {
    let booted = place.call(&[&["machine", "boot", "--name", name][..], &SMALL].concat());
    if booted.code == Some(3) && booted.stderr.contains("no isolated machine") {
        eprintln!("skipped: {}", booted.stderr);
        return None;
    }
    assert_eq!((booted.code, booted.stderr.as_str()), (Some(0), ""), "{booted:?}");
    Some(booted.stdout.trim().to_owned())
}

fn list(place: &Place) -> Vec<Value> {
    let listed = place.call(&["machine", "ls", "--format", "json"]);
    assert_eq!(listed.code, Some(0), "{listed:?}");
    let listed: Value = serde_json::from_str(&listed.stdout).expect("it is JSON");
    listed["machines"].as_array().expect("it is a list").clone()
}

fn check(answer: &Answer, expected: (i32, &str, &str)) {
    let found = (answer.code.expect("it ends by itself"), answer.stdout.as_str(), answer.stderr.as_str());
    assert_eq!(found, expected);
}

fn owner(machine: &Value) -> Pid {
    let pid = machine["owner"].as_i64().and_then(|pid| i32::try_from(pid).ok());
    Pid::from_raw(pid.expect("it has an owner")).expect("it is a process")
}

/// Waits until a process has ended, whoever reaps it.
fn until_gone(pid: Pid) {
    let gone = || {
        let stat =
            std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    };
    while !gone() {
        std::thread::yield_now();
    }
}

#[test]
fn a_machine_stays_between_calls_until_it_is_stopped() {
    let place = Place::new();
    let Some(id) = boot(&place, "one") else { return };
    let machines = list(&place);
    assert_eq!(machines.len(), 1);
    let seen = |key: &str| machines[0][key].clone();
    assert_eq!((seen("id"), seen("name"), seen("state")), (json!(id), json!("one"), json!("ready")));
    let script = "echo kept > file; echo out; echo err >&2; exit 7";
    check(&place.call(&["machine", "exec", "one", "--", "sh", "-c", script]), (7, "out\n", "err\n"));
    check(&place.call(&["machine", "exec", &id[..8], "--", "cat", "file"]), (0, "kept\n", ""));
    let environment =
        ["machine", "exec", &id, "--env", "A=b c", "--working-dir", "/tmp", "--", "sh", "-c", "echo $A; pwd"];
    check(&place.call(&environment), (0, "b c\n/tmp\n", ""));
    check(&place.call(&["machine", "exec", &id, "--", "sh", "-c", "kill -9 $$"]), (137, "", ""));
    let missing = place.call(&["machine", "exec", &id, "--", "no-such-program"]);
    assert_eq!(missing.code, Some(2));
    assert!(missing.stderr.starts_with("error: cannot start `no-such-program`"), "{}", missing.stderr);
    let pid = owner(&machines[0]);
    check(&place.call(&["machine", "stop", &id]), (0, "", ""));
    assert_eq!(list(&place), Vec::<Value>::new());
    until_gone(pid);
    let again = place.call(&["machine", "stop", &id]);
    assert_eq!(again.code, Some(2));
    assert!(again.stderr.starts_with(&format!("error: there is no machine `{id}`\n")), "{}", again.stderr);
    assert_eq!(std::fs::read_dir(place.state().join("sockets")).expect("it is there").count(), 0);
}

#[test]
fn what_is_piped_in_arrives_whole_and_its_end_too() {
    let place = Place::new();
    let Some(id) = boot(&place, "one") else { return };
    let mut command = place.command(&["machine", "exec", &id, "--", "sh", "-c", "cat; echo end >&2"]);
    let mut child = command.stdin(Stdio::piped()).spawn().expect("the binary starts");
    let text: String = (0..200_000).map(|number| format!("{number}\n")).collect();
    let mut stdin = child.stdin.take().expect("it is piped");
    let sent = text.clone();
    let feeding = std::thread::spawn(move || stdin.write_all(sent.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    feeding.join().expect("no panic").expect("all is taken");
    let found = answer(output);
    assert_eq!((found.code, found.stderr.as_str()), (Some(0), "end\n"));
    assert!(found.stdout == text);
    check(&place.call(&["machine", "stop", "--all"]), (0, "", ""));
}

#[test]
fn two_machines_are_apart_and_are_used_at_the_same_time() {
    let place = Place::new();
    let Some(one) = boot(&place, "one") else { return };
    let Some(two) = boot(&place, "two") else { return };
    assert_ne!(one, two);
    std::thread::scope(|scope| {
        for id in [&one, &two, &one, &two] {
            let place = &place;
            scope.spawn(move || {
                let script = format!("echo {id} >> mine; sort -u mine");
                let found = place.call(&["machine", "exec", id, "--", "sh", "-c", &script]);
                check(&found, (0, &format!("{id}\n"), ""));
            });
        }
    });
    check(&place.call(&["machine", "stop", "one", "two"]), (0, "", ""));
    assert_eq!(list(&place), Vec::<Value>::new());
}

#[test]
fn what_a_killed_owner_left_is_collected_and_nothing_of_others() {
    let place = Place::new();
    let Some(killed) = boot(&place, "killed") else { return };
    let Some(other) = boot(&place, "other") else { return };
    let mark = format!("{}", 4_100_000 + std::process::id());
    let script = format!("sleep {mark} > /dev/null 2>&1 & echo up");
    check(&place.call(&["machine", "exec", &killed, "--", "sh", "-c", &script]), (0, "up\n", ""));
    let machines = list(&place);
    let pid = owner(machines.iter().find(|machine| machine["id"] == *killed).expect("it is listed"));
    kill_process(pid, Signal::KILL).expect("it is there");
    until_gone(pid);
    let states: Vec<_> = list(&place).iter().map(|machine| machine["state"].clone()).collect();
    assert_eq!(states, ["stray", "ready"]);
    let lost = place.call(&["machine", "exec", &killed, "--", "true"]);
    assert_eq!(lost.code, Some(2));
    let expected = format!(
        "error: the process that owned the machine `{killed}` died\n\
         help: `firedog machine gc` removes what it left\n"
    );
    assert_eq!(lost.stderr, expected);
    check(&place.call(&["machine", "gc"]), (0, &format!("{killed}\n"), ""));
    check(&place.call(&["machine", "gc"]), (0, "", ""));
    let left = list(&place);
    assert_eq!(left.iter().map(|machine| &machine["id"]).collect::<Vec<_>>(), [&json!(other)]);
    let running = std::process::Command::new("pgrep").args(["-f", &format!("sleep {mark}")]).output();
    assert_eq!(running.map(|output| output.stdout).unwrap_or_default(), b"");
    check(&place.call(&["machine", "exec", "other", "--", "echo", "still here"]), (0, "still here\n", ""));
    check(&place.call(&["machine", "stop", "other"]), (0, "", ""));
    let sockets = std::fs::read_dir(place.state().join("sockets")).expect("it is there").count();
    assert_eq!(sockets, 0);
    let folders = std::fs::read_dir(place.state().join("machines")).expect("it is there").flatten();
    let names = folders.map(|entry| entry.file_name().to_string_lossy().into_owned());
    assert_eq!(names.filter(|name| !name.starts_with("spare-")).collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn machines_without_snapshots_say_what_can_be_done_instead() {
    let place = Place::new();
    let Some(id) = boot(&place, "one") else { return };
    for verb in ["snapshot", "fork"] {
        let refused = place.call(&["machine", verb, &id]);
        assert_eq!(refused.code, Some(3), "{refused:?}");
        assert!(refused.stderr.contains("have no snapshots of memory\nhelp: "), "{}", refused.stderr);
    }
    let missing = place.call(&["machine", "restore", "snap-1"]);
    let expected =
        "error: there is no snapshot `snap-1`\nhelp: `firedog machine ls --snapshots` lists them\n";
    check(&missing, (2, "", expected));
    let too_large = place.call(&["machine", "boot", "--memory", "1048576"]);
    assert_eq!(too_large.code, Some(3), "{too_large:?}");
    assert!(too_large.stderr.contains("there is no memory for a machine of 1048576 MiB"), "{too_large:?}");
    check(&place.call(&["machine", "stop", "--all"]), (0, "", ""));
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that is skipped must be seen to be")]
fn a_shell_is_on_a_terminal_and_its_exit_code_passes_through() {
    let place = Place::new();
    let Some(id) = boot(&place, "one") else { return };
    let no_terminal = place.call(&["machine", "shell", &id]);
    assert_eq!(no_terminal.code, Some(2));
    assert!(no_terminal.stderr.starts_with("error: standard input is no terminal\n"), "{no_terminal:?}");
    let state = place.state().display().to_string();
    let inside = format!(
        "stty rows 31 cols 77; {} machine shell {id} --state-dir {state}",
        env!("CARGO_BIN_EXE_firedog")
    );
    let script = std::process::Command::new("script")
        .args(["--quiet", "--return", "--command", &inside, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut script) = script else {
        eprintln!("skipped: there is no `script` to make a terminal");
        return;
    };
    let mut keys = script.stdin.take().expect("it is piped");
    let mut output = script.stdout.take().expect("it is piped");
    keys.write_all(b"test -t 0 && stty size; echo sh$((40 + 2)); exit 9\r").expect("it is taken");
    let mut seen = String::new();
    output.read_to_string(&mut seen).expect("it is text");
    assert_eq!(script.wait().expect("it ends").code(), Some(9), "{seen}");
    assert!(seen.contains("31 77\r\n") && seen.contains("sh42\r\n"), "{seen}");
    drop(keys);
    check(&place.call(&["machine", "stop", &id]), (0, "", ""));
}

/// A server of machines, its address and a token for it.
struct Serving {
    child: Child,
    address: String,
    token: String,
}

impl Serving {
    fn start(place: &Place) -> Self {
        place.write("secret", "a secret of thirty-two bytes or more\n");
        let file = place.root().join("secret").display().to_string();
        let secret = ["--jwt-secret-file", &file, "--jwt-audience", "machines"];
        let token = place.call(&[&["machine", "token"][..], &secret].concat());
        assert_eq!(token.code, Some(0), "{token:?}");
        let mut command =
            place.command(&[&["machine", "serve", "--listen", "127.0.0.1:0"][..], &secret, &SMALL].concat());
        let mut child = command.stderr(Stdio::inherit()).spawn().expect("the binary starts");
        let mut line = String::new();
        let stdout = child.stdout.as_mut().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("it is text");
        let event: Value = serde_json::from_str(&line).expect("it is JSON");
        assert_eq!(event["event"], "listening");
        let address = event["address"].as_str().expect("it is text").to_owned();
        Self { child, address, token: token.stdout.trim().to_owned() }
    }

    /// A call; its status and body.
    fn call(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {}\r\n\
             content-length: {}\r\n\r\n{body}",
            self.token,
            body.len(),
        );
        stream.write_all(head.as_bytes()).expect("it is taken");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it is text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("it is HTTP");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("it has a status");
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    fn terminate(mut self) -> Option<i32> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).expect("it is there");
        self.child.wait().expect("it ends").code()
    }
}

#[test]
fn a_server_makes_machines_that_the_other_verbs_reach_and_stops_them_all() {
    let place = Place::new();
    let serving = Serving::start(&place);
    assert_eq!(serving.call("GET", "/health", "").0, 200);
    let (status, machine) = serving.call("POST", "/api/vms", r#"{"name": "served"}"#);
    assert_eq!((status, &machine["status"]), (201, &json!("running")), "{machine}");
    let id = machine["id"].as_str().expect("it is text");
    check(&place.call(&["machine", "exec", "served", "--", "sh", "-c", "echo hi > file"]), (0, "", ""));
    let body =
        json!({"agent_id": "a", "language": "bash", "code": "cat file; sleep 1000 & echo $!", "vm_id": id});
    let (status, answer) = serving.call("POST", "/api/llm/execute", &body.to_string());
    assert_eq!(status, 200, "{answer}");
    assert!(answer["stdout"].as_str().is_some_and(|text| text.starts_with("hi\n")), "{answer}");
    assert_eq!(list(&place)[0]["id"], *id);
    assert_eq!(serving.terminate(), Some(0));
    assert_eq!(list(&place), Vec::<Value>::new());
    assert_eq!(std::fs::read_dir(place.state().join("sockets")).expect("it is there").count(), 0);
}

#[test]
fn what_a_killed_server_left_goes_when_the_next_one_starts() {
    let place = Place::new();
    let mut killed = Serving::start(&place);
    assert_eq!(killed.call("POST", "/api/vms", "").0, 201);
    killed.child.kill().expect("it is there");
    killed.child.wait().expect("it ends");
    assert_eq!(list(&place)[0]["state"], "stray");
    let next = Serving::start(&place);
    assert_eq!(list(&place), Vec::<Value>::new());
    assert_eq!(next.call("GET", "/api/vms", ""), (200, json!({"vms": []})));
    assert_eq!(next.terminate(), Some(0));
}

#[test]
fn a_server_without_a_good_secret_or_a_free_address_does_not_start() {
    let place = Place::with(&[("empty", ""), ("short", "too short\n"), ("good", &"x".repeat(40))]);
    let serve = |secret: &str, address: &str| {
        place.call(&["machine", "serve", "--listen", address, "--jwt-secret-file", secret])
    };
    let check = |answer: Answer, expected: &str| {
        assert_eq!((answer.code, answer.stdout.as_str()), (Some(2), ""), "{answer:?}");
        assert!(answer.stderr.contains(expected), "{}", answer.stderr);
    };
    let any = "127.0.0.1:0";
    check(serve("missing", any), "error: cannot use the secret in `missing`: No such file or directory");
    check(
        serve("empty", any),
        "error: cannot use the secret in `empty`: the secret has 0 bytes; at least 32 are needed",
    );
    check(serve("short", any), "error: cannot use the secret in `short`: the secret has 9 bytes");
    check(serve("good", "nowhere"), "error: cannot listen on `nowhere`");
    check(serve("good", "192.0.2.1:1"), "error: cannot listen on `192.0.2.1:1`");
    let taken = std::net::TcpListener::bind(any).expect("a port is free");
    let address = taken.local_addr().expect("it is bound").to_string();
    check(serve("good", &address), &format!("error: cannot listen on `{address}`"));
}
