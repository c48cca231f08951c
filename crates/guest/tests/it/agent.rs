//! The agent as a program, spoken to byte by byte.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use guest::frame::{Preamble, decode_reply, encode_request, read_frame, read_preamble};
use guest::protocol::{Exec, ExitStatus, MAX_CHUNK, OutputMode, Reply, Request, RunAs, Scope, Stdin};

/// Sends `bytes` to a new agent and closes the stream; what it answers, and what it complains about.
fn say(bytes: &[u8]) -> (Vec<u8>, String) {
    let (mut ours, theirs) = UnixStream::pair().expect("a pair of sockets");
    let agent = Command::new(env!("CARGO_BIN_EXE_firedog-guest"))
        .stdin(OwnedFd::from(theirs))
        .stderr(Stdio::piped())
        .spawn()
        .expect("the agent starts");
    // An agent that gives up reads no further, and resets the connection where bytes are unread; what it said before counts.
    let _ = ours.write_all(bytes).and_then(|()| ours.shutdown(std::net::Shutdown::Write));
    let mut answer = Vec::new();
    let _ = ours.read_to_end(&mut answer);
    let output = agent.wait_with_output().expect("the agent ends");
    (answer, String::from_utf8_lossy(&output.stderr).into_owned())
}

fn greeting() -> Vec<u8> {
    Preamble::new([5; 16]).encode().to_vec()
}

/// What the agent complains about after a greeting and these bytes.
fn check_complaint(bytes: &[u8], expected: &str) {
    let complaint = say(&[&greeting()[..], bytes].concat()).1;
    assert_eq!(complaint, expected);
}

#[test]
fn a_wrong_stream_ends_the_agent_with_its_reason() {
    check_complaint(&[], "");
    check_complaint(&[9, 0], "guest agent: the stream ended inside a frame, after 2 of 4 bytes\n");
    check_complaint(&[9, 0, 0, 0, 1], "guest agent: the stream ended inside a frame, after 1 of 9 bytes\n");
    check_complaint(&[255; 8], "guest agent: a frame of 4294967295 bytes is over the limit of 1048576\n");
    let complaint = say(&[&greeting()[..], &[2, 0, 0, 0, 99, 99]].concat()).1;
    assert!(complaint.starts_with("guest agent: a frame of 2 bytes holds no message"), "{complaint}");
    assert_eq!(say(b"").1, "guest agent: the stream ended before the other side greeted\n");
    assert_eq!(say(b"hello").1, "guest agent: the stream ended before the other side greeted\n");
}

#[test]
fn another_version_is_told_ours() {
    let theirs = Preamble { version: 99, nonce: [5; 16] };
    let (answer, complaint) = say(&theirs.encode());
    assert_eq!(read_preamble(&mut &answer[..]).unwrap(), Preamble::new([0; 16]));
    assert_eq!(complaint, "guest agent: the other side speaks protocol version 99, this side 4\n");
}

#[test]
fn many_processes_share_one_stream() {
    let exec = |id, script: &str| {
        let exec = Exec {
            argv: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
            env: Vec::new(),
            cwd: "/".to_owned(),
            stdin: Stdin::Null,
            output: OutputMode::Merged,
            user: RunAs::User,
        };
        encode_request(&Request::Exec { id, exec }).unwrap()
    };
    let mut bytes = greeting();
    for id in 0..20 {
        bytes.extend(exec(id, &format!("echo {id}; exit {id}")));
    }
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let mut agent =
        Command::new(env!("CARGO_BIN_EXE_firedog-guest")).stdin(OwnedFd::from(theirs)).spawn().unwrap();
    ours.write_all(&bytes).unwrap();
    assert_eq!(read_preamble(&mut ours).unwrap(), Preamble::new([5; 16]));
    let (mut body, mut exits, mut output) = (Vec::new(), vec![None; 20], vec![Vec::new(); 20]);
    while exits.iter().any(Option::is_none) {
        assert!(read_frame(&mut ours, &mut body).unwrap());
        match decode_reply(&body).unwrap() {
            Reply::Output { id, data, .. } => output[id as usize].extend_from_slice(data),
            Reply::Exited { id, status } => exits[id as usize] = Some(status),
            Reply::Started { .. } => {}
            other => panic!("unexpected {other:?}"),
        }
    }
    for id in 0..20_usize {
        assert_eq!(exits[id], Some(ExitStatus::Code(id as i32)));
        assert_eq!(output[id], format!("{id}\n").into_bytes());
    }
    // What was started ends with the stream.
    ours.write_all(&exec(100, "trap '' HUP TERM; exec sleep 100000")).unwrap();
    assert!(read_frame(&mut ours, &mut body).unwrap());
    let Reply::Started { id: 100, pid } = decode_reply(&body).unwrap() else { panic!("it starts") };
    ours.write_all(
        &encode_request(&Request::Signal { id: 101, process: 100, signal: 15, scope: Scope::Tree }).unwrap(),
    )
    .unwrap();
    drop(ours);
    assert!(agent.wait().unwrap().success());
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn a_host_that_sends_more_input_than_it_may_is_left() {
    let exec = Exec {
        argv: ["/bin/sh", "-c", "exec sleep 100000"].map(str::to_owned).to_vec(),
        env: Vec::new(),
        cwd: "/".to_owned(),
        stdin: Stdin::Stream,
        output: OutputMode::Merged,
        user: RunAs::User,
    };
    let mut bytes = encode_request(&Request::Exec { id: 7, exec }).unwrap();
    for _ in 0..10 {
        // More than the pipe of a process that does not read has room for.
        let request = Request::Input { process: 7, data: vec![0; MAX_CHUNK].into() };
        bytes.extend(encode_request(&request).unwrap());
    }
    check_complaint(&bytes, "guest agent: the host sent more input for process 7 than it may\n");
    let too_long = Request::Input { process: 7, data: vec![0; MAX_CHUNK + 1].into() };
    let unknown = encode_request(&too_long).unwrap();
    // Nobody has that process any more, so that it is nobody's input.
    check_complaint(&unknown, "");
}

#[test]
fn steps_get_no_descriptor_that_the_caller_left_open() {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let left_open = std::fs::File::open("/dev/zero").unwrap();
    rustix::io::fcntl_setfd(&left_open, rustix::io::FdFlags::empty()).unwrap();
    let mut agent =
        Command::new(env!("CARGO_BIN_EXE_firedog-guest")).stdin(OwnedFd::from(theirs)).spawn().unwrap();
    let exec = Exec {
        argv: ["/bin/sh", "-c", "ls -l /proc/self/fd"].map(str::to_owned).to_vec(),
        env: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
        cwd: "/".to_owned(),
        stdin: Stdin::Null,
        output: OutputMode::Merged,
        user: RunAs::User,
    };
    ours.write_all(&greeting()).unwrap();
    ours.write_all(&encode_request(&Request::Exec { id: 0, exec }).unwrap()).unwrap();
    read_preamble(&mut ours).unwrap();
    let (mut body, mut output) = (Vec::new(), Vec::new());
    loop {
        assert!(read_frame(&mut ours, &mut body).unwrap());
        match decode_reply(&body).unwrap() {
            Reply::Output { data, .. } => output.extend_from_slice(data),
            Reply::Exited { status, .. } => break assert_eq!(status, ExitStatus::Code(0)),
            _ => {}
        }
    }
    drop(ours);
    agent.wait().unwrap();
    let output = String::from_utf8(output).unwrap();
    assert!(output.contains("/dev/null"), "{output}");
    assert!(!output.contains("/dev/zero"), "{output}");
}
