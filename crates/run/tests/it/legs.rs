//! Matrices, and concurrency groups.

use indexmap::IndexMap;
use run::lease::Cancel;
use run::status::Conclusion;
use workflow::plan::Selection;

use crate::world::{Files, World, jobs};

const SUCCESS: Conclusion = Conclusion::Success;
const FAILURE: Conclusion = Conclusion::Failure;

#[test]
fn a_matrix_may_come_from_outputs() {
    let matrix = "needs: a\nstrategy: {matrix: {v: '${{ fromJSON(needs.a.outputs.list) }}'}}";
    let mut world = World::new(&jobs(&[("a", ""), ("b", matrix)]));
    world.finish_with("a", SUCCESS, &[("list", r#"["x", {"y": 1}]"#)]);
    assert_eq!(world.waiting(), ["b[0]", "b[1]"]);
    assert_eq!(world.spec("b[0]").name, "b (x)");
    assert_eq!(world.spec("b[1]").name, "b (1)");
}

#[test]
fn a_literal_name_is_followed_by_the_leg() {
    let world = World::new(&jobs(&[("a", "name: Test\nstrategy: {matrix: {v: [1, true]}}")]));
    assert_eq!(world.spec("a[1]").name, "Test (true)");
}

#[test]
fn max_parallel_holds_legs_back() {
    let mut world = World::new(&jobs(&[("a", "strategy: {max-parallel: 2, matrix: {v: [1, 2, 3, 4]}}")]));
    assert_eq!(world.waiting(), ["a[0]", "a[1]"]);
    world.finish("a[1]", SUCCESS);
    assert_eq!(world.waiting(), ["a[0]", "a[2]"]);
    world.finish("a[0]", SUCCESS);
    world.finish("a[2]", SUCCESS);
    world.finish("a[3]", SUCCESS);
    assert_eq!(world.state.conclusion(), Some(SUCCESS));
}

#[test]
fn fail_fast_ends_the_other_legs() {
    let list = jobs(&[
        ("a", "strategy: {max-parallel: 2, matrix: {v: [1, 2, 3]}}"),
        ("b", "needs: a\nif: failure()"),
    ]);
    let mut world = World::new(&list);
    let lease = world.lease("a[1]");
    world.finish("a[0]", FAILURE);
    assert_eq!(world.cancelled("a[1]"), Some(Cancel::Graceful));
    assert_eq!(world.result("a[2]"), Some(Conclusion::Cancelled));
    world.report("a[1]", &lease, crate::world::finished(Conclusion::Cancelled, &[]));
    assert_eq!(world.waiting(), ["b"]);
    world.finish("b", SUCCESS);
    assert_eq!(world.state.conclusion(), Some(FAILURE));
}

#[test]
fn without_fail_fast_all_legs_run() {
    let mut world = World::new(&jobs(&[("a", "strategy: {fail-fast: false, matrix: {v: [1, 2]}}")]));
    world.finish("a[0]", FAILURE);
    assert_eq!(world.cancelled("a[1]"), None);
    world.finish("a[1]", SUCCESS);
    assert_eq!(world.ends(), ["a[0]: failure", "a[1]: success"]);
}

#[test]
fn outputs_of_legs_merge_and_the_last_one_wins() {
    let mut world = World::new(&jobs(&[("a", "strategy: {matrix: {v: [1, 2]}}"), ("b", "needs: a")]));
    world.finish_with("a[1]", SUCCESS, &[("x", "second"), ("only", "1")]);
    world.finish_with("a[0]", SUCCESS, &[("x", "first"), ("only", "")]);
    let needs = &world.spec("b").contexts.needs;
    assert_eq!(needs.at(&["a", "outputs", "x"]), Some(&"first".into()));
    assert_eq!(needs.at(&["a", "outputs", "only"]), Some(&"1".into()));
    assert_eq!(needs.at(&["a", "result"]), Some(&"success".into()));
}

#[test]
fn a_selection_keeps_legs_with_their_index() {
    let matrix = IndexMap::from([("v".to_owned(), vec!["2".to_owned()])]);
    let selection = Selection { jobs: Vec::new(), matrix };
    let list = jobs(&[("a", "strategy: {matrix: {v: [1, 2]}}"), ("b", "strategy: {matrix: {w: [1]}}")]);
    let world = World::with(&list, &Files::default(), selection);
    assert_eq!(world.waiting(), ["a[1]", "b[0]"]);
    assert_eq!(world.spec("a[1]").contexts.strategy.get("job-total"), Some(&2.into()));
}

#[test]
fn jobs_of_one_concurrency_group_run_one_after_the_other() {
    let group = "concurrency: {group: \"${{ github.ref }}\", queue: max}";
    let mut world = World::new(&jobs(&[("a", group), ("b", group), ("c", group), ("d", "")]));
    assert_eq!(world.waiting(), ["a", "d"]);
    world.finish("a", SUCCESS);
    assert_eq!(world.waiting(), ["b", "d"]);
    world.finish("b", FAILURE);
    world.finish("c", SUCCESS);
    world.finish("d", SUCCESS);
    assert_eq!(world.state.conclusion(), Some(FAILURE));
}

#[test]
fn a_newcomer_ends_the_one_that_waits() {
    let mut world =
        World::new(&jobs(&[("a", "concurrency: g"), ("b", "concurrency: G"), ("c", "concurrency: g")]));
    assert_eq!(world.waiting(), ["a"]);
    assert_eq!(world.result("b"), Some(Conclusion::Cancelled));
    world.finish("a", SUCCESS);
    world.finish("c", SUCCESS);
    assert_eq!(world.state.conclusion(), Some(Conclusion::Cancelled));
}

#[test]
fn a_newcomer_may_end_the_one_that_runs() {
    let mut world = World::new(&jobs(&[
        ("a", "concurrency: g"),
        ("b", "concurrency: {group: g, cancel-in-progress: true}"),
    ]));
    assert_eq!(world.result("a"), Some(Conclusion::Cancelled));
    world.finish("b", SUCCESS);
    assert_eq!(world.state.conclusion(), Some(Conclusion::Cancelled));
}
