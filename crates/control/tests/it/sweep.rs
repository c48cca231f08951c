//! Runs that nobody will end any more.

use std::sync::Arc;

use control::{ABANDONED, Control, close_departed};
use run::event::EventKind;
use run::status::Conclusion;

use crate::world::{TestClock, World, ends, is_over, job, lease, log, open, settings, submit, watched};

#[tokio::test]
async fn a_run_of_a_dead_process_is_closed_once_and_nobody_elses() {
    let world = World::new().await;
    let dead = Control::open(world.store.clone(), settings("dead", Arc::new(TestClock::default())));
    let run = submit(&dead, &(job("a", &[]) + &job("b", &[]) + &job("c", &["needs: a"]))).await;
    let held = lease(&dead).await;
    dead.report(&held.id, 0, vec![log("begun\n")]).await.unwrap();
    let mine = world.submit(&job("a", &[])).await;

    let other = open(&world.path()).await;
    let is_alive = |owner: &str| owner != "dead";
    let (first, second) =
        tokio::join!(close_departed(&world.store, 77, &is_alive), close_departed(&other, 77, &is_alive));
    assert_eq!([first.unwrap(), second.unwrap()].concat(), std::slice::from_ref(&run));
    assert_eq!(close_departed(&world.store, 78, &is_alive).await.unwrap(), []);

    let events = world.events(&run).await;
    assert_eq!(ends(&events), "a=failure b=cancelled run=failure");
    assert!(matches!(
        &events.last().unwrap().kind,
        EventKind::RunFinished { reason: Some(reason), .. } if reason == ABANDONED
    ));
    let row = world.store.run(&run).await.unwrap().unwrap();
    assert_eq!(
        (row.conclusion, row.reason.as_deref(), row.finished),
        (Some(Conclusion::Failure), Some(ABANDONED), Some(77))
    );
    assert_eq!(world.store.leases(&run).await.unwrap(), []);
    assert_eq!(world.store.run(&mine).await.unwrap().unwrap().conclusion, None);
}

#[tokio::test]
async fn an_owner_that_was_taken_for_dead_is_told_that_its_run_is_over() {
    let world = World::new().await;
    let run = world.submit(&job("a", &[])).await;
    let watch = world.control.watch(&run).await.unwrap();
    let held = world.lease().await.id;
    assert_eq!(close_departed(&world.store, 5, &|_| false).await.unwrap(), std::slice::from_ref(&run));
    assert!(is_over(world.control.report(&held, 0, vec![log("late\n")]).await));
    assert!(is_over(world.control.report(&held, 0, vec![log("late\n")]).await));
    assert_eq!(world.control.finished(&run).await.unwrap(), Some(Conclusion::Failure));
    assert_eq!(ends(&watched(watch).await), "a=failure run=failure");
}
