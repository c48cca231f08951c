//! Runs, events and writes for the tests.

use std::path::PathBuf;

use run::event::{Event, EventKind, JobEvent};
use run::id::{JobId, LeaseId, RunId};
use store::{Change, NewRun, Outcome, RunWrite, Store};

pub(crate) const OWNER: &str = "owner";

/// A folder for one test and the path of a database in it.
pub(crate) struct Place {
    _folder: tempfile::TempDir,
    pub(crate) path: PathBuf,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/firedog.db");
        Self { _folder: folder, path }
    }

    pub(crate) async fn open(&self) -> Store {
        Store::open(&self.path).await.unwrap()
    }
}

pub(crate) fn new_run(plan: &[u8]) -> NewRun {
    NewRun {
        root: "/home/me/project".into(),
        workflow: "CI".into(),
        file: ".github/workflows/ci.yml".into(),
        event: "push".into(),
        reference: "refs/heads/main".into(),
        sha: "0123".into(),
        plan: plan.to_vec(),
        created: 1_000,
    }
}

pub(crate) fn log(sequence: u64, job: &str, step: Option<u32>, text: &str) -> Event {
    Event { sequence, at: 2_000, kind: reported(job, JobEvent::Log { step, text: text.into() }) }
}

pub(crate) fn reported(job: &str, event: JobEvent) -> EventKind {
    EventKind::Reported { job: job.into(), lease: LeaseId::from("lease"), event }
}

pub(crate) fn write(run: &RunId, after: u64, events: Vec<Event>, changes: Vec<Change>) -> RunWrite {
    RunWrite { run: run.clone(), owner: OWNER.into(), after, events: events.into(), changes }
}

/// A run that exists and has no events.
pub(crate) async fn create(store: &Store, id: &str) -> RunId {
    let run = RunId::from(id);
    keep(store, write(&run, 0, vec![], vec![Change::Create(new_run(b"plan"))])).await;
    run
}

pub(crate) async fn keep(store: &Store, write: RunWrite) {
    assert_eq!(store.commit(&[write]).await.unwrap(), [Outcome::Kept]);
}

pub(crate) fn enqueue(job: &str, labels: &[&str]) -> Change {
    Change::Enqueue { job: job.into(), labels: labels.iter().map(|&label| label.to_owned()).collect(), at: 3 }
}

pub(crate) fn claim(job: &str, lease: &str) -> Change {
    Change::Claim { job: job.into(), lease: lease.into(), runner: "runner".into(), expires: Some(50) }
}

/// All events of a run, read in pages of `limit`.
pub(crate) async fn all_events(store: &Store, run: &RunId, limit: u32) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    loop {
        let after = events.last().map_or(0, |event| event.sequence);
        let page = store.events_after(run, after, limit).await.unwrap();
        if page.is_empty() {
            return events;
        }
        events.extend(page);
    }
}

/// Fails unless the events are numbered 1, 2, 3, …
pub(crate) fn check_without_gaps(events: &[Event]) {
    for (event, expected) in events.iter().zip(1..) {
        assert_eq!(event.sequence, expected);
    }
}

pub(crate) fn job(id: &str) -> JobId {
    JobId::from(id)
}
