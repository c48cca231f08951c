//! Claims and leases: a job is held once, a write of somebody who is late leaves no trace.

use run::id::RunId;
use store::{Change, Outcome, Store, StoreError};

use crate::world::{OWNER, Place, all_events, claim, create, enqueue, job, keep, log, write};

async fn queued_jobs(store: &Store, owner: &str) -> Vec<String> {
    store.waiting(owner).await.unwrap().into_iter().map(|waiting| waiting.job.to_string()).collect()
}

async fn run_with_queue(store: &Store) -> RunId {
    let run = create(store, "r").await;
    keep(store, write(&run, 0, vec![], vec![enqueue("a", &["linux"]), enqueue("b", &[])])).await;
    run
}

#[tokio::test]
async fn a_claim_moves_a_job_from_the_queue_to_a_lease() {
    let place = Place::new();
    let store = place.open().await;
    let run = run_with_queue(&store).await;
    assert_eq!(store.waiting(OWNER).await.unwrap()[0].labels, ["linux"]);
    assert_eq!(queued_jobs(&store, "another").await, [""; 0]);
    keep(&store, write(&run, 0, vec![], vec![claim("a", "l")])).await;
    assert_eq!(queued_jobs(&store, OWNER).await, ["b"]);
    let leases = store.leases(&run).await.unwrap();
    assert_eq!((leases.len(), &leases[0].job, leases[0].taken), (1, &job("a"), 0));
    let taken = Change::Taken { lease: "l".into(), taken: 7, expires: Some(90) };
    keep(&store, write(&run, 0, vec![], vec![taken])).await;
    assert_eq!(store.leases(&run).await.unwrap()[0].taken, 7);
    assert_eq!(store.expired(OWNER, 90).await.unwrap().len(), 0);
    assert_eq!(store.expired(OWNER, 91).await.unwrap().len(), 1);
    keep(&store, write(&run, 0, vec![], vec![Change::Release { lease: "l".into() }])).await;
    assert_eq!(store.leases(&run).await.unwrap(), []);
}

#[tokio::test]
async fn a_second_claim_fails_and_leaves_no_trace() {
    let place = Place::new();
    let store = place.open().await;
    let run = run_with_queue(&store).await;
    keep(&store, write(&run, 0, vec![], vec![claim("a", "l1")])).await;
    let other = create(&store, "s").await;
    let writes = [
        write(&other, 0, vec![log(1, "x", None, "x\n")], vec![]),
        write(&run, 0, vec![log(1, "a", None, "a\n")], vec![claim("b", "l2"), claim("a", "l3")]),
    ];
    let error = store.commit(&writes).await.unwrap_err();
    assert!(matches!(&error, StoreError::Missing { subject, .. } if subject == "a"), "{error:?}");
    assert_eq!(queued_jobs(&store, OWNER).await, ["b"]);
    assert_eq!(store.leases(&run).await.unwrap().len(), 1);
    assert_eq!(all_events(&store, &run, 10).await.len() + all_events(&store, &other, 10).await.len(), 0);
}

#[tokio::test]
async fn a_job_is_not_queued_twice() {
    let place = Place::new();
    let store = place.open().await;
    let run = run_with_queue(&store).await;
    let error = store.commit(&[write(&run, 0, vec![], vec![enqueue("a", &[])])]).await.unwrap_err();
    assert!(matches!(error, StoreError::Twice { .. }), "{error:?}");
}

#[tokio::test]
async fn a_late_write_is_superseded_and_does_not_hinder_others() {
    let place = Place::new();
    let store = place.open().await;
    let (run, other) = (create(&store, "r").await, create(&store, "s").await);
    keep(&store, write(&run, 0, vec![log(1, "a", None, "first\n")], vec![])).await;
    let writes = [
        write(&run, 0, vec![log(1, "a", None, "late\n")], vec![enqueue("a", &[])]),
        write(&other, 0, vec![log(1, "a", None, "other\n")], vec![]),
    ];
    assert_eq!(store.commit(&writes).await.unwrap(), [Outcome::Superseded, Outcome::Kept]);
    assert_eq!(queued_jobs(&store, OWNER).await, [""; 0]);
    assert_eq!(all_events(&store, &other, 10).await.len(), 1);
}

#[tokio::test]
async fn another_owner_and_a_completed_run_supersede() {
    let place = Place::new();
    let store = place.open().await;
    let run = create(&store, "r").await;
    let mut foreign = write(&run, 0, vec![], vec![enqueue("a", &[])]);
    foreign.owner = "another".into();
    assert_eq!(store.commit(&[foreign]).await.unwrap(), [Outcome::Superseded]);
    let conclusion = run::status::Conclusion::Success;
    keep(&store, write(&run, 0, vec![], vec![Change::Finish { at: 1, conclusion, reason: None }])).await;
    let late = write(&run, 0, vec![], vec![enqueue("a", &[])]);
    assert_eq!(store.commit(&[late]).await.unwrap(), [Outcome::Superseded]);
}
