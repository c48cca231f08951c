//! Checkpoints: kept with the events that tell of them, gone with their run.

use run::event::CheckpointKind;
use run::id::{CheckpointId, RunId};
use store::{Change, CheckpointRow, Store};

use crate::world::{Place, create, keep, write};

fn row(run: &RunId, step: u32, bytes: u64) -> CheckpointRow {
    CheckpointRow {
        id: CheckpointId(format!("{run}.lease.{step}")),
        run: run.clone(),
        job: "a".into(),
        step,
        kind: CheckpointKind::Files,
        bytes,
        kept: 7,
    }
}

async fn check(store: &Store, run: &RunId, expected: &[CheckpointRow]) {
    assert_eq!(store.checkpoints(run).await.unwrap(), expected);
}

#[tokio::test]
async fn are_listed_by_step_and_replaced_by_their_id() {
    let place = Place::new();
    let store = place.open().await;
    let run = create(&store, "r").await;
    let kept = [row(&run, 1, 20), row(&run, 0, 10), row(&run, 1, 30)].map(Change::Keep).to_vec();
    keep(&store, write(&run, 0, vec![], kept)).await;
    check(&store, &run, &[row(&run, 0, 10), row(&run, 1, 30)]).await;
    let drop =
        vec![Change::Drop { checkpoint: row(&run, 0, 0).id }, Change::Drop { checkpoint: "other".into() }];
    keep(&store, write(&run, 0, vec![], drop)).await;
    check(&store, &run, &[row(&run, 1, 30)]).await;
    let ids = [row(&run, 0, 0).id.0, row(&run, 1, 0).id.0];
    assert_eq!(store.untold_checkpoints(&ids).await.unwrap(), [ids[0].clone()]);
    assert_eq!(store.latest_with_checkpoints().await.unwrap(), Some(run.clone()));
    check(&store, &create(&store, "other").await, &[]).await;
}

#[tokio::test]
async fn are_forgotten_by_name_and_with_their_run() {
    let place = Place::new();
    let store = place.open().await;
    let run = create(&store, "r").await;
    let kept = vec![Change::Keep(row(&run, 0, 10)), Change::Keep(row(&run, 1, 10))];
    keep(&store, write(&run, 0, vec![], kept)).await;
    store.forget_checkpoints(&[row(&run, 0, 0).id, "other".into()]).await.unwrap();
    check(&store, &run, &[row(&run, 1, 10)]).await;
    let conclusion = run::status::Conclusion::Success;
    let finish = Change::Finish { at: 9, conclusion, reason: None };
    keep(&store, write(&run, 0, vec![], vec![finish])).await;
    store.prune(0).await.unwrap();
    check(&store, &run, &[]).await;
}
