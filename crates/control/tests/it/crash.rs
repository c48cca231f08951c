//! A process that is killed while its runs go on: what it acknowledged is kept, and the next one closes its runs.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;

use control::{Control, close_departed};
use run::event::EventKind;
use store::{RunQuery, RunStatus};

use crate::world::{TestClock, events, job, lease, log, open, settings, submit, text};

const PATH: &str = "CONTROL_TEST_PATH";

/// The role of the process that is killed: it does nothing unless its variable is set. Says after each report how
/// many lines were acknowledged.
#[tokio::test]
async fn reports_until_killed() {
    let Some(path) = env::var_os(PATH) else { return };
    let control =
        Control::open(open(path.as_ref()).await, settings("killed", Arc::new(TestClock::default())));
    submit(&control, &job("a", &["strategy: {matrix: {n: [1, 2]}}"])).await;
    let (first, second) = (lease(&control).await.id, lease(&control).await.id);
    for number in 0.. {
        let lines = || vec![log(&format!("{number}\n"))];
        let (one, two) =
            tokio::join!(control.report(&first, number, lines()), control.report(&second, number, lines()));
        one.and(two).unwrap();
        std::io::stdout().write_all(format!("\nkept {}\n", number + 1).as_bytes()).unwrap();
    }
}

async fn check_killed_after(reports: usize) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("firedog.db");
    let mut process = Command::new(env::current_exe().unwrap())
        .args(["--exact", "crash::reports_until_killed", "--nocapture", "--test-threads=1"])
        .env(PATH, &path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let kept: usize = lines
        .filter_map(|line| line.unwrap().strip_prefix("kept ").map(|number| number.parse().unwrap()))
        .nth(reports - 1)
        .unwrap();
    process.kill().unwrap();
    process.wait().unwrap();

    let store = open(&path).await;
    let closed = close_departed(&store, 9, &|_| false).await.unwrap();
    assert_eq!(closed.len(), 1);
    let events = events(&store, &closed[0]).await;
    assert!(text(&events).lines().count() >= 2 * kept);
    let ended = events.iter().filter(|event| matches!(event.kind, EventKind::JobFinished { .. })).count();
    assert_eq!(ended, 2);
    assert!(matches!(events.last().unwrap().kind, EventKind::RunFinished { .. }));
    let rows = store.runs(&RunQuery { limit: 9, ..RunQuery::default() }).await.unwrap();
    assert!(rows.iter().all(|row| row.status == RunStatus::Completed));
}

#[tokio::test]
async fn what_was_acknowledged_is_kept_and_the_run_is_closed() {
    for reports in [1, 3, 20, 90] {
        check_killed_after(reports).await;
    }
}
