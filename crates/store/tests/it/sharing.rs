//! Several processes on one database.

use crate::child;
use crate::world::{Place, all_events, check_without_gaps};

#[tokio::test]
async fn processes_share_a_database_without_errors() {
    let place = Place::new();
    let runs = ["a", "b", "c", "d"];
    let writers: Vec<_> = runs
        .iter()
        .map(|run| child::command(&[], "child::appends_beside_others", &place.path, run).spawn().unwrap())
        .collect();
    for mut writer in writers {
        assert!(writer.wait().unwrap().success());
    }
    let store = place.open().await;
    for run in runs {
        let events = all_events(&store, &run.into(), 1_000).await;
        assert_eq!(events.len(), 200);
        check_without_gaps(&events);
    }
}
