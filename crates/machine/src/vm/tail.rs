//! The last words of a stream that nobody bounds.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::sync::watch;

/// What is kept of a stream, in bytes.
pub(crate) const MAX_KEPT: usize = 64 * 1024;

/// The end of what a stream brought so far.
#[derive(Debug, Clone)]
pub(crate) struct Tail {
    kept: Arc<Mutex<VecDeque<u8>>>,
    ended: watch::Receiver<bool>,
}

impl Tail {
    /// Makes a stream; reads it to its end. The other side is for who writes.
    pub(crate) fn open() -> std::io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let mut stream = UnixStream::from_std(ours)?;
        let kept = Arc::new(Mutex::new(VecDeque::new()));
        let (ended, has_ended) = watch::channel(false);
        let filled = Arc::clone(&kept);
        tokio::spawn(async move {
            let mut buffer = vec![0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                let mut kept = filled.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend(&buffer[..count]);
                let excess = kept.len().saturating_sub(MAX_KEPT);
                kept.drain(..excess);
            }
            ended.send_replace(true);
        });
        Ok((Self { kept, ended: has_ended }, theirs.into()))
    }

    /// Waits until whoever writes has gone, but no longer than `patience`.
    pub(crate) async fn end(&self, patience: Duration) {
        let mut ended = self.ended.clone();
        // What has not come by then does not count.
        let _ = tokio::time::timeout(patience, ended.wait_for(|ended| *ended)).await;
    }

    /// Waits until whoever writes has gone.
    pub(crate) async fn ended(&self) {
        let mut ended = self.ended.clone();
        // Without a reader it has ended as well.
        let _ = ended.wait_for(|ended| *ended).await;
    }

    /// Whether whoever writes has gone.
    pub(crate) fn has_ended(&self) -> bool {
        *self.ended.borrow()
    }

    pub(crate) fn text(&self) -> String {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(kept.make_contiguous()).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::{MAX_KEPT, Tail};

    #[tokio::test]
    async fn only_the_end_of_a_flood_is_kept() {
        let (tail, theirs) = Tail::open().unwrap();
        let mut theirs = UnixStream::from(theirs);
        let flood = std::thread::spawn(move || {
            for _ in 0..100 {
                theirs.write_all(&[b'x'; 10_000]).unwrap();
            }
            theirs.write_all(b"the end").unwrap();
        });
        tail.end(Duration::from_secs(60)).await;
        flood.join().unwrap();
        assert_eq!(tail.text().len(), MAX_KEPT);
        assert!(tail.text().ends_with("xthe end"));
    }
}
