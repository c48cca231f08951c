//! Processes that a caller is attached to, over an upgraded connection: see [`crate::attach`].

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONNECTION, UPGRADE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use hyper_util::rt::TokioIo;
use machine::{
    ExecSpec, OutputMode, Place, Process, ProcessInput, RunAs, Scope, Signaller, Stdin, Stream, TerminalSize,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use super::entry::Use;
use super::error::ApiError;
use crate::attach::{self, FromProcess, PIPELINE, Start, ToProcess};

/// How long a caller may take to say what is to be started.
const START_DEADLINE: Duration = Duration::from_secs(15);

/// The shell of a caller who names no program.
const SHELL: [&str; 2] = ["bash", "-l"];

/// The name of the protocol, as a header's value.
const PROTOCOL: HeaderValue = HeaderValue::from_static(attach::UPGRADE);

/// Turns the connection of a request into the stream to a process.
pub(crate) fn upgrade(mut request: Request, used: Use) -> Result<Response, ApiError> {
    let names_protocol = request.headers().get(UPGRADE).is_some_and(|name| name == PROTOCOL);
    if !names_protocol {
        return Err(ApiError::invalid(format!("`Upgrade` must be {}", attach::UPGRADE)));
    }
    let upgrading = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        // A caller that does not go on after the answer has left.
        if let Ok(upgraded) = upgrading.await {
            let (reader, writer) = tokio::io::split(TokioIo::new(upgraded));
            // An error is a caller that has left or does not keep to the protocol: its process has been ended.
            let _ = serve(reader, writer, &used).await;
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    response.headers_mut().insert(UPGRADE, PROTOCOL);
    Ok(response)
}

async fn serve(
    mut reader: impl AsyncRead + Unpin,
    mut writer: impl AsyncWrite + Unpin,
    used: &Use,
) -> Result<(), attach::FrameError> {
    let first = tokio::time::timeout(START_DEADLINE, ToProcess::read(&mut reader)).await;
    let Ok(Ok(Some(ToProcess::Start(start)))) = first else { return Ok(()) };
    let mut process = match used.machine().exec(exec(start, used)).await {
        Ok(process) => process,
        Err(error) => return Ok(FromProcess::Failed(error.to_string()).write(&mut writer).await?),
    };
    FromProcess::Started.write(&mut writer).await?;
    let (commands, received) = mpsc::channel(PIPELINE + 1);
    let (taken, were_taken) = mpsc::channel(PIPELINE);
    let input = process.take_input();
    let signaller = process.signaller();
    tokio::select! {
        written = write(&mut writer, process, were_taken) => Ok(written?),
        read = read(&mut reader, &commands, &signaller) => read,
        () = feed(input, received, taken) => unreachable!("feeding never ends"),
    }
}

fn exec(start: Start, used: &Use) -> ExecSpec {
    let machine = used.machine();
    let mut env = machine.environment().to_vec();
    env.extend(start.env);
    let output = match start.terminal {
        Some((rows, columns)) => OutputMode::Terminal(TerminalSize { rows, columns }),
        None => OutputMode::Separate,
    };
    let argv = if start.argv.is_empty() { SHELL.map(str::to_owned).to_vec() } else { start.argv };
    let cwd = start.working_dir.unwrap_or_else(|| machine.path(Place::Workspace).to_owned());
    ExecSpec { argv, env, cwd, stdin: Stdin::Stream, output, user: RunAs::User }
}

/// Carries what the process writes, and how it ends.
async fn write(
    writer: &mut (impl AsyncWrite + Unpin),
    mut process: Process,
    mut were_taken: mpsc::Receiver<()>,
) -> std::io::Result<()> {
    loop {
        let frame = tokio::select! {
            Some(()) = were_taken.recv() => FromProcess::Taken,
            piece = process.next_output() => match piece {
                Some(piece) if piece.stream == Stream::Stdout => FromProcess::Stdout(piece.bytes),
                Some(piece) => FromProcess::Stderr(piece.bytes),
                None => break,
            },
        };
        frame.write(writer).await?;
    }
    match process.wait().await {
        Ok(status) => FromProcess::Exited(status).write(writer).await,
        Err(error) => FromProcess::Failed(error.to_string()).write(writer).await,
    }
}

/// Takes what the caller sends, until it leaves or does not keep to the protocol.
async fn read(
    reader: &mut (impl AsyncRead + Unpin),
    commands: &mpsc::Sender<Option<Bytes>>,
    signaller: &Signaller,
) -> Result<(), attach::FrameError> {
    while let Some(frame) = ToProcess::read(reader).await? {
        // A machine that is lost ends the process, which the writing side reports.
        let is_kept = match frame {
            ToProcess::Input(bytes) => commands.try_send(Some(bytes)).is_ok(),
            ToProcess::EndInput => commands.try_send(None).is_ok(),
            ToProcess::Resize(size) => {
                let _ = signaller.resize(size).await;
                true
            }
            ToProcess::Signal(signal) => {
                let _ = signaller.send(signal, Scope::Group).await;
                true
            }
            ToProcess::Start(_) => false,
        };
        if !is_kept {
            break;
        }
    }
    Ok(())
}

/// Passes input on to the process, and tells of it.
async fn feed(
    mut input: Option<ProcessInput>,
    mut received: mpsc::Receiver<Option<Bytes>>,
    taken: mpsc::Sender<()>,
) {
    while let Some(bytes) = received.recv().await {
        let Some(bytes) = bytes else {
            input = None;
            continue;
        };
        if let Some(input) = &mut input {
            input.write(&bytes).await;
        }
        // The writing side is there as long as this is.
        let _ = taken.send(()).await;
    }
    std::future::pending().await
}
