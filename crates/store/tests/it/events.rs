//! Events, logs and runs: what comes back is what was given, in order and in bounded pages.

use indexmap::IndexMap;
use run::event::{Event, EventKind, JobEvent, MAX_LOG_TEXT};
use run::status::Conclusion;
use store::{Change, LogQuery, NewRun, RunQuery, RunStatus, Store};

use crate::world::{Place, all_events, check_without_gaps, create, job, keep, log, new_run, reported, write};

fn as_json(events: &[Event]) -> String {
    serde_json::to_string(events).unwrap()
}

#[tokio::test]
async fn come_back_as_they_were() {
    let place = Place::new();
    let store = place.open().await;
    let run = create(&store, "r").await;
    let kinds = [
        EventKind::RunQueued { workflow: "CI".into(), file: "ci.yml".into(), event: "push".into() },
        EventKind::JobLeased { job: "a".into(), lease: "l".into(), runner: "x".into() },
        reported("a", JobEvent::Log { step: None, text: "\"quotes\"\n\u{1b}[31mred\0\n".into() }),
        reported("a", JobEvent::Log { step: Some(3), text: "äöü\n".into() }),
        reported("a[1]/b", JobEvent::Summary { step: 0, markdown: "# x".into() }),
        EventKind::JobFinished {
            job: "a".into(),
            name: "A".into(),
            conclusion: Conclusion::Failure,
            tolerated: false,
            outputs: IndexMap::from([("b".into(), "1".into()), ("a".into(), "2".into())]),
            reason: Some("why".into()),
        },
        EventKind::RunFinished { conclusion: Conclusion::Failure, reason: None },
    ];
    let events: Vec<Event> =
        kinds.into_iter().zip(1..).map(|(kind, sequence)| Event { sequence, at: -7, kind }).collect();
    keep(&store, write(&run, 0, events.clone(), vec![])).await;
    assert_eq!(as_json(&all_events(&store, &run, 2).await), as_json(&events));
}

#[tokio::test]
async fn a_run_goes_from_queued_to_completed() {
    let place = Place::new();
    let store = place.open().await;
    let run = create(&store, "r").await;
    let row = async || store.run(&run).await.unwrap().unwrap();
    assert_eq!(row().await.status, RunStatus::Queued);
    keep(&store, write(&run, 0, vec![], vec![Change::Start { at: 5 }])).await;
    assert_eq!((row().await.status, row().await.started), (RunStatus::Running, Some(5)));
    assert_eq!(store.unfinished().await.unwrap(), [(run.clone(), "owner".to_owned())]);
    let finish = Change::Finish { at: 9, conclusion: Conclusion::Cancelled, reason: Some("why".into()) };
    keep(&store, write(&run, 0, vec![], vec![finish])).await;
    let end = row().await;
    assert_eq!(
        (end.status, end.conclusion, end.reason.as_deref(), end.finished),
        (RunStatus::Completed, Some(Conclusion::Cancelled), Some("why"), Some(9))
    );
    assert_eq!(store.unfinished().await.unwrap(), []);
}

#[tokio::test]
async fn runs_are_listed_newest_first() {
    let place = Place::new();
    let store = place.open().await;
    for id in ["a1", "a2", "b3"] {
        create(&store, id).await;
    }
    let other = NewRun { root: "/other".into(), ..new_run(b"") };
    keep(&store, write(&"c4".into(), 0, vec![], vec![Change::Create(other)])).await;
    let check = async |query: RunQuery, expected: &[&str]| {
        let rows = store.runs(&query).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), expected, "{query:?}");
    };
    let all = RunQuery { limit: 10, ..RunQuery::default() };
    check(all.clone(), &["c4", "b3", "a2", "a1"]).await;
    check(RunQuery { limit: 1, ..all.clone() }, &["c4"]).await;
    check(RunQuery { root: Some("/other".into()), ..all.clone() }, &["c4"]).await;
    check(RunQuery { prefix: Some("a".into()), ..all.clone() }, &["a2", "a1"]).await;
    check(RunQuery { before: Some("b3".into()), ..all }, &["a2", "a1"]).await;
}

async fn texts(store: &Store, run: &run::id::RunId, query: LogQuery) -> Vec<String> {
    let mut logs = store.logs(run, query);
    let mut texts = Vec::new();
    loop {
        let page = logs.next().await.unwrap();
        if page.is_empty() {
            return texts;
        }
        texts.extend(page.into_iter().map(|chunk| chunk.text));
    }
}

