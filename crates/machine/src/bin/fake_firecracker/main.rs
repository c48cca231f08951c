//! A Firecracker for tests, as strict as the real one, that runs the guest agent in namespaces instead of a virtual machine.
//!
//! It is started by a name in a folder that also holds `machine-agent`, and perhaps `sabotage`: lines of a method, a path and what
//! is to happen at that request. Called `jailer` it checks the jailer's arguments and does as much of its work as needs no root.

#![expect(clippy::print_stdout, clippy::print_stderr, clippy::exit, reason = "it is a program for tests")]

mod guest;
mod http;
mod jailer;
mod machine;
mod table;

use std::fs;
use std::io;
use std::os::unix::net::UnixListener;
use std::process::ExitCode;

use http::{Answer, Connection, Request};
use machine::{After, Machine};

const VERSION: &str = "1.16.1";

fn main() -> ExitCode {
    let mut arguments = std::env::args();
    let program = arguments.next().unwrap_or_default();
    let arguments: Vec<String> = arguments.collect();
    let result = match program.rsplit('/').next() {
        Some("jailer") => jailer::run(&arguments),
        _ => run(&arguments),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("Error: {error}");
            ExitCode::from(153)
        }
    }
}

fn run(arguments: &[String]) -> io::Result<u8> {
    if arguments == ["--version"] {
        println!("Firecracker v{VERSION}\n");
        return Ok(0);
    }
    let (mut socket, mut id) = (None, "anonymous-instance".to_owned());
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut value =
            || rest.next().cloned().ok_or_else(|| io::Error::other(format!("{argument} has no value")));
        let joined = argument.split_once('=');
        match (argument.as_str(), joined) {
            ("--api-sock", _) => socket = Some(value()?),
            ("--id", _) => id = value()?,
            ("--level", _) => drop(value()?),
            (_, Some(("--id", name))) => id = name.to_owned(),
            (_, Some(("--start-time-us" | "--start-time-cpu-us", _))) => {}
            _ => return Err(io::Error::other(format!("found argument '{argument}' which wasn't expected"))),
        }
    }
    let is_legal = |character: char| character.is_ascii_alphanumeric() || character == '-';
    if id.is_empty() || id.len() > 64 || !id.chars().all(is_legal) {
        return Err(io::Error::other("Invalid instance ID"));
    }
    if sabotage("START", "").as_deref() == Some("die") {
        eprintln!("it was told to die at its start");
        return Ok(148);
    }
    let listener = UnixListener::bind(socket.ok_or(io::ErrorKind::InvalidInput)?)?;
    let mut machine = Machine::new(id);
    for stream in listener.incoming() {
        let mut connection = Connection::new(stream?);
        while let Ok(Some(request)) = connection.request() {
            if let Some(code) = serve(&mut machine, &mut connection, &request)? {
                return Ok(code);
            }
        }
    }
    Ok(0)
}

/// Carries out a request, or does what is to happen instead; returns the status to end with.
fn serve(machine: &mut Machine, connection: &mut Connection, request: &Request) -> io::Result<Option<u8>> {
    match sabotage(&request.method, &request.path).as_deref() {
        Some("400") => connection.answer(&Answer::fault(400, "it was told to refuse this"))?,
        Some("500") => connection.answer(&Answer::fault(500, "it was told to fail at this"))?,
        Some("silence") => loop {
            std::thread::park();
        },
        Some("garbage") => connection.raw(b"\x00\x01 this is no HTTP \xff\n\n\n")?,
        Some("nonsense") => connection.raw(b"HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\n[1,2]")?,
        Some("endless") => {
            connection.raw(b"HTTP/1.1 200 \r\nContent-Length: 1000000\r\n\r\n")?;
            connection.raw(&[b'x'; 200_000])?;
        }
        Some("cut") => {
            connection.raw(b"HTTP/1.1 204 \r\nServer: Fire")?;
            return Ok(Some(1));
        }
        Some("die") => return Ok(Some(1)),
        Some(other) => return Err(io::Error::other(format!("no such sabotage: {other}"))),
        None => {
            let (answer, after) = machine.carry_out(request);
            connection.answer(&answer)?;
            if let After::End(code) = after {
                return Ok(Some(code));
            }
        }
    }
    Ok(None)
}

/// What is to happen at a request instead of what should.
fn sabotage(method: &str, path: &str) -> Option<String> {
    let lines = fs::read_to_string(guest::beside_this_program("sabotage").ok()?).ok()?;
    lines.lines().find_map(|line| {
        let mut words = line.split(' ');
        let is_meant = words.next() == Some(method) && words.next() == Some(path);
        is_meant.then(|| words.next().unwrap_or_default().to_owned())
    })
}
