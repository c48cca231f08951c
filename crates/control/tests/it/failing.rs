//! Writes that fail: nothing is acknowledged, nothing is shown, and the run goes on where it was.

use control::{LeaseError, ReportError};
use run::status::Conclusion;

use crate::world::{World, as_json, ends, finished, job, log, request, text, watched};

/// Makes every change of the events fail, or lets them be again.
async fn set_broken(world: &World, broken: bool) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(world.path());
    let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
    let statement = if broken {
        "CREATE TRIGGER broken BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'broken'); END"
    } else {
        "DROP TRIGGER broken"
    };
    sqlx::query(statement).execute(&mut connection).await.unwrap();
}

#[tokio::test]
async fn a_run_goes_on_where_it_was() {
    let world = World::new().await;
    let run = world.submit(&(job("a", &[]) + &job("b", &[]))).await;
    let watch = world.control.watch(&run).await.unwrap();
    let a = world.lease().await.id;
    world.control.report(&a, 0, vec![log("1\n")]).await.unwrap();

    set_broken(&world, true).await;
    let refused = world.control.report(&a, 1, vec![log("2\n"), finished(Conclusion::Success)]).await;
    assert!(matches!(refused, Err(ReportError::Store { .. })), "{refused:?}");
    let refused = world.control.lease(&request(&["linux"])).await;
    assert!(matches!(refused, Err(LeaseError::Store { .. })), "{refused:?}");
    assert_eq!(text(&world.events(&run).await), "1\n");

    set_broken(&world, false).await;
    world.control.report(&a, 1, vec![log("2\n"), finished(Conclusion::Success)]).await.unwrap();
    let b = world.lease().await;
    assert_eq!(b.spec.job.as_str(), "b");
    world.control.report(&b.id, 0, vec![finished(Conclusion::Success)]).await.unwrap();

    let events = world.events(&run).await;
    assert_eq!(
        (text(&events).as_str(), ends(&events).as_str()),
        ("1\n2\n", "a=success b=success run=success")
    );
    assert_eq!(as_json(&watched(watch).await), as_json(&events));
}

#[tokio::test]
async fn a_run_that_cannot_be_kept_does_not_hinder_others() {
    let world = World::new().await;
    let mut leases = Vec::new();
    for _ in 0..12 {
        let run = world.submit(&job("a", &[])).await;
        leases.push((run, world.lease().await.id));
    }
    let broken = &leases[6].0;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(world.path());
    let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
    let statement = format!(
        "CREATE TRIGGER broken BEFORE INSERT ON events WHEN NEW.run = '{broken}' BEGIN SELECT RAISE(ABORT, 'broken'); END"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    // They queue up behind the first, and are written together.
    let reports = leases.iter().map(|(_, lease)| world.control.report(lease, 0, vec![log("1\n")]));
    let reports = futures_util::future::join_all(reports).await;
    for ((run, _), report) in leases.iter().zip(reports) {
        assert_eq!(report.is_ok(), run != broken, "{report:?}");
        assert_eq!(text(&world.events(run).await), if run == broken { "" } else { "1\n" });
    }
}

#[tokio::test]
async fn a_run_that_cannot_be_kept_is_not_made() {
    let world = World::new().await;
    set_broken(&world, true).await;
    let plan = crate::world::plan_of(&job("a", &[]));
    let submission = control::Submission { plan, root: "/".into(), secrets: vec![], taken_over: vec![] };
    let error = world.control.submit(submission).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot start the run");
    assert_eq!(world.store.unfinished().await.unwrap(), []);
    world.control.drain();
    assert!(world.control.lease(&request(&["*"])).await.unwrap().is_none());
}
