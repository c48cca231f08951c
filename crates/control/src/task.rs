//! The task of one run that has not ended: it owns the run's state and takes one request after the other.
//!
//! ```text
//! requests ──▶ turn (apply, decide) ──▶ committer ──▶ queue, leases, watchers, answers
//!                 ▲                         │ failed
//!                 └── state read anew ◀─────┘
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use run::event::{Event, EventKind, Reported};
use run::id::{JobId, LeaseId, RunId, RunnerId};
use run::lease::{Cancel, Lease};
use run::status::Conclusion;
use store::{Change, NewRun, Outcome, RunWrite, StoreError};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};
use workflow::plan::Plan;

use crate::control::{LeaseHandle, Shared};
use crate::error::{CancelError, LeaseError, ReportError, SubmitError};
use crate::live::{LiveRun, QueueChange, Turn};
use crate::watch::{Batch, Joined};

/// Most requests that are taken together.
const TOGETHER: usize = 64;
/// Events of one reading when a state is made anew.
const PAGE: u32 = 256;

/// A request to a run.
#[derive(Debug)]
pub(crate) enum Request {
    Lease {
        job: JobId,
        runner: RunnerId,
        reply: oneshot::Sender<Result<Option<Offer>, LeaseError>>,
    },
    Report {
        lease: LeaseId,
        first: u64,
        events: Vec<Reported>,
        room: OwnedSemaphorePermit,
        reply: oneshot::Sender<Result<(), ReportError>>,
    },
    Cancel {
        cancel: Cancel,
        reason: String,
        reply: oneshot::Sender<Result<(), CancelError>>,
    },
    Watch {
        batches: mpsc::UnboundedSender<Batch>,
        reply: oneshot::Sender<Joined>,
    },
    Lose {
        lease: LeaseId,
        reason: String,
        reply: Option<oneshot::Sender<()>>,
    },
}

/// A lease on its way to the runner. It is given back if nobody takes it.
#[derive(Debug)]
pub(crate) struct Offer {
    lease: Option<Box<Lease>>,
    returned: mpsc::UnboundedSender<LeaseId>,
}

impl Offer {
    pub(crate) fn take(mut self) -> Lease {
        *self.lease.take().expect("an offer is taken once")
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take() {
            // Without its task the run is over, and so is the lease.
            self.returned.send(lease.id).ok();
        }
    }
}

/// An answer that waits until its turn is kept.
enum Answer {
    Submitted(oneshot::Sender<Result<(), SubmitError>>),
    Leased(oneshot::Sender<Result<Option<Offer>, LeaseError>>, Option<Box<Lease>>),
    Reported(oneshot::Sender<Result<(), ReportError>>, LeaseId, Result<(), ReportError>),
    Cancelled(oneshot::Sender<Result<(), CancelError>>),
    /// Only given when it is kept.
    Lost(oneshot::Sender<()>),
}

/// What a task is made of.
pub(crate) struct RunTask {
    shared: Arc<Shared>,
    run: RunId,
    /// Absent after a write that failed.
    live: Option<LiveRun>,
    secrets: Vec<(String, String)>,
    cancels: HashMap<LeaseId, watch::Sender<Option<Cancel>>>,
    watchers: Vec<mpsc::UnboundedSender<Batch>>,
    /// The run's first events as long as there are no others.
    first: Option<Arc<[Event]>>,
    returned: (mpsc::UnboundedSender<LeaseId>, mpsc::UnboundedReceiver<LeaseId>),
    conclusion: watch::Sender<Option<Conclusion>>,
    ended: bool,
}

/// What becomes known of a turn when it is kept.
#[derive(Default)]
struct Pending {
    answers: Vec<Answer>,
    room: Vec<OwnedSemaphorePermit>,
}

impl RunTask {
    pub(crate) fn new(
        shared: Arc<Shared>,
        run: RunId,
        plan: Plan,
        secrets: Vec<(String, String)>,
        conclusion: watch::Sender<Option<Conclusion>>,
    ) -> Self {
        let live = LiveRun::new(run.clone(), plan, shared.settings.serves.clone());
        Self {
            shared,
            run,
            live: Some(live),
            secrets,
            cancels: HashMap::new(),
            watchers: Vec::new(),
            first: None,
            returned: mpsc::unbounded_channel(),
            conclusion,
            ended: false,
        }
    }

