//! `firedog machine serve` and `token`.

use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use server::http::{HEADER_DEADLINE, Listener};
use server::jwt::{Key, MAX_SECRET};
use server::machines::Machines;
use server::machines::routes::{Access, router};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::own::Socket;
use super::{KindArgs, endpoint, lease};
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::history;
use crate::output;
use crate::state::StateFolder;
use crate::sweep;
use crate::verb::run::signal::Signals;

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    /// The address to listen on, such as `127.0.0.1:8080`; port 0 is any free one
    #[arg(long, value_name = "ADDRESS")]
    listen: String,
    #[command(flatten)]
    key: KeyArgs,
    /// How many machines are kept ready, where the kind has snapshots of memory
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=64))]
    #[arg(help_heading = "Machines")]
    warm: u16,
    #[command(flatten)]
    kind: KindArgs,
}

/// Arguments of `token`.
#[derive(Debug, clap::Args)]
pub(crate) struct TokenArgs {
    #[command(flatten)]
    key: KeyArgs,
    /// How long the token is valid
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    lifetime: u32,
}

/// What signs tokens.
#[derive(Debug, clap::Args)]
struct KeyArgs {
    /// A file with the secret that tokens are signed with, of 32 bytes or more
    #[arg(long, value_name = "FILE")]
    jwt_secret_file: PathBuf,
    /// Whom tokens must be meant for
    #[arg(long, value_name = "NAME")]
    jwt_audience: Option<String>,
}

impl KeyArgs {
    fn read(&self) -> Result<Key, Failure> {
        let file = &self.jwt_secret_file;
        let doing = format!("cannot use the secret in `{}`", file.display());
        let secret =
            read_secret(file).map_err(|error| Failure::new(Exit::Usage, error).while_doing(doing.clone()))?;
        Key::new(&secret, self.jwt_audience.clone()).map_err(|error| {
            Failure::new(Exit::Usage, error)
                .while_doing(doing)
                .with_help("`head -c 32 /dev/urandom | base64 > FILE` makes one")
        })
    }
}

/// The secret; says so when others can read it, too.
fn read_secret(file: &Path) -> io::Result<Vec<u8>> {
    let open = std::fs::File::open(file)?;
    if open.metadata()?.permissions().mode() & 0o077 != 0 {
        output::to_stderr(&format!("warning: others can read the secret in `{}`", file.display()));
    }
    let mut secret = Vec::new();
    open.take(MAX_SECRET as u64 + 3).read_to_end(&mut secret)?;
    Ok(secret)
}

pub(super) fn token(args: &TokenArgs) -> Result<Exit, Failure> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let token = args.key.read()?.sign(now + u64::from(args.lifetime));
    output::to_stdout(&format!("{token}\n"))?;
    Ok(Exit::Success)
}

pub(super) fn serve(args: &ServeArgs, config: &Config) -> Result<Exit, Failure> {
    let key = args.key.read()?;
    let served = lease::block_on(serve_until_asked(args, config, key));
    machine::scratch::wait_for_removals();
    served
}

async fn serve_until_asked(args: &ServeArgs, config: &Config, key: Key) -> Result<Exit, Failure> {
    let mut signals = Signals::listen()
        .map_err(|error| Failure::new(Exit::Usage, error).while_doing("cannot listen for signals"))?;
    let unusable =
        |error| Failure::new(Exit::Usage, error).while_doing(format!("cannot listen on `{}`", args.listen));
    let listener = TcpListener::bind(&args.listen).await.map_err(unusable)?;
    let address = listener.local_addr().map_err(unusable)?;
    if !address.ip().is_loopback() {
        output::to_stderr(
            "warning: tokens and code travel without encryption; put a proxy with TLS in front",
        );
    }
    let state = StateFolder::open(&config.state)?;
    let store = history::open_store(&state).await?;
    sweep::sweep(&store, &state).await?;
    let socket = Socket::at(endpoint(&state));
    let local = socket.listen()?;
    let mut settings = args.kind.settings(config, &state, &store, socket.path.clone())?;
    settings.warm = usize::from(args.warm);
    if settings.warm > 0 && !settings.backend.has_snapshots() {
        let name = settings.backend.name();
        output::to_stderr(&format!(
            "note: no machine is kept ready: the {name} backend has no snapshots of memory"
        ));
    }
    let machines = Machines::new(settings).map_err(|error| Failure::new(Exit::Usage, error))?;
    let (ending, is_ending) = watch::channel(false);
    let spawn = |listener, access| {
        let mut is_ending = is_ending.clone();
        let router = router(machines.clone(), access);
        tokio::spawn(server::http::serve(listener, router, HEADER_DEADLINE, async move {
            // The sender lives until the end.
            let _ = is_ending.wait_for(|ending| *ending).await;
        }))
    };
    let serving = [
        spawn(Listener::Tcp(listener), Access::Token(Arc::new(key))),
        spawn(Listener::Unix(local), Access::Socket),
    ];
    output::json_to_stdout(&json!({ "event": "listening", "address": address.to_string() }))?;
    signals.next().await;
    // Machines first: what runs in them ends, and with it the answers that wait for it.
    tokio::select! {
        () = machines.end() => {}
        _ = signals.next() => output::to_stderr("warning: left before every machine was stopped"),
    }
    // Whoever served has ended only when nobody listens.
    let _ = ending.send(true);
    for served in serving {
        // A server that broke down has nothing more to answer.
        let _ = served.await;
    }
    Ok(Exit::Success)
}
