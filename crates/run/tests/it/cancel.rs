//! Runs that are to end.

use run::lease::Cancel;
use run::status::Conclusion;

use crate::world::{World, finished, jobs};

const SUCCESS: Conclusion = Conclusion::Success;
const CANCELLED: Conclusion = Conclusion::Cancelled;

#[test]
fn jobs_that_wait_end_and_jobs_that_run_are_asked_to() {
    let mut world = World::new(&jobs(&[("a", ""), ("b", ""), ("c", "needs: a")]));
    let lease = world.lease("a");
    world.cancel(Cancel::Graceful);
    assert_eq!(world.cancelled("a"), Some(Cancel::Graceful));
    assert_eq!(world.result("b"), Some(CANCELLED));
    assert_eq!(world.result("c"), None);
    world.report("a", &lease, finished(CANCELLED, &[]));
    assert_eq!(world.ends(), ["b: cancelled (asked to)", "a: cancelled", "c: skipped"]);
    assert_eq!(world.state.conclusion(), Some(CANCELLED));
}

#[test]
fn jobs_that_ask_for_it_run_in_a_cancelled_run() {
    let mut world = World::new(&jobs(&[
        ("a", ""),
        ("b", "if: always()"),
        ("c", "needs: a\nif: cancelled()"),
        ("d", "needs: a\nif: failure()"),
    ]));
    world.cancel(Cancel::Graceful);
    assert_eq!(world.cancelled("b"), None);
    assert_eq!(world.waiting(), ["b", "c"]);
    world.finish("b", SUCCESS);
    world.finish("c", SUCCESS);
    assert_eq!(world.ends()[..2], ["a: cancelled (asked to)", "d: skipped"]);
    assert_eq!(world.state.conclusion(), Some(CANCELLED));
}

#[test]
fn the_second_request_ends_everything() {
    let mut world = World::new(&jobs(&[("a", ""), ("b", "if: always()"), ("c", "needs: b\nif: always()")]));
    let lease = world.lease("b");
    world.cancel(Cancel::Graceful);
    world.cancel(Cancel::Now);
    assert_eq!(world.cancelled("b"), Some(Cancel::Now));
    world.report("b", &lease, finished(CANCELLED, &[]));
    assert_eq!(world.result("c"), Some(CANCELLED));
    assert_eq!(world.state.conclusion(), Some(CANCELLED));
}

#[test]
fn a_lost_runner_of_a_job_that_was_to_end_is_no_failure() {
    let mut world = World::new(&jobs(&[("a", "")]));
    let lease = world.lease("a");
    world.cancel(Cancel::Graceful);
    let (job, reason) = ("a".into(), "gone".to_owned());
    world.append(run::event::EventKind::LeaseExpired { job, lease, reason });
    assert_eq!(world.result("a"), Some(CANCELLED));
}
