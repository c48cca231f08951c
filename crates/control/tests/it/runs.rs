//! From a plan to the end of its run.

use control::{Control, Labels, Submission, SubmitError};
use run::event::EventKind;
use run::lease::Cancel;
use run::status::Conclusion;
use store::RunStatus;

use crate::world::{World, ends, finish, job, plan_of, request};

#[tokio::test]
async fn a_run_is_kept_before_it_is_acknowledged() {
    let world = World::new().await;
    let run = world.submit(&job("a", &[])).await;
    let row = world.store.run(&run).await.unwrap().unwrap();
    assert_eq!((row.status, row.workflow.as_str(), row.owner.as_str()), (RunStatus::Queued, "CI", "owner"));
    assert_eq!(
        (row.reference.as_str(), row.sha.as_str(), row.root.as_str()),
        ("refs/heads/main", "0123", "/root")
    );
    let waiting = world.store.waiting("owner").await.unwrap();
    assert_eq!(
        (waiting.len(), waiting[0].job.as_str(), &waiting[0].labels[..]),
        (1, "a", &["linux".to_owned()][..])
    );
}

#[tokio::test]
async fn jobs_follow_each_other_and_the_run_ends() {
    let world = World::new().await;
    let run = world.submit(&(job("a", &[]) + &job("b", &["needs: a"]))).await;
    for expected in ["a", "b"] {
        world.clock.set(50);
        let lease = world.lease().await;
        assert_eq!(lease.spec.job.as_str(), expected);
        finish(&world.control, &lease.id, Conclusion::Success).await;
    }
    assert_eq!(world.control.finished(&run).await.unwrap(), Some(Conclusion::Success));
    assert_eq!(ends(&world.events(&run).await), "a=success b=success run=success");
    let row = world.store.run(&run).await.unwrap().unwrap();
    assert_eq!(
        (row.status, row.conclusion, row.started),
        (RunStatus::Completed, Some(Conclusion::Success), Some(50))
    );
    assert_eq!(world.store.waiting("owner").await.unwrap(), []);
    assert_eq!(world.store.leases(&run).await.unwrap(), []);
}

#[tokio::test]
async fn a_run_without_anything_to_do_ends_at_once() {
    let world = World::new().await;
    let run = world.submit(&job("a", &["if: false"])).await;
    assert_eq!(world.control.finished(&run).await.unwrap(), Some(Conclusion::Success));
    assert_eq!(ends(&world.events(&run).await), "a=skipped run=success");
}

#[tokio::test]
async fn a_job_that_nobody_serves_fails_and_says_why() {
    let world = World::with(|settings| settings.serves = Some(Labels::new(["Linux"]))).await;
    let windows = job("w", &[]).replace("linux", "[linux, windows-latest]");
    let run = world.submit(&(windows + &job("a", &["needs: w"]) + &job("b", &[]))).await;
    let unserved = world.control.unserved(&run);
    assert_eq!((unserved.len(), unserved[0].job.as_str()), (1, "w"));
    assert_eq!(unserved[0].labels, ["windows-latest"]);
    let lease = world.lease().await;
    assert_eq!(lease.spec.job.as_str(), "b");
    finish(&world.control, &lease.id, Conclusion::Success).await;
    let events = world.events(&run).await;
    assert_eq!(ends(&events), "w=failure a=skipped b=success run=failure");
    let reason = events.iter().find_map(|event| match &event.kind {
        EventKind::JobFinished { job, reason, .. } if job.as_str() == "w" => reason.clone(),
        _ => None,
    });
    assert_eq!(reason.as_deref(), Some("no machine here serves the label `windows-latest`"));
}

#[tokio::test]
async fn a_cancelled_run_ends_what_waits_and_asks_what_runs() {
    let world = World::new().await;
    let run = world.submit(&(job("a", &[]) + &job("b", &[]))).await;
    let lease = world.lease().await;
    let asked = world.control.cancelled(&lease.id, None);
    let (asked, ()) = tokio::join!(asked, async {
        world.control.cancel(&run, Cancel::Graceful, "Ctrl-C").await.unwrap();
    });
    assert_eq!(asked, Cancel::Graceful);
    let harder = world.control.cancelled(&lease.id, Some(Cancel::Graceful));
    let (harder, ()) = tokio::join!(harder, async {
        world.control.cancel(&run, Cancel::Now, "Ctrl-C again").await.unwrap();
    });
    assert_eq!(harder, Cancel::Now);
    assert_eq!(world.store.waiting("owner").await.unwrap(), []);
    finish(&world.control, &lease.id, Conclusion::Cancelled).await;
    assert_eq!(ends(&world.events(&run).await), "b=cancelled a=cancelled run=cancelled");
    assert_eq!(world.control.cancelled(&lease.id, None).await, Cancel::Now);
    world.control.cancel(&run, Cancel::Now, "late").await.unwrap_err();
}

#[tokio::test]
async fn a_drained_control_plane_takes_no_run_and_lets_runners_go() {
    let world = World::new().await;
    world.submit(&(job("a", &[]) + &job("b", &["needs: a"]))).await;
    world.control.drain();
    let submission =
        Submission { plan: plan_of(&job("a", &[])), root: "/".into(), secrets: vec![], taken_over: vec![] };
    assert!(matches!(world.control.submit(submission).await, Err(SubmitError::Draining)));
    let first = world.lease().await;
    let ask = request(&["linux"]);
    let (second, ()) = tokio::join!(world.control.lease(&ask), async {
        finish(&world.control, &first.id, Conclusion::Success).await;
    });
    let second = second.unwrap().expect("the second job waits");
    let (none, ()) = tokio::join!(world.control.lease(&ask), async {
        finish(&world.control, &second.id, Conclusion::Success).await;
    });
    assert!(none.unwrap().is_none());
}

#[tokio::test]
async fn secrets_are_in_the_lease_and_nowhere_in_the_database() {
    let world = World::new().await;
    let run = world.submit(&job("a", &[])).await;
    let lease = world.lease().await;
    assert!(lease.secrets.contains(&("TOKEN".to_owned(), "hunter2".to_owned())));
    finish(&world.control, &lease.id, Conclusion::Success).await;
    world.control.finished(&run).await.unwrap();
    for entry in world.folder.path().read_dir().unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(7).any(|window| window == b"hunter2"));
    }
}

#[tokio::test]
async fn two_control_planes_share_a_database_and_nothing_else() {
    let world = World::new().await;
    let store = crate::world::open(&world.path()).await;
    let other = Control::open(store, crate::world::settings("other", world.clock.clone()));
    let jobs = job("a", &["strategy: {matrix: {n: [1, 2, 3, 4]}}"]) + &job("b", &["needs: a"]);
    let play = async |control: &Control| {
        let run = crate::world::submit(control, &jobs).await;
        for _ in 0..5 {
            let lease = crate::world::lease(control).await;
            assert_eq!(lease.spec.run, run);
            for number in 0..10 {
                control.report(&lease.id, number, vec![crate::world::log("line\n")]).await.unwrap();
            }
            control.report(&lease.id, 10, vec![crate::world::finished(Conclusion::Success)]).await.unwrap();
        }
        assert_eq!(control.finished(&run).await.unwrap(), Some(Conclusion::Success));
        run
    };
    let (one, two) = tokio::join!(play(&world.control), play(&other));
    for run in [one, two] {
        assert_eq!(crate::world::text(&world.events(&run).await).lines().count(), 50);
    }
}
