//! Reports: taken once however often they come, in order, and only under a lease that holds.

use control::ReportError;
use run::status::Conclusion;

use crate::world::{World, ends, finished, is_over, job, log, text};

#[tokio::test]
async fn repeated_reports_are_taken_once() {
    let world = World::new().await;
    let run = world.submit(&(job("a", &[]) + &job("b", &[]))).await;
    let lease = world.lease().await.id;
    let report = |first, events| world.control.report(&lease, first, events);
    report(0, vec![log("1\n"), log("2\n")]).await.unwrap();
    report(0, vec![log("1\n"), log("2\n")]).await.unwrap();
    report(1, vec![log("2\n"), log("3\n")]).await.unwrap();
    report(3, vec![finished(Conclusion::Success)]).await.unwrap();
    report(3, vec![finished(Conclusion::Success)]).await.unwrap();
    assert!(is_over(report(4, vec![log("more\n")]).await));
    let events = world.events(&run).await;
    assert_eq!((text(&events).as_str(), ends(&events).as_str()), ("1\n2\n3\n", "a=success"));
}

#[tokio::test]
async fn a_gap_is_refused() {
    let world = World::new().await;
    world.submit(&job("a", &[])).await;
    let lease = world.lease().await.id;
    let refused = world.control.report(&lease, 1, vec![log("2\n")]).await;
    assert!(matches!(refused, Err(ReportError::Gap { taken: 0, first: 1, .. })));
}

#[tokio::test]
async fn unknown_leases_are_refused() {
    let world = World::new().await;
    assert!(is_over(world.control.report(&"nobody's".into(), 0, vec![log("x\n")]).await));
}

#[tokio::test]
async fn a_report_larger_than_the_room_is_taken() {
    let world = World::new().await;
    let run = world.submit(&job("a", &[])).await;
    let lease = world.lease().await.id;
    let large = "x".repeat(256 * 1024 - 1) + "\n";
    let reports: Vec<_> = (0..40).map(|_| log(&large)).collect();
    world.control.report(&lease, 0, reports).await.unwrap();
    world.control.report(&lease, 40, vec![finished(Conclusion::Success)]).await.unwrap();
    assert_eq!(text(&world.events(&run).await).len(), 40 * 256 * 1024);
}

#[tokio::test]
async fn the_runners_time_is_kept() {
    let world = World::new().await;
    world.clock.set(99);
    let run = world.submit(&job("a", &[])).await;
    let lease = world.lease().await.id;
    world.control.report(&lease, 0, vec![log("x\n"), finished(Conclusion::Success)]).await.unwrap();
    let times: Vec<_> = world.events(&run).await.iter().map(|event| event.at).collect();
    assert_eq!(times[times.len() - 4..], [7, 8, 99, 99]);
}
