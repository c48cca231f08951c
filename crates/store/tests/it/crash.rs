//! A process that is killed at any moment: what it was told to be kept is there, whole batches only.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::child;
use crate::world::{OWNER, Place, all_events, check_without_gaps};

/// Kills the writer after it has said so many times that it kept something.
async fn check_killed_after(batches: usize) {
    let place = Place::new();
    let mut writer = child::command(&[], "child::appends_until_killed", &place.path, "r")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(writer.stdout.take().unwrap()).lines();
    let kept = lines
        .filter_map(|line| line.unwrap().strip_prefix("kept ").map(|number| number.parse::<u64>().unwrap()))
        .nth(batches - 1)
        .unwrap();
    writer.kill().unwrap();
    writer.wait().unwrap();

    let store = place.open().await;
    let run = "r".into();
    let events = all_events(&store, &run, 100).await;
    check_without_gaps(&events);
    assert!(events.len() as u64 >= kept, "{} of {kept}", events.len());
    assert_eq!(store.run(&run).await.unwrap().unwrap().sequence, events.len() as u64);
    let queued = store.waiting(OWNER).await.unwrap();
    assert!(queued.iter().any(|waiting| waiting.job.as_str() == format!("job{}", events.len())));
    assert!(queued.len() >= batches);
}

#[tokio::test]
async fn nothing_that_was_acknowledged_is_lost() {
    for batches in [1, 2, 7, 40, 150, 400] {
        check_killed_after(batches).await;
    }
}
