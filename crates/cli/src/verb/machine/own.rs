//! `firedog machine own`: the process that `boot` leaves behind. It holds one machine and listens on a Unix socket until the
//! machine is removed, or a signal asks it to end.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use server::http::{HEADER_DEADLINE, Listener, listen_unix};
use server::machines::routes::{Access, router};
use server::machines::{Description, Machines, Wanted};
use tokio::sync::oneshot;

use super::boot::{Answer, BootArgs};
use super::endpoint;
use super::lease::{self, Leases, api_failure};
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::history;
use crate::output;
use crate::state::StateFolder;
use crate::verb::run::signal::Signals;

pub(super) fn run(args: &BootArgs, config: &Config) -> Result<Exit, Failure> {
    // The caller's terminal is none of this process's business; it leads no group, so that this cannot fail.
    let _ = rustix::process::setsid();
    let owned = lease::block_on(own(args, config));
    if let Err(failure) = &owned {
        say(&Answer::Failed {
            cause: failure.cause(),
            help: failure.help().map(str::to_owned),
            is_missing: failure.exit() == Exit::Missing,
        })
        .map_err(|error| Failure::new(Exit::Usage, error))?;
    }
    machine::scratch::wait_for_removals();
    // The failure has been said.
    Ok(if owned.is_ok() { Exit::Success } else { Exit::Usage })
}

async fn own(args: &BootArgs, config: &Config) -> Result<(), Failure> {
    let mut signals = Signals::listen()
        .map_err(|error| Failure::new(Exit::Usage, error).while_doing("cannot listen for signals"))?;
    let state = StateFolder::open(&config.state)?;
    let store = history::open_store(&state).await?;
    let socket = Socket::at(endpoint(&state));
    let listener = socket.listen()?;
    let mut settings = args.kind.settings(config, &state, &store, socket.path.clone())?;
    settings.keeps_snapshots = true;
    let machines = Machines::new(settings).map_err(|error| Failure::new(Exit::Usage, error))?;
    let made = make(args, config, &machines).await?;
    let made = serde_json::to_value(&made).expect("a description is plain data");
    let (end, ended) = oneshot::channel::<()>();
    let router = router(machines.clone(), Access::Socket);
    let serving =
        tokio::spawn(server::http::serve(Listener::Unix(listener), router, HEADER_DEADLINE, async {
            // It ends with this function in any case.
            let _ = ended.await;
        }));
    if say(&Answer::Owned(made)).is_ok() {
        tokio::select! {
            () = machines.until_empty() => {}
            _ = signals.next() => {}
        }
    }
    machines.end().await;
    drop(end);
    // A server that broke down has nothing more to answer.
    let _ = serving.await;
    Ok(())
}

async fn make(args: &BootArgs, config: &Config, machines: &Machines) -> Result<Description, Failure> {
    let wanted = Wanted { name: args.name.clone(), kind: None, size: args.kind.size() };
    let lifetime = args.lifetime.map(Duration::from_secs);
    let made = match &args.snapshot {
        None => machines.create(wanted, lifetime).await,
        Some(snapshot) => {
            let snapshot = Leases::open(config).await?.snapshot(snapshot).await?;
            machines.create_from(snapshot.folder.into(), wanted, lifetime).await
        }
    };
    made.map_err(api_failure)
}

/// Says the answer and closes standard output: whoever reads it needs no more.
fn say(answer: &Answer) -> io::Result<()> {
    let text = serde_json::to_string(answer).map_err(io::Error::other)?;
    let mut stream = io::stdout().lock();
    io::Write::write_all(&mut stream, format!("{text}\n").as_bytes())?;
    io::Write::flush(&mut stream)?;
    rustix::stdio::dup2_stdout(File::open("/dev/null")?)?;
    Ok(())
}

/// The socket of an owner; its file goes with it.
pub(super) struct Socket {
    pub(super) path: std::path::PathBuf,
}

impl Socket {
    pub(super) fn at(path: std::path::PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn listen(&self) -> Result<tokio::net::UnixListener, Failure> {
        listen_unix(&self.path).map_err(|error| unusable(&self.path, error))
    }
}

fn unusable(path: &Path, error: io::Error) -> Failure {
    Failure::new(Exit::Usage, error)
        .while_doing(format!("cannot listen on `{}`", path.display()))
        .with_help("choose a shorter path with `--state-dir FOLDER`: a socket's path holds 107 bytes")
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            output::to_stderr(&format!("warning: cannot remove `{}`: {error}", self.path.display()));
        }
    }
}
