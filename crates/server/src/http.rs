//! Connections: accepted up to a limit, read within limits, ended gracefully.
//!
//! A caller that sends its headers slowly, or none, is left after [`HEADER_DEADLINE`]; bodies have a limit of their own where
//! they are read. A connection beyond [`MAX_CONNECTIONS`] waits to be accepted.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, watch};

/// How long a caller may usually take to send the headers of a request, from the connection's start or the last answer on.
pub const HEADER_DEADLINE: Duration = Duration::from_secs(15);

/// Most connections at a time.
pub const MAX_CONNECTIONS: usize = 512;

/// Most bytes of a request's line and headers.
const MAX_HEADERS: usize = 64 * 1024;

/// How long answers that are under way may take when the server ends.
const LAST_ANSWERS: Duration = Duration::from_secs(10);

/// The pause after a connection could not be accepted: for want of descriptors, which others have to give back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where connections come from.
#[derive(Debug)]
pub enum Listener {
    /// From a network.
    Tcp(TcpListener),
    /// From this host.
    Unix(UnixListener),
}

/// Serves connections until `end`, then gives the answers that are under way a moment. A caller has `header_deadline` for the
/// headers of a request.
pub async fn serve(
    listener: Listener,
    router: Router,
    header_deadline: Duration,
    end: impl Future<Output = ()>,
) {
    let (ending, is_ending) = watch::channel(false);
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let accepting = accept(&listener, &router, header_deadline, &room, &is_ending);
    tokio::select! {
        never = accepting => match never {},
        () = end => {}
    }
    // Nobody listens any more only when there is no connection.
    let _ = ending.send(true);
    let all = u32::try_from(MAX_CONNECTIONS).expect("the limit is small");
    // What takes longer is cut off.
    let _ = tokio::time::timeout(LAST_ANSWERS, room.acquire_many(all)).await;
}

async fn accept(
    listener: &Listener,
    router: &Router,
    header_deadline: Duration,
    room: &Arc<Semaphore>,
    is_ending: &watch::Receiver<bool>,
) -> Infallible {
    loop {
        let place = Arc::clone(room).acquire_owned().await.expect("the semaphore is never closed");
        let stream = match listener {
            Listener::Tcp(listener) => listener.accept().await.map(|(stream, _)| {
                // Small answers are not held back; without it they are only slower.
                let _ = stream.set_nodelay(true);
                Box::new(stream) as Box<dyn Stream>
            }),
            Listener::Unix(listener) => listener.accept().await.map(|(stream, _)| Box::new(stream) as _),
        };
        match stream {
            Ok(stream) => {
                let (router, is_ending) = (router.clone(), is_ending.clone());
                tokio::spawn(async move {
                    // A caller that breaks off or sends something else than HTTP is its own affair.
                    let _ = connection(stream, router, header_deadline, is_ending).await;
                    drop(place);
                });
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

async fn connection(
    stream: Box<dyn Stream>,
    router: Router,
    header_deadline: Duration,
    mut is_ending: watch::Receiver<bool>,
) -> Result<(), hyper::Error> {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_deadline)
        .max_buf_size(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        served = &mut connection => return served,
        _ = is_ending.wait_for(|ending| *ending) => {}
    }
    connection.as_mut().graceful_shutdown();
    connection.await
}

/// Listens on a Unix socket at `path`, which must not be there, in a folder that is made for this user alone.
///
/// # Errors
/// When the folder cannot be made or the socket cannot.
pub fn listen_unix(path: &std::path::Path) -> io::Result<UnixListener> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    if let Some(folder) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let metadata = folder.symlink_metadata()?;
        if metadata.permissions().mode() & 0o077 != 0 {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "others can enter the socket's folder",
            ));
        }
    }
    UnixListener::bind(path)
}
