//! Requests to end: Ctrl-C, SIGTERM and SIGHUP, counted.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a request to end asks for, by how many there were before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// Cancel: `always()` steps and post steps still run.
    Cancel,
    /// End every job at once.
    CancelNow,
    /// Leave without waiting for anything.
    Leave,
}

/// The signals that ask this process to end.
#[derive(Debug)]
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
    seen: u32,
}

impl Signals {
    /// Takes the signals over; from now on they do not end the process by themselves.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            seen: 0,
        })
    }

    /// Waits for the next request. Dropping the future loses none.
    pub(super) async fn next(&mut self) -> Request {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
        self.seen += 1;
        request(self.seen)
    }
}

fn request(seen: u32) -> Request {
    match seen {
        0 | 1 => Request::Cancel,
        2 => Request::CancelNow,
        _ => Request::Leave,
    }
}

#[cfg(test)]
mod tests {
    use super::{Request, request};

    #[test]
    fn each_request_is_harder_than_the_one_before() {
        assert_eq!(
            [1, 2, 3, 4].map(request),
            [Request::Cancel, Request::CancelNow, Request::Leave, Request::Leave]
        );
    }
}
