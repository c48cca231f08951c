//! Jobs that need each other, their conditions, names and specifications.

use run::event::{EventKind, JobEvent};
use run::state::RunState;
use run::status::Conclusion;
use workflow::expr::Value;
use workflow::plan::Selection;

use crate::world::{Files, World, jobs};

const SUCCESS: Conclusion = Conclusion::Success;
const FAILURE: Conclusion = Conclusion::Failure;

#[test]
fn a_job_starts_when_its_needs_are_over() {
    let mut world = World::new(&jobs(&[("a", ""), ("b", "needs: a"), ("c", "needs: [a, b]"), ("d", "")]));
    assert_eq!(world.waiting(), ["a", "d"]);
    world.finish("a", SUCCESS);
    assert_eq!(world.waiting(), ["d", "b"]);
    world.finish("d", SUCCESS);
    world.finish("b", SUCCESS);
    world.finish("c", SUCCESS);
    assert_eq!(world.ends(), ["a: success", "d: success", "b: success", "c: success"]);
    assert_eq!(world.state.conclusion(), Some(SUCCESS));
    assert_eq!(RunState::from_events(&world.events).conclusion(), Some(SUCCESS));
}

#[test]
fn a_failure_skips_what_needs_it_unless_that_asks_otherwise() {
    let mut world = World::new(&jobs(&[
        ("a", ""),
        ("b", "needs: a"),
        ("c", "needs: b"),
        ("always", "needs: b\nif: always()"),
        ("failed", "needs: c\nif: failure()"),
        ("fine", "needs: c\nif: success()"),
        ("other", "needs: a\nif: needs.a.result == 'failure'"),
        ("not", "needs: a\nif: ${{ !cancelled() && needs.a.result == 'failure' }}"),
    ]));
    world.finish("a", FAILURE);
    assert_eq!(world.waiting(), ["not", "always", "failed"]);
    assert_eq!(world.ends(), ["a: failure", "b: skipped", "other: skipped", "c: skipped", "fine: skipped"]);
    for job in ["not", "always", "failed"] {
        world.finish(job, SUCCESS);
    }
    assert_eq!(world.state.conclusion(), Some(FAILURE));
}

#[test]
fn a_skipped_ancestor_is_neither_success_nor_failure() {
    let mut world = World::new(&jobs(&[
        ("a", "if: false"),
        ("b", "needs: a\nif: always()"),
        ("c", "needs: b"),
        ("d", "needs: b\nif: ${{ !failure() && !cancelled() }}"),
    ]));
    world.finish("b", SUCCESS);
    assert_eq!(world.ends(), ["a: skipped", "b: success", "c: skipped"]);
    world.finish("d", SUCCESS);
    assert_eq!(world.state.conclusion(), Some(SUCCESS));
}

#[test]
fn tolerated_failures_are_successes_for_others() {
    let mut world = World::new(&jobs(&[("a", "continue-on-error: true"), ("b", "needs: a")]));
    world.finish("a", FAILURE);
    assert_eq!(world.waiting(), ["b"]);
    let tolerated = world.events.iter().any(|event| {
        matches!(event.kind, EventKind::JobFinished { conclusion: SUCCESS, tolerated: true, .. })
    });
    assert!(tolerated);
    world.finish("b", SUCCESS);
    assert_eq!(world.state.conclusion(), Some(SUCCESS));
}

#[test]
fn all_skipped_is_a_success() {
    let world = World::new(&jobs(&[("a", "if: github.event_name == 'issues'"), ("b", "needs: a")]));
    assert_eq!(world.ends(), ["a: skipped", "b: skipped"]);
    assert_eq!(world.state.conclusion(), Some(SUCCESS));
}

