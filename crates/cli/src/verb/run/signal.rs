//! Requests to end: Ctrl-C, SIGTERM and SIGHUP, counted.

use std::future::pending;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a request to end asks for, by how many there were before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::verb) enum Request {
    /// Cancel: `always()` steps and post steps still run.
    Cancel,
    /// End every job at once.
    CancelNow,
    /// Leave without waiting for anything.
    Leave,
}

/// The signals that ask this process to end. Those that its parent had it ignore, as `nohup` does, stay ignored.
#[derive(Debug)]
pub(in crate::verb) struct Signals {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
    hang_up: Option<Signal>,
    seen: u32,
}

impl Signals {
    /// Takes the signals over; from now on they do not end the process by themselves.
    pub(in crate::verb) fn listen() -> io::Result<Self> {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = ignored(&status);
        let take = |kind: SignalKind| match ignored >> (kind.as_raw_value() - 1) & 1 {
            0 => signal(kind).map(Some),
            _ => Ok(None),
        };
        Ok(Self {
            interrupt: take(SignalKind::interrupt())?,
            terminate: take(SignalKind::terminate())?,
            hang_up: take(SignalKind::hangup())?,
            seen: 0,
        })
    }

    /// Waits for the next request. Dropping the future loses none.
    pub(in crate::verb) async fn next(&mut self) -> Request {
        tokio::select! {
            () = received(&mut self.interrupt) => {}
            () = received(&mut self.terminate) => {}
            () = received(&mut self.hang_up) => {}
        }
        self.seen += 1;
        request(self.seen)
    }
}

async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => pending().await,
    }
}

/// The ignored signals in a process's `status`: bit 0 is signal 1.
fn ignored(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
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
    use super::{Request, ignored, request};

    #[test]
    fn each_request_is_harder_than_the_one_before() {
        assert_eq!(
            [1, 2, 3, 4].map(request),
            [Request::Cancel, Request::CancelNow, Request::Leave, Request::Leave]
        );
    }

    #[test]
    fn ignored_signals_are_a_mask() {
        assert_eq!(ignored("Name:\tx\nSigIgn:\t0000000080001001\nSigCgt:\t1\n"), 0x8000_1001);
        assert_eq!(ignored(""), 0);
    }
}
