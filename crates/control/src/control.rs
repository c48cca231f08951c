//! What runners, watchers and whoever starts runs ask of the control plane.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use run::event::{Reported, Timestamp};
use run::id::{LeaseId, RunId, RunnerId};
use run::lease::{Cancel, Lease};
use run::status::Conclusion;
use store::Store;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use crate::clock::Clock;
use crate::committer::Committer;
use crate::error::{CancelError, LeaseError, ReportError, SubmitError, WatchError};
use crate::labels::Labels;
use crate::live::Moment;
use crate::queue::{Queue, Unserved};
use crate::submit::{self, Submission};
use crate::task::{Request, RunTask};
use crate::watch::Watch;

/// Most runs that have not ended.
const MAX_LIVE_RUNS: usize = 1_000;
/// Requests that wait for one run's task.
const WAITING_REQUESTS: usize = 64;
/// Bytes of one run's reports that are on their way: not kept yet, or not taken by every watcher.
const ROOM: u32 = 1024 * 1024;

/// How a control plane works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who it is: the owner of the runs that it starts. No other living process has the same.
    pub owner: String,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// What all its runners together serve, where that is known and does not change: a job that needs another label
    /// fails. Without it, such a job waits.
    pub serves: Option<Labels>,
    /// How long a runner may be silent. Without it, for ever: for runners in this process.
    pub lease_duration: Option<Duration>,
}

/// A runner that asks for a job.
#[derive(Clone, Debug)]
pub struct LeaseRequest {
    /// Who asks.
    pub runner: RunnerId,
    /// What it serves.
    pub labels: Labels,
}

/// The control plane. Clones are the same one; with the last of them the tasks of its runs end.
#[derive(Clone, Debug)]
pub struct Control {
    shared: Arc<Ending>,
}

/// What the tasks of all runs know.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) settings: Settings,
    pub(crate) committer: Committer,
    pub(crate) queue: Arc<Queue>,
    runs: Mutex<HashMap<RunId, RunHandle>>,
    leases: Mutex<HashMap<LeaseId, LeaseHandle>>,
    unserved: Mutex<Vec<Unserved>>,
    draining: AtomicBool,
}

/// Ends the tasks: without their handles nobody can ask them for anything.
#[derive(Debug)]
struct Ending(Arc<Shared>);

/// The way to a run's task.
#[derive(Clone, Debug)]
struct RunHandle {
    requests: mpsc::Sender<Request>,
    room: Arc<Semaphore>,
    conclusion: watch::Receiver<Option<Conclusion>>,
}

/// What is known of a lease outside of its run.
#[derive(Clone, Debug)]
pub(crate) struct LeaseHandle {
    pub(crate) run: RunId,
    pub(crate) cancel: watch::Receiver<Option<Cancel>>,
}

impl Settings {
    pub(crate) fn moment(&self) -> Moment {
        let now = self.clock.now();
        let expires = self.lease_duration.map(|duration| {
            now.saturating_add(Timestamp::try_from(duration.as_millis()).unwrap_or(Timestamp::MAX))
        });
        Moment { now, expires }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.runs().clear();
        self.0.leases().clear();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn runs(&self) -> MutexGuard<'_, HashMap<RunId, RunHandle>> {
        lock(&self.runs)
    }

    fn leases(&self) -> MutexGuard<'_, HashMap<LeaseId, LeaseHandle>> {
        lock(&self.leases)
    }

    pub(crate) fn unserved(&self) -> MutexGuard<'_, Vec<Unserved>> {
        lock(&self.unserved)
    }

    pub(crate) fn hold(&self, lease: LeaseId, handle: LeaseHandle) {
        self.leases().insert(lease, handle);
    }

    /// The run is over here.
    pub(crate) fn forget(&self, run: &RunId) {
        self.leases().retain(|_, lease| lease.run != *run);
        self.queue.forget(run);
        self.runs().remove(run);
        self.queue.changed.notify_waiters();
    }

    fn run(&self, run: &RunId) -> Option<RunHandle> {
        self.runs().get(run).cloned()
    }

    /// Whether there will never be a job again.
    fn is_drained(&self) -> bool {
        self.draining.load(Ordering::Acquire) && self.runs().is_empty()
    }
}

