//! Roles that this test program plays in a process of its own, when a test starts it so.
//!
//! A role is a test that does nothing unless its variable is set.

use std::env;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use store::{Outcome, Store, StoreError};

use crate::world::{all_events, check_without_gaps, create, enqueue, log, write};

const PATH: &str = "STORE_TEST_PATH";
const RUN: &str = "STORE_TEST_RUN";

/// The command that plays `role` on the database at `path` for the run `run`; `wrapper` is put before it.
pub(crate) fn command(wrapper: &[&str], role: &str, path: &Path, run: &str) -> Command {
    let program = env::current_exe().unwrap().into_os_string();
    let arguments = ["--exact", role, "--nocapture", "--test-threads=1"].map(OsString::from);
    let mut line = wrapper.iter().map(OsString::from).chain([program]).chain(arguments);
    let mut command = Command::new(line.next().unwrap());
    command.args(line).env(PATH, path).env(RUN, run).stdin(Stdio::null());
    command
}

fn role() -> Option<(PathBuf, String)> {
    Some((env::var_os(PATH)?.into(), env::var(RUN).ok()?))
}

/// Says what was acknowledged, past the test harness and in one write.
fn say(line: &str) {
    std::io::stdout().write_all(format!("\n{line}\n").as_bytes()).unwrap();
}

/// Appends until it is killed: each batch queues one job with its events. Says the last number after each commit.
#[tokio::test]
async fn appends_until_killed() {
    let Some((path, id)) = role() else { return };
    let store = Store::open(&path).await.unwrap();
    let run = create(&store, &id).await;
    let mut after = 0;
    loop {
        let events = (1..=1 + after % 5)
            .map(|n| log(after + n, "a", None, &"line\n".repeat(1000)))
            .collect::<Vec<_>>();
        let last = after + events.len() as u64;
        let done =
            store.commit(&[write(&run, after, events, vec![enqueue(&format!("job{last}"), &[])])]).await;
        assert_eq!(done.unwrap(), [Outcome::Kept]);
        after = last;
        say(&format!("kept {after}"));
    }
}

/// Appends until there is no room, then finds all that was acknowledged, also after opening anew.
#[tokio::test]
async fn appends_until_refused() {
    let Some((path, id)) = role() else { return };
    let store = Store::open(&path).await.unwrap();
    let run = create(&store, &id).await;
    let mut after = 0;
    let error = loop {
        let events = vec![log(after + 1, "a", None, &"x".repeat(50_000))];
        match store.commit(&[write(&run, after, events, vec![])]).await {
            Ok(outcomes) => assert_eq!(outcomes, [Outcome::Kept]),
            Err(error) => break error,
        }
        after += 1;
    };
    assert!(matches!(error, StoreError::Full { .. } | StoreError::Failed { .. }), "{error:?}");
    for store in [store, Store::open(&path).await.unwrap()] {
        let events = all_events(&store, &run, 10).await;
        assert_eq!(events.len() as u64, after);
        check_without_gaps(&events);
        assert_eq!(store.run(&run).await.unwrap().unwrap().sequence, after);
    }
    say(&format!("refused after {after}: {error}"));
}

/// Makes a run and appends to it, while others do the same.
#[tokio::test]
async fn appends_beside_others() {
    let Some((path, id)) = role() else { return };
    let store = Store::open(&path).await.unwrap();
    let run = create(&store, &id).await;
    for after in 0..200 {
        let events = vec![log(after + 1, "a", None, "line\n")];
        assert_eq!(store.commit(&[write(&run, after, events, vec![])]).await.unwrap(), [Outcome::Kept]);
        assert_eq!(store.run(&run).await.unwrap().unwrap().sequence, after + 1);
    }
}

/// Opens and writes where nothing may be written, and says what it is told.
#[tokio::test]
async fn writes_where_it_may_not() {
    let Some((path, id)) = role() else { return };
    let error = match Store::open(&path).await {
        Err(error) => error,
        Ok(store) => {
            let created = vec![store::Change::Create(crate::world::new_run(b"plan"))];
            store.commit(&[write(&id.as_str().into(), 0, vec![], created)]).await.unwrap_err()
        }
    };
    let source = std::error::Error::source(&error).map(ToString::to_string);
    say(&format!("refused: {error}: {}", source.unwrap_or_default()));
}
