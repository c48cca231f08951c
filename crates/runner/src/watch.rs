//! What can end a job from outside: requests of the control plane, its own time limit, reports that fail.

use std::sync::Arc;
use std::time::Duration;

use run::event::JobEvent;
use run::id::LeaseId;
use run::lease::Cancel;
use tokio::sync::watch;

use crate::cancel::Stop;
use crate::dispatch::Dispatch;
use crate::sink::Sink;

/// Watches over one job.
pub(crate) struct Watch {
    dispatch: Arc<dyn Dispatch>,
    lease: LeaseId,
    sink: Sink,
    stop: Arc<watch::Sender<Stop>>,
    limit: watch::Receiver<Option<Times>>,
    set_limit: watch::Sender<Option<Times>>,
}

/// How long a job may take.
#[derive(Clone, Copy, Debug)]
struct Times {
    whole: Duration,
    cancel: Duration,
}

/// Sets a job's time limits.
#[derive(Clone, Debug)]
pub(crate) struct Limit(watch::Sender<Option<Times>>);

impl Limit {
    /// From now on the job may take `whole`, and `cancel` once it is cancelled.
    pub(crate) fn set(&self, whole: Duration, cancel: Duration) {
        self.0.send_replace(Some(Times { whole, cancel }));
    }
}

impl Watch {
    pub(crate) fn new(
        dispatch: Arc<dyn Dispatch>,
        lease: LeaseId,
        sink: Sink,
        stop: watch::Sender<Stop>,
    ) -> Self {
        let (set_limit, limit) = watch::channel(None);
        Self { dispatch, lease, sink, stop: Arc::new(stop), limit, set_limit }
    }

    pub(crate) fn limit(&self) -> Limit {
        Limit(self.set_limit.clone())
    }

    /// Runs the job, and stops it when somebody asks for it.
    pub(crate) async fn during<T>(&self, job: impl Future<Output = T>) -> T {
        tokio::select! {
            biased;
            ended = job => ended,
            () = self.cancel_on_request() => unreachable!("requests are awaited for ever"),
            () = self.stop_in_time() => unreachable!("the time limit is awaited for ever"),
            () = self.stop_without_reports() => unreachable!("reports are watched for ever"),
        }
    }

    fn stop(&self, stop: Stop) {
        self.stop.send_if_modified(|current| {
            let is_harder = stop > *current;
            *current = stop.max(*current);
            is_harder
        });
    }

    async fn cancel_on_request(&self) {
        let mut beyond = None;
        loop {
            let cancel = self.dispatch.cancelled(&self.lease, beyond).await;
            match cancel {
                Cancel::Graceful => self.stop(Stop::Graceful),
                Cancel::Now => {
                    self.stop(Stop::Now);
                    std::future::pending::<()>().await;
                }
            }
            if beyond == Some(cancel) {
                // The control plane has nothing new; asking on would be a busy loop.
                std::future::pending::<()>().await;
            }
            beyond = Some(cancel);
        }
    }

    async fn stop_in_time(&self) {
        let mut limit = self.limit.clone();
        let times = match limit.wait_for(Option::is_some).await.map(|limit| *limit) {
            Ok(Some(times)) => times,
            _ => std::future::pending().await,
        };
        let mut stop = self.stop.subscribe();
        let cancelled = stop.wait_for(|stop| *stop >= Stop::Graceful);
        if tokio::time::timeout(times.whole, cancelled).await.is_err() {
            let minutes = times.whole.as_secs_f64() / 60.0;
            let text =
                format!("Error: The job has exceeded the maximum execution time of {minutes} minutes.\n");
            self.stop(Stop::Graceful);
            // Where this cannot be said, the job ends for that.
            let _ = self.sink.send(JobEvent::Log { step: None, text }).await;
        }
        tokio::time::sleep(times.cancel).await;
        self.stop(Stop::Now);
        std::future::pending::<()>().await;
    }

    async fn stop_without_reports(&self) {
        self.sink.failed().await;
        self.stop(Stop::Now);
        std::future::pending::<()>().await;
    }
}

/// What a job that was ended from outside says of it.
pub(crate) fn reason(stop: &watch::Receiver<Stop>) -> Option<String> {
    (*stop.borrow() > Stop::No).then(|| "The operation was canceled.".to_owned())
}