impl Control {
    /// A control plane for runs in `store`. Must be called inside of a tokio runtime.
    #[must_use]
    pub fn open(store: Store, settings: Settings) -> Self {
        let shared = Shared {
            committer: Committer::start(store.clone()),
            store,
            settings,
            queue: Arc::default(),
            runs: Mutex::default(),
            leases: Mutex::default(),
            unserved: Mutex::default(),
            draining: AtomicBool::new(false),
        };
        Self { shared: Arc::new(Ending(Arc::new(shared))) }
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.shared.0
    }

    /// Starts a run. Returns when it is kept, its first jobs waiting for runners or ended.
    ///
    /// # Errors
    /// When too many runs have not ended, after [`Control::drain`], and when the run cannot be kept.
    pub async fn submit(&self, submission: Submission) -> Result<RunId, SubmitError> {
        let Submission { plan, root, secrets, taken_over } = submission;
        let shared = self.shared();
        let run = RunId(uuid::Uuid::now_v7().to_string());
        let row = submit::row(&plan, &root, shared.settings.clock.now()).map_err(SubmitError::Encode)?;
        let (requests, waiting) = mpsc::channel(WAITING_REQUESTS);
        let (concluded, conclusion) = watch::channel(None);
        {
            let mut runs = shared.runs();
            if shared.draining.load(Ordering::Acquire) {
                return Err(SubmitError::Draining);
            }
            if runs.len() >= MAX_LIVE_RUNS {
                return Err(SubmitError::TooMany { limit: MAX_LIVE_RUNS });
            }
            let room = Arc::new(Semaphore::new(ROOM as usize));
            runs.insert(run.clone(), RunHandle { requests, room, conclusion });
        }
        let (submitted, answer) = oneshot::channel();
        let task = RunTask::new(shared.clone(), run.clone(), plan, secrets, concluded);
        tokio::spawn(task.serve(row, taken_over, submitted, waiting));
        answer.await.unwrap_or(Err(SubmitError::Draining))?;
        Ok(run)
    }

    /// Takes no more runs: once those that there are have ended, [`Control::lease`] returns `None`.
    pub fn drain(&self) {
        self.shared().draining.store(true, Ordering::Release);
        self.shared().queue.changed.notify_waiters();
    }

    /// Waits for a job that fits and holds it for the caller. `None` when there will never be one again.
    ///
    /// # Errors
    /// When the lease cannot be kept; the job waits on.
    pub async fn lease(&self, request: &LeaseRequest) -> Result<Option<Lease>, LeaseError> {
        let shared = self.shared();
        loop {
            // It hears of every change from here on, also before it is waited for.
            let changed = shared.queue.changed.notified();
            while let Some(candidate) = shared.queue.take(&request.labels) {
                let waiting = candidate.job();
                let Some(handle) = shared.run(&waiting.run) else {
                    candidate.settle();
                    continue;
                };
                let (reply, answer) = oneshot::channel();
                let (job, runner) = (waiting.job.clone(), request.runner.clone());
                let sent = handle.requests.send(Request::Lease { job, runner, reply }).await;
                // A run whose task is gone has no jobs.
                let offer = if sent.is_ok() { answer.await.unwrap_or(Ok(None))? } else { None };
                candidate.settle();
                if let Some(offer) = offer {
                    return Ok(Some(offer.take()));
                }
            }
            if shared.is_drained() {
                return Ok(None);
            }
            changed.await;
        }
    }

    /// Appends events of a held job. `first` numbers the first of `events` among all that were reported under this
    /// lease, from 0: what was taken before is skipped, so that a repeated call does no harm. Returns when they are
    /// kept. Waits while the run's watchers have too much to read.
    ///
    /// # Errors
    /// When the lease is over, when events before `first` were never reported, and when they cannot be kept.
    pub async fn report(
        &self,
        lease: &LeaseId,
        first: u64,
        events: Vec<Reported>,
    ) -> Result<(), ReportError> {
        let over = || ReportError::LeaseOver(lease.clone());
        let run = self.shared().leases().get(lease).map(|lease| lease.run.clone()).ok_or_else(over)?;
        let handle = self.shared().run(&run).ok_or_else(over)?;
        let bytes: usize = events.iter().map(|reported| reported.event.size()).sum();
        let bytes = u32::try_from(bytes).unwrap_or(ROOM).min(ROOM);
        let room = handle.room.acquire_many_owned(bytes).await.expect("the room is never closed");
        let (reply, answer) = oneshot::channel();
        let request = Request::Report { lease: lease.clone(), first, events, room, reply };
        handle.requests.send(request).await.map_err(|_| over())?;
        answer.await.unwrap_or_else(|_| Err(over()))
    }

