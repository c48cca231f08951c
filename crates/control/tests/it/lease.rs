//! Who gets which job, and what becomes of leases that nobody takes or keeps.

use std::collections::HashSet;
use std::time::Duration;

use control::Labels;
use futures_util::FutureExt;
use futures_util::future::join_all;
use run::status::Conclusion;

use crate::world::{World, ends, finish, finished, is_over, job, log, request};

#[tokio::test]
async fn labels_are_compared_without_case_and_all_must_fit() {
    let world = World::new().await;
    world.submit(&job("a", &[]).replace("linux", "[Linux, GPU]")).await;
    for labels in [&["linux"][..], &[], &["windows", "gpu"]] {
        assert!(world.control.lease(&request(labels)).now_or_never().is_none(), "{labels:?}");
    }
    let lease = world.control.lease(&request(&["gpu", "LINUX", "x64"])).await.unwrap().unwrap();
    assert_eq!(lease.spec.labels, ["Linux", "GPU"]);
}

#[tokio::test]
async fn a_runner_waits_for_a_job_that_comes_later() {
    let world = World::new().await;
    let (ask, jobs) = (request(&["*"]), job("a", &[]));
    let (lease, _) = tokio::join!(world.control.lease(&ask), world.submit(&jobs));
    assert_eq!(lease.unwrap().unwrap().spec.job.as_str(), "a");
}

#[tokio::test]
async fn no_job_is_leased_twice() {
    let world = World::new().await;
    let legs = job("a", &["strategy: {matrix: {n: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}}"]);
    world.submit(&legs).await;
    let leases = join_all((0..10).map(|_| world.lease())).await;
    let jobs: HashSet<_> = leases.iter().map(|lease| lease.spec.job.clone()).collect();
    assert_eq!(jobs.len(), 10);
    assert!(world.control.lease(&request(&["linux"])).now_or_never().is_none());
}

#[tokio::test]
async fn a_runner_that_goes_away_before_it_has_the_job_leaves_it_to_others() {
    let world = World::new().await;
    let run = world.submit(&job("a", &[])).await;
    let ask = request(&["linux"]);
    // However far the first runner gets before it goes away, the second one gets the job.
    for polls in 0..6 {
        let mut first = Box::pin(world.control.lease(&ask));
        for _ in 0..polls {
            assert!(
                first.as_mut().now_or_never().is_none(),
                "nothing else ran that could have given it the job"
            );
        }
    }
    let lease = world.lease().await;
    finish(&world.control, &lease.id, Conclusion::Success).await;
    assert_eq!(ends(&world.events(&run).await), "a=success run=success");
}

#[tokio::test]
async fn a_lease_that_was_granted_and_not_taken_comes_back() {
    let world = World::new().await;
    let run = world.submit(&job("a", &[])).await;
    let ask = request(&["linux"]);
    let mut first = Box::pin(world.control.lease(&ask));
    assert!(first.as_mut().now_or_never().is_none());
    // The lease is kept, and its runner does not look.
    while world.store.leases(&run).await.unwrap().is_empty() {}
    drop(first);
    let lease = world.lease().await;
    finish(&world.control, &lease.id, Conclusion::Success).await;
    assert_eq!(ends(&world.events(&run).await), "a=success run=success");
}

#[tokio::test]
async fn a_silent_runner_loses_its_lease_and_is_refused_when_it_comes_late() {
    let world = World::with(|settings| settings.lease_duration = Some(Duration::from_secs(60))).await;
    let run = world.submit(&job("a", &[])).await;
    let late = world.lease().await;
    world.clock.set(60_000);
    assert!(!world.control.expire_one().await.unwrap());
    world.control.report(&late.id, 0, vec![]).await.unwrap();
    world.clock.set(120_000);
    assert!(!world.control.expire_one().await.unwrap(), "an empty report has renewed it");
    world.clock.set(120_001);
    assert!(world.control.expire_one().await.unwrap());
    assert!(!world.control.expire_one().await.unwrap());
    assert!(is_over(world.control.report(&late.id, 0, vec![log("late\n")]).await));

    let next = world.lease().await;
    assert_ne!(next.id, late.id);
    world.control.report(&next.id, 0, vec![log("next\n")]).await.unwrap();
    assert!(is_over(world.control.report(&late.id, 0, vec![finished(Conclusion::Failure)]).await));
    world.control.report(&next.id, 1, vec![finished(Conclusion::Success)]).await.unwrap();
    let events = world.events(&run).await;
    assert_eq!(
        (ends(&events).as_str(), crate::world::text(&events).as_str()),
        ("a=success run=success", "next\n")
    );
}

#[tokio::test]
async fn a_job_that_had_begun_fails_with_its_runner() {
    let world = World::with(|settings| settings.lease_duration = Some(Duration::from_secs(60))).await;
    let run = world.submit(&job("a", &[])).await;
    let lease = world.lease().await;
    world.control.report(&lease.id, 0, vec![log("begun\n")]).await.unwrap();
    world.clock.set(60_001);
    assert!(world.control.expire_one().await.unwrap());
    assert_eq!(world.control.finished(&run).await.unwrap(), Some(Conclusion::Failure));
    assert_eq!(ends(&world.events(&run).await), "a=failure run=failure");
}

#[tokio::test]
async fn a_job_without_labels_needs_a_runner_for_everything() {
    assert!(!Labels::new(["linux"]).serve(&[]));
    assert!(Labels::new(["*"]).serve(&[]));
}
