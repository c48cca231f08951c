//! The way of a job's events to the control plane.
//!
//! One task reports: at once when nothing was for a moment, else everything that has come meanwhile in one call, after
//! [`PAUSE`], when it is much, or when the job has ended. Whoever sends waits while more than [`MAX_WAITING_BYTES`] are
//! not yet kept, so that a step's process blocks rather than memory grows. Nothing is dropped or reordered. When a report fails, every later send fails, and
//! [`Sink::failed`] ends the job.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use run::event::{JobEvent, MAX_LOG_TEXT, Reported, Timestamp};
use run::id::LeaseId;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::dispatch::{Dispatch, DispatchError};

/// The most bytes of events that wait to be kept.
const MAX_WAITING_BYTES: u32 = 1024 * 1024;

/// How long after a report the next one begins. Each is a transaction, which costs more than a short step says; nobody
/// sees so short a delay.
const PAUSE: Duration = Duration::from_millis(10);

/// So many bytes of events are reported without a pause.
const MUCH: u32 = 64 * 1024;

/// The most events of one report.
const MAX_BATCH: usize = 1024;

/// Events cannot be kept any more, for this reason.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the control plane did not take what the job reported: {0}")]
pub(crate) struct SinkFailed(Arc<str>);

struct Waiting {
    event: Reported,
    cost: u32,
}

/// Where a job's events go. Clones share the way.
#[derive(Clone, Debug)]
pub(crate) struct Sink {
    queue: mpsc::UnboundedSender<Waiting>,
    room: Arc<Semaphore>,
    failed: watch::Receiver<Option<SinkFailed>>,
}

impl Sink {
    /// Starts reporting under a lease. The task ends when every clone of the sink is gone and all is reported, or when a
    /// report fails.
    pub(crate) fn start(
        dispatch: Arc<dyn Dispatch>,
        lease: LeaseId,
    ) -> (Self, JoinHandle<Result<(), DispatchError>>) {
        let (queue, waiting) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(MAX_WAITING_BYTES as usize));
        let (tell, failed) = watch::channel(None);
        let reporter = Reporter { dispatch, lease, waiting, room: Arc::clone(&room), tell };
        (Self { queue, room, failed }, tokio::spawn(reporter.run()))
    }

    /// Adds an event behind all that were sent before; waits for room.
    pub(crate) async fn send(&self, event: JobEvent) -> Result<(), SinkFailed> {
        let cost = u32::try_from(event.size()).unwrap_or(u32::MAX).min(MAX_WAITING_BYTES);
        let Ok(permit) = self.room.acquire_many(cost).await else { return Err(self.failure()) };
        permit.forget();
        let event = Reported { at: now(), event };
        self.queue.send(Waiting { event, cost }).map_err(|_| self.failure())
    }

    /// Adds events in their order.
    pub(crate) async fn send_all(&self, events: Vec<JobEvent>) -> Result<(), SinkFailed> {
        for event in events {
            self.send(event).await?;
        }
        Ok(())
    }

    /// Waits until reporting fails, for ever where it does not.
    pub(crate) async fn failed(&self) -> SinkFailed {
        let mut failed = self.failed.clone();
        let failure = failed.wait_for(Option::is_some).await.ok().and_then(|failure| failure.clone());
        match failure {
            Some(failure) => failure,
            None => std::future::pending().await,
        }
    }

    fn failure(&self) -> SinkFailed {
        self.failed.borrow().clone().unwrap_or_else(|| SinkFailed("it is not reporting any more".into()))
    }
}

/// Milliseconds since 1970, by the clock of this host.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::try_from(since.as_millis()).unwrap_or(Timestamp::MAX)
}

struct Reporter {
    dispatch: Arc<dyn Dispatch>,
    lease: LeaseId,
    waiting: mpsc::UnboundedReceiver<Waiting>,
    room: Arc<Semaphore>,
    tell: watch::Sender<Option<SinkFailed>>,
}

impl Reporter {
    async fn run(mut self) -> Result<(), DispatchError> {
        let mut first = 0;
        let mut batch = Vec::new();
        let mut not_before = Instant::now();
        while self.waiting.recv_many(&mut batch, MAX_BATCH).await > 0 {
            self.collect(&mut batch, not_before).await;
            not_before = Instant::now() + PAUSE;
            let cost: usize = batch.iter().map(|waiting| waiting.cost as usize).sum();
            let events = merged(batch.drain(..).map(|waiting| waiting.event));
            let count = events.len() as u64;
            if let Err(error) = self.dispatch.report(&self.lease, first, events).await {
                let reason = with_sources(&error);
                self.tell.send_replace(Some(SinkFailed(reason.into())));
                self.room.close();
                return Err(error);
            }
            first += count;
            self.room.add_permits(cost);
        }
        Ok(())
    }