    /// Waits until the job must end harder than `beyond`: `None` waits for any request. A lease that is over must end
    /// at once.
    pub async fn cancelled(&self, lease: &LeaseId, beyond: Option<Cancel>) -> Cancel {
        let handle = self.shared().leases().get(lease).cloned();
        let Some(mut handle) = handle else { return Cancel::Now };
        match handle.cancel.wait_for(|cancel| *cancel > beyond).await {
            Ok(cancel) => cancel.unwrap_or(Cancel::Now),
            Err(_) => Cancel::Now,
        }
    }

    /// Asks to end a run.
    ///
    /// # Errors
    /// When the run is not live here, or the request cannot be kept.
    pub async fn cancel(&self, run: &RunId, cancel: Cancel, reason: &str) -> Result<(), CancelError> {
        let gone = || CancelError::NotRunning(run.clone());
        let handle = self.shared().run(run).ok_or_else(gone)?;
        let (reply, answer) = oneshot::channel();
        let request = Request::Cancel { cancel, reason: reason.to_owned(), reply };
        handle.requests.send(request).await.map_err(|_| gone())?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    /// The events of a run, from the first on, those that are kept already included.
    ///
    /// # Errors
    /// When there is no such run, or it cannot be read.
    pub async fn watch(&self, run: &RunId) -> Result<Watch, WatchError> {
        let store = self.shared().store.clone();
        if let Some(handle) = self.shared().run(run) {
            let (batches, receiver) = mpsc::unbounded_channel();
            let (reply, answer) = oneshot::channel();
            let sent = handle.requests.send(Request::Watch { batches, reply }).await;
            if sent.is_ok()
                && let Ok(joined) = answer.await
            {
                return Ok(Watch::live(store, run.clone(), joined, receiver));
            }
        }
        let row = store.run(run).await.map_err(|source| WatchError::Store { run: run.clone(), source })?;
        let row = row.ok_or_else(|| WatchError::Unknown(run.clone()))?;
        Ok(Watch::kept(store, run.clone(), row.sequence))
    }

    /// Waits until a run of this control plane has ended, and returns how. `None` for a run that is not live here and
    /// has not ended.
    ///
    /// # Errors
    /// When there is no such run, or it cannot be read.
    pub async fn finished(&self, run: &RunId) -> Result<Option<Conclusion>, WatchError> {
        if let Some(mut handle) = self.shared().run(run)
            && let Ok(conclusion) = handle.conclusion.wait_for(Option::is_some).await
        {
            return Ok(*conclusion);
        }
        let row = self.shared().store.run(run).await;
        let row = row.map_err(|source| WatchError::Store { run: run.clone(), source })?;
        Ok(row.ok_or_else(|| WatchError::Unknown(run.clone()))?.conclusion)
    }

    /// The jobs that failed so far because nobody here serves their labels, with the labels that are missing.
    #[must_use]
    pub fn unserved(&self, run: &RunId) -> Vec<Unserved> {
        self.shared().unserved().iter().filter(|job| job.run == *run).cloned().collect()
    }

    /// Gives up one lease that was to be renewed before now, and lets its job be queued again or fail. False when there
    /// is none. Every report renews a lease, also an empty one.
    ///
    /// # Errors
    /// When the leases cannot be read.
    pub async fn expire_one(&self) -> Result<bool, store::StoreError> {
        let shared = self.shared();
        let now = shared.settings.clock.now();
        let expired = shared.store.expired(&shared.settings.owner, now).await?;
        for held in expired {
            let Some(handle) = shared.run(&held.run) else { continue };
            let reason = format!("the runner `{}` was silent for too long", held.runner);
            let (reply, answer) = oneshot::channel();
            let sent =
                handle.requests.send(Request::Lose { lease: held.lease, reason, reply: Some(reply) }).await;
            if sent.is_ok() && answer.await.is_ok() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
