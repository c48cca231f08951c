//! `firedog machine exec` and `shell`: a process in a machine as if it were here.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use bytes::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use server::attach::{FromProcess, MAX_CHUNK, PIPELINE, Start, ToProcess};
use tokio::io::{ReadHalf, WriteHalf};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, mpsc};

use super::client;
use super::lease::Leases;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::terminal::{RawTerminal, read_stdin, size};

/// The variable that says what a terminal can do.
const TERM: &str = "TERM";

/// Arguments of `exec`.
#[derive(Debug, clap::Args)]
pub(crate) struct ExecArgs {
    /// The machine, by its id, a beginning of it, or its name
    #[arg(value_name = "MACHINE")]
    machine: String,
    /// A variable of the program's environment
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    env: Vec<(String, String)>,
    /// The folder in the machine that the program starts in [default: the machine's workspace]
    #[arg(long, value_name = "FOLDER")]
    working_dir: Option<String>,
    /// The program and its arguments
    #[arg(value_name = "COMMAND", required = true, last = true)]
    command: Vec<String>,
}

/// Arguments of `shell`.
#[derive(Debug, clap::Args)]
pub(crate) struct ShellArgs {
    /// The machine, by its id, a beginning of it, or its name
    #[arg(value_name = "MACHINE")]
    machine: String,
    /// Another program than the machine's shell, with its arguments
    #[arg(value_name = "COMMAND", last = true)]
    command: Vec<String>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

pub(super) fn exec(args: ExecArgs, config: &Config) -> Result<Exit, Failure> {
    let start = Start { argv: args.command, env: args.env, working_dir: args.working_dir, terminal: None };
    attach(config, &args.machine, start)
}

pub(super) fn shell(args: ShellArgs, config: &Config) -> Result<Exit, Failure> {
    if !io::stdin().is_terminal() {
        let help = "`firedog machine exec MACHINE -- COMMAND` needs none";
        return Err(Failure::usage("standard input is no terminal").with_help(help));
    }
    let failed = |error| Failure::new(Exit::Usage, error).while_doing("cannot use this terminal");
    let size = size().map_err(failed)?;
    let term = std::env::var(TERM).unwrap_or_else(|_| "xterm".to_owned());
    let start = Start {
        argv: args.command,
        env: vec![(TERM.to_owned(), term)],
        working_dir: None,
        terminal: Some((size.rows, size.columns)),
    };
    attach(config, &args.machine, start)
}

fn attach(config: &Config, machine: &str, start: Start) -> Result<Exit, Failure> {
    Leases::block_on(config, async |leases| {
        let row = leases.machine(machine).await?;
        let stream = client::attach(&row.endpoint, &row.id).await?;
        let (reader, mut writer) = tokio::io::split(stream);
        let has_terminal = start.terminal.is_some();
        let signals = Signals::listen(has_terminal).map_err(broken)?;
        ToProcess::Start(start).write(&mut writer).await.map_err(broken)?;
        let raw = has_terminal.then(RawTerminal::take).transpose().map_err(broken)?;
        let room = Arc::new(Semaphore::new(PIPELINE));
        let sending = send(writer, Arc::clone(&room), signals);
        let ended = tokio::select! {
            ended = receive(reader, &room) => ended,
            never = sending => match never {},
        };
        drop(raw);
        ended
    })
}

fn broken(error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::new(Exit::Usage, error).while_doing("the process was lost")
}

/// Takes what the process writes to its end.
async fn receive(mut reader: ReadHalf<TokioIo<Upgraded>>, room: &Semaphore) -> Result<Exit, Failure> {
    loop {
        let written = match FromProcess::read(&mut reader).await.map_err(broken)? {
            Some(FromProcess::Started) => Ok(()),
            Some(FromProcess::Taken) => {
                room.add_permits(1);
                Ok(())
            }
            Some(FromProcess::Stdout(bytes)) => put(&mut io::stdout().lock(), &bytes),
            Some(FromProcess::Stderr(bytes)) => put(&mut io::stderr().lock(), &bytes),
            Some(FromProcess::Exited(status)) => {
                return Ok(Exit::Passed(u8::try_from(status.code() & 0xff).unwrap_or(u8::MAX)));
            }
            Some(FromProcess::Failed(reason)) => return Err(Failure::usage(reason)),
            None => return Err(Failure::usage("the process was lost: the machine's owner ended")),
        };
        match written {
            // A reader that has gone away wanted no more; the process ends with the connection.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Exit::Success),
            written => written.map_err(broken)?,
        }
    }
}

fn put(stream: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes)?;
    stream.flush()
}

/// Sends what is typed or piped in, and signals; never ends, because the process's end counts.
async fn send(
    mut writer: WriteHalf<TokioIo<Upgraded>>,
    room: Arc<Semaphore>,
    mut signals: Signals,
) -> std::convert::Infallible {
    let mut input = read_stdin(MAX_CHUNK);
    let mut is_open = true;
    loop {
        let frame = tokio::select! {
            frame = signals.next() => frame,
            piece = next_input(&mut input, &room), if is_open => match piece {
                Some(bytes) => Some(ToProcess::Input(bytes)),
                None => {
                    is_open = false;
                    Some(ToProcess::EndInput)
                }
            },
        };
        let Some(frame) = frame else { continue };
        if frame.write(&mut writer).await.is_err() {
            // The receiving side finds the connection ended and says so.
            return std::future::pending().await;
        }
    }
}

/// The next piece of input, once the process has room for it.
async fn next_input(input: &mut mpsc::Receiver<Bytes>, room: &Semaphore) -> Option<Bytes> {
    let permit = room.acquire().await.ok()?;
    let bytes = input.recv().await?;
    // The answer makes the room again.
    permit.forget();
    Some(bytes)
}

/// Signals that are meant for the process.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    quit: Signal,
    resized: Option<Signal>,
}

impl Signals {
    fn listen(has_terminal: bool) -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            quit: signal(SignalKind::quit())?,
            resized: has_terminal.then(|| signal(SignalKind::window_change())).transpose()?,
        })
    }

    /// What the next signal means for the process.
    async fn next(&mut self) -> Option<ToProcess> {
        let resized = async {
            match &mut self.resized {
                Some(resized) => resized.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => Some(ToProcess::Signal(SignalKind::interrupt().as_raw_value())),
            _ = self.terminate.recv() => Some(ToProcess::Signal(SignalKind::terminate().as_raw_value())),
            _ = self.quit.recv() => Some(ToProcess::Signal(SignalKind::quit().as_raw_value())),
            _ = resized => size().ok().map(ToProcess::Resize),
        }
    }
}
