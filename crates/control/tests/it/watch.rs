//! Watchers: every event once and in order, whenever they come.

use futures_util::FutureExt;
use run::status::Conclusion;

use crate::world::{World, as_json, finish, finished, job, log, watched};

const LARGE: usize = 200 * 1024;

#[tokio::test]
async fn a_watcher_gets_all_events_whenever_it_comes() {
    let world = World::new().await;
    let run = world.submit(&(job("a", &[]) + &job("b", &["needs: a"]))).await;
    let mut watches = vec![world.control.watch(&run).await.unwrap()];
    for _ in ["a", "b"] {
        let lease = world.lease().await.id;
        watches.push(world.control.watch(&run).await.unwrap());
        for number in 0..5 {
            world.control.report(&lease, number, vec![log("line\n")]).await.unwrap();
            watches.push(world.control.watch(&run).await.unwrap());
        }
        world.control.report(&lease, 5, vec![finished(Conclusion::Success)]).await.unwrap();
        watches.push(world.control.watch(&run).await.unwrap());
    }
    let expected = as_json(&world.events(&run).await);
    for watch in watches {
        assert_eq!(as_json(&watched(watch).await), expected);
    }
}

#[tokio::test]
async fn a_watcher_waits_for_what_comes_later() {
    let world = World::new().await;
    let run = world.submit(&job("a", &[])).await;
    let watch = world.control.watch(&run).await.unwrap();
    let (events, ()) = tokio::join!(watched(watch), async {
        let lease = world.lease().await.id;
        finish(&world.control, &lease, Conclusion::Success).await;
    });
    assert_eq!(as_json(&events), as_json(&world.events(&run).await));
}

#[tokio::test]
async fn a_watcher_that_reads_what_is_kept_while_more_comes_gets_nothing_twice() {
    let world = World::new().await;
    let run = world.submit(&job("a", &[])).await;
    let lease = world.lease().await.id;
    let mut watch = world.control.watch(&run).await.unwrap();
    world.control.report(&lease, 0, vec![log("after the watcher came\n")]).await.unwrap();
    let mut events = watch.next().await.unwrap().unwrap().to_vec();
    world
        .control
        .report(&lease, 1, vec![log("after it read\n"), finished(Conclusion::Success)])
        .await
        .unwrap();
    while let Some(batch) = watch.next().await.unwrap() {
        events.extend(batch.iter().cloned());
    }
    assert_eq!(as_json(&events), as_json(&world.events(&run).await));
}

#[tokio::test]
async fn a_slow_watcher_holds_up_reports_and_nothing_else() {
    let world = World::new().await;
    let run = world.submit(&(job("a", &[]) + &job("b", &[]))).await;
    let mut watch = world.control.watch(&run).await.unwrap();
    let lease = world.lease().await.id;
    let text = "x".repeat(LARGE);
    let mut taken = 0;
    let mut held = loop {
        let mut report = Box::pin(world.control.report(&lease, taken, vec![log(&text)]));
        let turn = tokio::select! {
            biased;
            done = &mut report => Some(done),
            // A report that is not held up is kept before the run tells how it is.
            () = settled(&world, &run) => None,
        };
        match turn {
            Some(done) => done.unwrap(),
            None => break report,
        }
        taken += 1;
        assert!(taken < 100, "nothing holds up the reports");
    };
    let other = world.lease().await;
    assert_eq!(other.spec.job.as_str(), "b");
    world.control.cancel(&run, run::lease::Cancel::Graceful, "Ctrl-C").await.unwrap();
    assert!(held.as_mut().now_or_never().is_none());
    // Whoever reads lets the report through, and gets it.
    let read = async {
        let mut seen = 0;
        while seen <= taken * LARGE as u64 {
            seen += crate::world::text(&watch.next().await.unwrap().unwrap()).len() as u64;
        }
    };
    let (done, ()) = tokio::join!(held, read);
    done.unwrap();
}

/// Comes to an end after everything that can happen without further requests has happened.
async fn settled(world: &World, run: &run::id::RunId) {
    for _ in 0..3 {
        world.control.watch(run).await.unwrap();
        world.store.run(run).await.unwrap();
    }
}

#[tokio::test]
async fn a_watcher_that_goes_away_holds_up_nobody() {
    let world = World::new().await;
    let run = world.submit(&job("a", &[])).await;
    let watch = world.control.watch(&run).await.unwrap();
    let lease = world.lease().await.id;
    let text = "x".repeat(LARGE);
    for number in 0..5 {
        world.control.report(&lease, number, vec![log(&text)]).await.unwrap();
    }
    drop(watch);
    for number in 5..30 {
        world.control.report(&lease, number, vec![log(&text)]).await.unwrap();
    }
    world.control.report(&lease, 30, vec![finished(Conclusion::Success)]).await.unwrap();
    assert_eq!(world.control.finished(&run).await.unwrap(), Some(Conclusion::Success));
}

#[tokio::test]
async fn an_unknown_run_cannot_be_watched() {
    let world = World::new().await;
    let error = world.control.watch(&"nothing".into()).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no run `nothing`");
}