    /// Makes the run, then serves requests until it has ended or nobody can make one any more.
    pub(crate) async fn serve(
        mut self,
        row: NewRun,
        taken_over: Vec<EventKind>,
        submitted: oneshot::Sender<Result<(), SubmitError>>,
        mut requests: mpsc::Receiver<Request>,
    ) {
        self.create(row, taken_over, submitted).await;
        while !self.ended {
            let request = tokio::select! {
                biased;
                Some(lease) = self.returned.1.recv() => {
                    let reason = "the runner went away before it had the job".to_owned();
                    Some(Request::Lose { lease, reason, reply: None })
                }
                request = requests.recv() => request,
            };
            let Some(request) = request else { break };
            self.turn(request, &mut requests).await;
        }
        self.shared.forget(&self.run);
    }

    async fn create(
        &mut self,
        row: NewRun,
        taken_over: Vec<EventKind>,
        submitted: oneshot::Sender<Result<(), SubmitError>>,
    ) {
        let now = self.shared.settings.clock.now();
        let live = self.live.as_mut().expect("a new run has its state");
        let mut turn = live.turn();
        turn.changes.push(Change::Create(row));
        live.begin(&mut turn, now, taken_over);
        let pending = Pending { answers: vec![Answer::Submitted(submitted)], room: Vec::new() };
        self.keep(turn, pending).await;
        // A run that could not be made has no events to read it from.
        self.ended |= self.live.is_none();
    }

    /// Takes the request and those that have queued up behind it.
    async fn turn(&mut self, request: Request, requests: &mut mpsc::Receiver<Request>) {
        let mut live = match self.live.take() {
            Some(live) => live,
            None => match self.read().await {
                Ok(live) => live,
                Err(error) => return refuse(request, &self.run, &Arc::new(error)),
            },
        };
        let mut turn = live.turn();
        let mut pending = Pending::default();
        self.take(&mut live, &mut turn, &mut pending, request);
        for _ in 1..TOGETHER {
            let Ok(request) = requests.try_recv() else { break };
            self.take(&mut live, &mut turn, &mut pending, request);
        }
        self.live = Some(live);
        self.keep(turn, pending).await;
    }

    fn take(&mut self, live: &mut LiveRun, turn: &mut Turn, pending: &mut Pending, request: Request) {
        let moment = self.shared.settings.moment();
        match request {
            Request::Lease { job, runner, reply } => {
                let id = LeaseId(uuid::Uuid::new_v4().to_string());
                let lease = live.lease(turn, moment, (&job, &runner, id), &self.secrets);
                pending.answers.push(Answer::Leased(reply, lease.map(Box::new)));
            }
            Request::Report { lease, first, events, room, reply } => {
                let done = live.report(turn, moment, &lease, first, events);
                pending.room.push(room);
                pending.answers.push(Answer::Reported(reply, lease, done));
            }
            Request::Cancel { cancel, reason, reply } => {
                live.cancel(turn, moment.now, cancel, reason);
                pending.answers.push(Answer::Cancelled(reply));
            }
            Request::Watch { batches, reply } => {
                let joined = Joined { sequence: turn.after, events: self.first.clone() };
                if reply.send(joined).is_ok() {
                    self.watchers.push(batches);
                }
            }
            Request::Lose { lease, reason, reply } => {
                live.lose(turn, moment.now, &lease, reason);
                pending.answers.extend(reply.map(Answer::Lost));
            }
        }
    }

    /// Writes the turn, then lets others know of it.
    async fn keep(&mut self, turn: Turn, pending: Pending) {
        let Turn { after, events, changes, queue, ended, unserved } = turn;
        let events: Arc<[Event]> = events.into();
        let kept = if events.is_empty() && changes.is_empty() {
            Ok(Outcome::Kept)
        } else {
            let (run, owner) = (self.run.clone(), self.shared.settings.owner.clone());
            self.shared
                .committer
                .commit(RunWrite { run, owner, after, events: events.clone(), changes })
                .await
        };
        match kept {
            Ok(Outcome::Kept) => {
                self.apply_queue(queue);
                self.shared.unserved().extend(unserved);
                self.apply_leases(&ended);
                self.publish(after, events, pending.room);
                for answer in pending.answers {
                    self.answer(answer);
                }
                self.conclude();
            }
            Ok(Outcome::Superseded) => {
                pending.answers.into_iter().for_each(|answer| supersede(answer, &self.run));
                self.conclusion.send_replace(Some(Conclusion::Failure));
                self.ended = true;
            }
            Err(error) => {
                self.live = None;
                pending.answers.into_iter().for_each(|answer| fail(answer, &self.run, &error));
            }
        }
    }

    fn apply_queue(&self, changes: Vec<QueueChange>) {
        for change in changes {
            match change {
                QueueChange::Add(waiting) => self.shared.queue.add([waiting]),
                QueueChange::Remove(job) => self.shared.queue.remove(&self.run, &job),
            }
        }
    }