    /// Adds what comes until a report may begin.
    async fn collect(&mut self, batch: &mut Vec<Waiting>, until: Instant) {
        let mut seen = 0;
        let mut cost = 0;
        while batch.len() < MAX_BATCH {
            cost += batch[seen..].iter().map(|waiting| waiting.cost).sum::<u32>();
            let is_urgent = |waiting: &Waiting| matches!(waiting.event.event, JobEvent::Finished { .. });
            if cost >= MUCH || batch[seen..].iter().any(is_urgent) {
                return;
            }
            seen = batch.len();
            let more = self.waiting.recv_many(batch, MAX_BATCH - seen);
            if !matches!(timeout_at(until, more).await, Ok(1..)) {
                return;
            }
        }
    }
}

/// Joins log texts of the same step that follow each other, up to the largest text of one event.
fn merged(events: impl Iterator<Item = Reported>) -> Vec<Reported> {
    let mut merged: Vec<Reported> = Vec::new();
    for event in events {
        if let JobEvent::Log { step, text } = &event.event
            && let Some(Reported { event: JobEvent::Log { step: last, text: before }, .. }) =
                merged.last_mut()
            && last == step
            && before.len() + text.len() <= MAX_LOG_TEXT
        {
            before.push_str(text);
            continue;
        }
        merged.push(event);
    }
    merged
}

/// An error and what caused it, in one line.
pub(crate) fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use async_trait::async_trait;
    use run::event::{JobEvent, Reported};
    use run::id::LeaseId;
    use run::lease::{Cancel, Lease};
    use tokio::sync::Semaphore;

    use super::Sink;
    use crate::dispatch::{Dispatch, DispatchError, LeaseRequest};

    /// Keeps what is reported, as many calls as it was allowed, and then says that the lease is over.
    struct Plane {
        allowed: Semaphore,
        failing: bool,
        reports: Mutex<Vec<(u64, Vec<Reported>)>>,
    }

    #[async_trait]
    impl Dispatch for Plane {
        async fn lease(&self, _: &LeaseRequest) -> Result<Option<Lease>, DispatchError> {
            Ok(None)
        }

        async fn report(
            &self,
            lease: &LeaseId,
            first: u64,
            events: Vec<Reported>,
        ) -> Result<(), DispatchError> {
            self.allowed.acquire().await.unwrap().forget();
            if self.failing {
                return Err(DispatchError::LeaseOver(lease.clone()));
            }
            self.reports.lock().unwrap().push((first, events));
            Ok(())
        }

        async fn cancelled(&self, _: &LeaseId, _: Option<Cancel>) -> Cancel {
            std::future::pending().await
        }
    }

    fn plane(allowed: usize, failing: bool) -> Arc<Plane> {
        Arc::new(Plane { allowed: Semaphore::new(allowed), failing, reports: Mutex::default() })
    }

    fn line(text: &str) -> JobEvent {
        JobEvent::Log { step: Some(0), text: format!("{text}\n") }
    }

    #[tokio::test]
    async fn events_keep_their_order_and_lines_are_joined() {
        let plane = plane(0, false);
        let (sink, reporter) = Sink::start(plane.clone(), LeaseId::from("l"));
        for number in 0..100 {
            sink.send(line(&number.to_string())).await.unwrap();
        }
        sink.send(JobEvent::GroupEnded { step: 0 }).await.unwrap();
        plane.allowed.add_permits(1000);
        drop(sink);
        reporter.await.unwrap().unwrap();
        let reports = plane.reports.lock().unwrap();
        let mut next = 0;
        let mut text = String::new();
        for (first, events) in reports.iter() {
            assert_eq!(*first, next);
            next += events.len() as u64;
            for event in events {
                if let JobEvent::Log { text: more, .. } = &event.event {
                    text.push_str(more);
                }
            }
        }
        let expected: String = (0..100).map(|number| format!("{number}\n")).collect();
        assert_eq!(text, expected);
        assert!(next < 10, "{next} events");
    }

    #[tokio::test]
    async fn a_failing_report_fails_what_follows() {
        let plane = plane(1, true);
        let (sink, reporter) = Sink::start(plane, LeaseId::from("l"));
        sink.send(line("a")).await.unwrap();
        assert!(sink.failed().await.to_string().contains("lease `l` is over"));
        assert!(matches!(reporter.await.unwrap(), Err(DispatchError::LeaseOver(_))));
        assert!(sink.send(line("b")).await.is_err());
    }

    #[tokio::test]
    async fn senders_wait_for_room() {
        let plane = plane(0, false);
        let (sink, reporter) = Sink::start(plane.clone(), LeaseId::from("l"));
        let text = "x".repeat(200_000);
        let sending = tokio::spawn(async move {
            for _ in 0..40 {
                sink.send(line(&text)).await.unwrap();
            }
        });
        while plane.allowed.available_permits() == 0 && !sending.is_finished() {
            tokio::task::yield_now().await;
            plane.allowed.add_permits(1);
        }
        plane.allowed.add_permits(1000);
        sending.await.unwrap();
        reporter.await.unwrap().unwrap();
        let bytes: usize = plane
            .reports
            .lock()
            .unwrap()
            .iter()
            .flat_map(|(_, events)| events)
            .map(|event| match &event.event {
                JobEvent::Log { text, .. } => text.len(),
                _ => 0,
            })
            .sum();
        assert_eq!(bytes, 40 * 200_001);
    }
}