#[tokio::test]
async fn logs_are_read_by_job_and_step() {
    let place = Place::new();
    let store = place.open().await;
    let run = create(&store, "r").await;
    let events = vec![
        log(1, "a", None, "a\n"),
        log(2, "b", Some(0), "b0\n"),
        log(3, "a", Some(0), "a0\n"),
        Event { sequence: 4, at: 0, kind: reported("a", JobEvent::GroupEnded { step: 0 }) },
        log(5, "a", Some(1), "a1\n"),
    ];
    keep(&store, write(&run, 0, events, vec![])).await;
    let check = async |job: Option<&str>, step, after, expected: &[&str]| {
        let query = LogQuery { job: job.map(Into::into), step, after };
        assert_eq!(texts(&store, &run, query.clone()).await, expected, "{query:?}");
    };
    check(None, None, 0, &["a\n", "b0\n", "a0\n", "a1\n"]).await;
    check(Some("a"), None, 0, &["a\n", "a0\n", "a1\n"]).await;
    check(Some("a"), Some(0), 0, &["a0\n"]).await;
    check(None, Some(0), 0, &["b0\n", "a0\n"]).await;
    check(Some("a"), None, 3, &["a1\n"]).await;
    check(Some("c"), None, 0, &[]).await;
}

#[tokio::test]
async fn an_outline_has_the_first_log_of_each_lease_and_the_last_event() {
    let place = Place::new();
    let store = place.open().await;
    let run = create(&store, "r").await;
    let by = |lease: &str, sequence| {
        let event = JobEvent::Log { step: None, text: "x\n".into() };
        let kind = EventKind::Reported { job: "a".into(), lease: lease.into(), event };
        Event { sequence, at: 0, kind }
    };
    let group = Event { sequence: 3, at: 0, kind: reported("a", JobEvent::GroupEnded { step: 0 }) };
    let events = vec![by("l", 1), by("l", 2), group, by("m", 4), by("m", 5), by("l", 6), by("m", 7)];
    keep(&store, write(&run, 0, events, vec![])).await;
    let check = async |after, limit, expected: &[u64]| {
        let page = store.outline_after(&run, after, limit).await.unwrap();
        assert_eq!(page.iter().map(|event| event.sequence).collect::<Vec<_>>(), expected);
    };
    check(0, 10, &[1, 3, 4, 7]).await;
    check(0, 2, &[1, 3]).await;
    check(3, 10, &[4, 7]).await;
    check(7, 10, &[]).await;
}

#[tokio::test]
async fn pages_are_bounded_in_bytes() {
    let place = Place::new();
    let store = place.open().await;
    let run = create(&store, "r").await;
    let text = "x".repeat(MAX_LOG_TEXT);
    for sequence in 0..20 {
        keep(&store, write(&run, sequence, vec![log(sequence + 1, "a", None, &text)], vec![])).await;
    }
    let mut logs = store.logs(&run, LogQuery { job: Some(job("a")), ..LogQuery::default() });
    let mut bytes = 0;
    loop {
        let page = logs.next().await.unwrap();
        if page.is_empty() {
            break;
        }
        let size: usize = page.iter().map(|chunk| chunk.text.len()).sum();
        assert!(size < 2 * 1024 * 1024, "{size}");
        bytes += size;
    }
    assert_eq!(bytes, 20 * MAX_LOG_TEXT);
    assert!(store.events_after(&run, 0, 1_000).await.unwrap().len() < 10);
    check_without_gaps(&all_events(&store, &run, 1_000).await);
}

#[tokio::test]
async fn pruning_forgets_old_completed_runs_only() {
    let place = Place::new();
    let store = place.open().await;
    for id in ["1", "2", "3", "4"] {
        let run = create(&store, id).await;
        keep(&store, write(&run, 0, vec![log(1, "a", None, "x\n")], vec![])).await;
        if id != "2" {
            let finish = Change::Finish { at: 9, conclusion: Conclusion::Success, reason: None };
            keep(&store, write(&run, 1, vec![], vec![finish])).await;
        }
    }
    assert_eq!(store.prune(1).await.unwrap(), 2);
    let left = store.runs(&RunQuery { limit: 10, ..RunQuery::default() }).await.unwrap();
    assert_eq!(left.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["4", "2"]);
    assert_eq!(all_events(&store, &"1".into(), 10).await.len(), 0);
    assert_eq!(all_events(&store, &"2".into(), 10).await.len(), 1);
}
