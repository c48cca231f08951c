//! A control plane on a real database, workflows for it, and a runner that is none: it holds jobs and says of them
//! what a test wants.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use control::{Clock, Control, LeaseRequest, ReportError, Settings, Submission, Watch};
use run::event::{Event, EventKind, JobEvent, Reported, Timestamp};
use run::id::{LeaseId, RunId};
use run::lease::Lease;
use run::status::Conclusion;
use store::Store;
use workflow::event::{Event as Trigger, Facts};
use workflow::expr::Value;
use workflow::plan::{Plan, Request, RunFacts, Selection, plan};
use workflow::read::{ReadOptions, parse};
use workflow::source::SourceFile;

/// A clock that a test sets.
#[derive(Debug, Default)]
pub(crate) struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        self.0.load(Ordering::Relaxed)
    }
}

impl TestClock {
    pub(crate) fn set(&self, now: Timestamp) {
        self.0.store(now, Ordering::Relaxed);
    }
}

/// A control plane with its database and clock.
pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) store: Store,
    pub(crate) control: Control,
    pub(crate) clock: Arc<TestClock>,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// One with other settings than the usual ones.
    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("firedog.db")).await.unwrap();
        let clock = Arc::new(TestClock::default());
        let mut settings = settings("owner", clock.clone());
        change(&mut settings);
        Self { control: Control::open(store.clone(), settings), folder, store, clock }
    }

    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("firedog.db")
    }

    pub(crate) async fn submit(&self, jobs: &str) -> RunId {
        submit(&self.control, jobs).await
    }

    pub(crate) async fn lease(&self) -> Lease {
        lease(&self.control).await
    }

    /// All that is kept of the run, checked to be without gaps.
    pub(crate) async fn events(&self, run: &RunId) -> Vec<Event> {
        events(&self.store, run).await
    }
}

pub(crate) fn settings(owner: &str, clock: Arc<TestClock>) -> Settings {
    Settings { owner: owner.into(), clock, serves: None, lease_duration: None }
}

/// The plan of a workflow with these jobs, which a push starts.
pub(crate) fn plan_of(jobs: &str) -> Plan {
    let text = format!("name: CI\non: push\njobs:\n{jobs}");
    let file = SourceFile::new(".github/workflows/ci.yml", text);
    let options = ReadOptions::default();
    let parsed = parse(&file, &options);
    assert!(!parsed.has_errors(), "{:?}", parsed.diagnostics);
    let facts =
        Facts { git_ref: Some("refs/heads/main".into()), sha: Some("0123".into()), ..Facts::default() };
    let request = Request {
        file: &file,
        workflow: parsed.value.unwrap(),
        event: Trigger::new("push", &Value::Null, &facts),
        inputs: vec![],
        vars: Value::Null,
        env: vec![],
        selection: Selection::default(),
        run: RunFacts::default(),
    };
    plan(request, &options).unwrap()
}

/// A job with one step, as YAML; `keys` are lines of the job, such as `needs: a`.
pub(crate) fn job(id: &str, keys: &[&str]) -> String {
    let keys: String = keys.iter().map(|key| format!("    {key}\n")).collect();
    format!("  {id}:\n    runs-on: linux\n{keys}    steps: [{{run: 'true'}}]\n")
}

pub(crate) async fn submit(control: &Control, jobs: &str) -> RunId {
    let secrets = vec![("TOKEN".to_owned(), "hunter2".to_owned())];
    control
        .submit(Submission { plan: plan_of(jobs), root: "/root".into(), secrets, taken_over: Vec::new() })
        .await
        .unwrap()
}

pub(crate) fn request(labels: &[&str]) -> LeaseRequest {
    LeaseRequest { runner: "runner".into(), labels: control::Labels::new(labels) }
}

pub(crate) async fn lease(control: &Control) -> Lease {
    control.lease(&request(&["linux"])).await.unwrap().expect("a job waits")
}

pub(crate) fn log(text: &str) -> Reported {
    Reported { at: 7, event: JobEvent::Log { step: Some(0), text: text.into() } }
}

pub(crate) fn finished(conclusion: Conclusion) -> Reported {
    let outputs = [].into_iter().collect();
    let event = JobEvent::Finished { conclusion, outputs, error: None, missing_capability: None };
    Reported { at: 8, event }
}

/// Reports the end of a job as the first thing under its lease.
pub(crate) async fn finish(control: &Control, lease: &LeaseId, conclusion: Conclusion) {
    control.report(lease, 0, vec![finished(conclusion)]).await.unwrap();
}

pub(crate) fn is_over(result: Result<(), ReportError>) -> bool {
    matches!(result, Err(ReportError::LeaseOver(_)))
}

pub(crate) async fn events(store: &Store, run: &RunId) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    loop {
        let after = events.last().map_or(0, |event| event.sequence);
        let page = store.events_after(run, after, 100).await.unwrap();
        if page.is_empty() {
            check_without_gaps(&events);
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

/// Everything that a watcher is given, to the end.
pub(crate) async fn watched(mut watch: Watch) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some(batch) = watch.next().await.unwrap() {
        events.extend(batch.iter().cloned());
    }
    check_without_gaps(&events);
    events
}

/// The ends of a run's jobs in order, and of the run, such as `a=success run=success`.
pub(crate) fn ends(events: &[Event]) -> String {
    let ends = events.iter().filter_map(|event| match &event.kind {
        EventKind::JobFinished { job, conclusion, .. } => Some(format!("{job}={conclusion}")),
        EventKind::RunFinished { conclusion, .. } => Some(format!("run={conclusion}")),
        _ => None,
    });
    ends.collect::<Vec<_>>().join(" ")
}

/// The text of all logs.
pub(crate) fn text(events: &[Event]) -> String {
    let texts = events.iter().filter_map(|event| match &event.kind {
        EventKind::Reported { event: JobEvent::Log { text, .. }, .. } => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

pub(crate) fn as_json(events: &[Event]) -> String {
    serde_json::to_string(events).unwrap()
}

/// The file of a database in this folder.
pub(crate) async fn open(path: &Path) -> Store {
    Store::open(path).await.unwrap()
}