    /// Makes known who holds what, and who is asked to end.
    fn apply_leases(&mut self, ended: &[LeaseId]) {
        for lease in ended {
            self.cancels.remove(lease);
        }
        let Some(live) = &self.live else { return };
        for (lease, cancel) in live.held() {
            if let Some(known) = self.cancels.get(lease) {
                known.send_if_modified(|known| std::mem::replace(known, cancel) != cancel);
                continue;
            }
            let (sender, receiver) = watch::channel(cancel);
            self.cancels.insert(lease.clone(), sender);
            self.shared.hold(lease.clone(), LeaseHandle { run: self.run.clone(), cancel: receiver });
        }
    }

    fn publish(&mut self, after: u64, events: Arc<[Event]>, room: Vec<OwnedSemaphorePermit>) {
        if events.is_empty() {
            return;
        }
        self.first = (after == 0).then(|| events.clone());
        let batch = Batch { events, _room: Arc::new(room) };
        self.watchers.retain(|watcher| watcher.send(batch.clone()).is_ok());
    }

    fn answer(&self, answer: Answer) {
        // Whoever does not wait any more does not want to know; an offer that is not taken comes back.
        match answer {
            Answer::Submitted(reply) => drop(reply.send(Ok(()))),
            Answer::Leased(reply, lease) => {
                let offer =
                    lease.map(|lease| Offer { lease: Some(lease), returned: self.returned.0.clone() });
                drop(reply.send(Ok(offer)));
            }
            Answer::Reported(reply, _, done) => drop(reply.send(done)),
            Answer::Cancelled(reply) => drop(reply.send(Ok(()))),
            Answer::Lost(reply) => drop(reply.send(())),
        }
    }

    fn conclude(&mut self) {
        if let Some(conclusion) = self.live.as_ref().and_then(LiveRun::conclusion) {
            self.conclusion.send_replace(Some(conclusion));
            self.ended = true;
        }
    }

    /// The run's state, from what is kept of it.
    async fn read(&mut self) -> Result<LiveRun, StoreError> {
        let store = &self.shared.store;
        let damaged = |source: Box<dyn std::error::Error + Send + Sync>| StoreError::Corrupt {
            operation: "read a plan",
            path: store.path().to_owned(),
            source,
        };
        let plan = store.plan(&self.run).await?.ok_or_else(|| damaged("the run is gone".into()))?;
        let plan = serde_json::from_slice(&plan).map_err(|error| damaged(Box::new(error)))?;
        let mut live = LiveRun::new(self.run.clone(), plan, self.shared.settings.serves.clone());
        loop {
            let page = store.outline_after(&self.run, live.turn().after, PAGE).await?;
            if page.is_empty() {
                break;
            }
            page.iter().for_each(|event| live.replay(event));
        }
        live.hold(store.leases(&self.run).await?);
        Ok(live)
    }
}

/// The answer when somebody else has written to the run: it is over for everybody here.
fn supersede(answer: Answer, run: &RunId) {
    match answer {
        Answer::Submitted(reply) => drop(reply.send(Err(SubmitError::Draining))),
        Answer::Leased(reply, _) => drop(reply.send(Ok(None))),
        Answer::Reported(reply, lease, _) => drop(reply.send(Err(ReportError::LeaseOver(lease)))),
        Answer::Cancelled(reply) => drop(reply.send(Err(CancelError::NotRunning(run.clone())))),
        Answer::Lost(reply) => drop(reply),
    }
}

/// The answer when a turn could not be kept.
fn fail(answer: Answer, run: &RunId, source: &Arc<StoreError>) {
    let (run, source) = (run.clone(), source.clone());
    match answer {
        Answer::Submitted(reply) => drop(reply.send(Err(SubmitError::Store(source)))),
        Answer::Leased(reply, _) => drop(reply.send(Err(LeaseError::Store { run, source }))),
        Answer::Reported(reply, lease, _) => drop(reply.send(Err(ReportError::Store { lease, source }))),
        Answer::Cancelled(reply) => drop(reply.send(Err(CancelError::Store { run, source }))),
        Answer::Lost(reply) => drop(reply),
    }
}

/// The answer when the run's state cannot be read.
fn refuse(request: Request, run: &RunId, source: &Arc<StoreError>) {
    match request {
        Request::Lease { reply, .. } => fail(Answer::Leased(reply, None), run, source),
        Request::Report { lease, reply, .. } => fail(Answer::Reported(reply, lease, Ok(())), run, source),
        Request::Cancel { reply, .. } => fail(Answer::Cancelled(reply), run, source),
        // The watcher reads the store itself, and is told there.
        Request::Watch { .. } | Request::Lose { .. } => {}
    }
}