#[test]
fn a_specification_has_what_the_runner_needs() {
    let mut world = World::new(&jobs(&[
        ("a", ""),
        ("b", "needs: a\nname: Build ${{ needs.a.outputs.v }}\nstrategy: {matrix: {os: [x]}}"),
    ]));
    world.finish_with("a", SUCCESS, &[("v", "7"), ("empty", "")]);
    let spec = world.spec("b[0]");
    assert_eq!(spec.name, "Build 7");
    assert_eq!(spec.labels, ["linux"]);
    assert_eq!(spec.contexts.matrix.get("os"), Some(&Value::from("x")));
    assert_eq!(spec.contexts.strategy.get("job-total"), Some(&Value::from(1)));
    assert_eq!(spec.contexts.needs.at(&["a", "outputs", "v"]), Some(&Value::from("7")));
    assert_eq!(spec.contexts.needs.at(&["a", "outputs", "empty"]), None);
    assert_eq!(spec.contexts.vars.get("REGION"), Some(&Value::from("eu")));
    assert_eq!(spec.workflow_env.len(), 1);
}

#[test]
fn what_cannot_be_evaluated_fails_its_job_with_the_place() {
    let world = World::new(&jobs(&[
        ("a", "if: fromJSON('{')"),
        ("b", "strategy: {matrix: {v: \"${{ fromJSON('1') }}\"}}"),
        ("c", "continue-on-error: ${{ fromJSON('{') }}"),
    ]));
    let ends = world.ends();
    assert_eq!(ends.len(), 3, "{ends:?}");
    assert!(ends[0].starts_with("a: failure (main.yml:3:3: the `if` of the job fails:"), "{ends:?}");
    assert!(ends[1].starts_with("b: failure (main.yml:9:"), "{ends:?}");
    assert!(ends[1].contains("`v` must be a sequence"), "{ends:?}");
    assert!(ends[2].starts_with("c: failure (main.yml:13:24:"), "{ends:?}");
    assert_eq!(world.state.conclusion(), Some(FAILURE));
}

#[test]
fn a_job_without_legs_has_a_name_without_their_values() {
    let world = World::new(&jobs(&[
        ("a", "if: false\nname: Test ${{ matrix.os }}\nstrategy: {matrix: {os: [x]}}"),
        ("b", "if: false\nname: On ${{ github.event_name }}"),
    ]));
    let names: Vec<&str> = world.state.jobs().map(|(_, job)| job.name.as_str()).collect();
    assert_eq!(names, ["a", "On push"]);
}

#[test]
fn a_selection_has_the_job_and_what_it_needs() {
    let list = jobs(&[("a", ""), ("b", "needs: a"), ("c", "needs: b"), ("d", "")]);
    let selection = Selection { jobs: vec!["B".to_owned()], ..Selection::default() };
    let mut world = World::with(&list, &Files::default(), selection);
    assert_eq!(world.waiting(), ["a"]);
    world.finish("a", SUCCESS);
    world.finish("b", SUCCESS);
    assert_eq!(world.state.conclusion(), Some(SUCCESS));
}

#[test]
fn a_lost_runner_that_did_not_begin_gives_the_job_back() {
    let mut world = World::new(&jobs(&[("a", "")]));
    for _ in 1..run::decide::MAX_LEASES {
        let lease = world.lease("a");
        lose(&mut world, &lease);
        assert_eq!(world.waiting(), ["a"]);
    }
    let lease = world.lease("a");
    lose(&mut world, &lease);
    assert_eq!(world.ends(), ["a: failure (gone)"]);
    assert_eq!(world.state.conclusion(), Some(FAILURE));
}

#[test]
fn a_lost_runner_that_had_begun_fails_the_job_and_is_not_heard_again() {
    let mut world = World::new(&jobs(&[("a", "")]));
    let lease = world.lease("a");
    world.report("a", &lease, JobEvent::Started { machine: "host".to_owned() });
    lose(&mut world, &lease);
    let before = world.events.len();
    world.report("a", &lease, crate::world::finished(SUCCESS, &[]));
    assert_eq!(world.events.len(), before);
    assert_eq!(world.ends(), ["a: failure (gone)"]);
}

fn lose(world: &mut World, lease: &run::id::LeaseId) {
    let (job, lease, reason) = ("a".into(), lease.clone(), "gone".to_owned());
    world.append(EventKind::LeaseExpired { job, lease, reason });
}
