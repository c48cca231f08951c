//! Called workflows: inputs, outputs, results and secrets.

use run::lease::Cancel;
use run::secrets::secrets_of;
use run::status::Conclusion;
use workflow::expr::Value;
use workflow::plan::Selection;

use crate::world::{Files, World};

const SUCCESS: Conclusion = Conclusion::Success;

const CALLED: &str = "
on:
  workflow_call:
    inputs:
      name: {type: string, required: true}
      count: {type: number, default: 3}
    secrets:
      key: {required: false}
    outputs:
      word: {value: '${{ jobs.last.outputs.word }} ${{ inputs.name }}'}
env: {OWN: 1}
jobs:
  first:
    runs-on: linux
    steps: [{run: x}]
  last:
    needs: first
    runs-on: linux
    outputs: {word: x}
    steps: [{run: x}]
";

fn files() -> Files {
    Files(vec![("called.yml", CALLED.to_owned())])
}

fn world(jobs: &str) -> World {
    World::with(jobs, &files(), Selection::default())
}

const CALLER: &str = "
  call:
    strategy: {matrix: {v: [one, two]}}
    uses: ./.github/workflows/called.yml
    with: {name: '${{ matrix.v }}'}
    secrets: {key: 's-${{ secrets.TOP }}-${{ matrix.v }}'}
  after:
    needs: call
    runs-on: linux
    steps: [{run: x}]
";

#[test]
fn jobs_of_a_called_workflow_run_inside_of_their_caller() {
    let mut world = world(CALLER);
    assert_eq!(world.waiting(), ["call[0]/first", "call[1]/first"]);
    let spec = world.spec("call[1]/first");
    assert_eq!(spec.contexts.inputs.get("name"), Some(&Value::from("two")));
    assert_eq!(spec.contexts.inputs.get("count"), Some(&Value::from(3)));
    assert_eq!(spec.workflow_env.len(), 2);
    world.finish("call[0]/first", SUCCESS);
    world.finish("call[1]/first", SUCCESS);
    world.finish_with("call[0]/last", SUCCESS, &[("word", "hi")]);
    world.finish_with("call[1]/last", SUCCESS, &[("word", "ho")]);
    let needs = &world.spec("after").contexts.needs;
    assert_eq!(needs.at(&["call", "outputs", "word"]), Some(&Value::from("ho two")));
    world.finish("after", SUCCESS);
    assert_eq!(world.state.conclusion(), Some(SUCCESS));
}

#[test]
fn a_failure_inside_is_one_of_the_call() {
    let mut world = world(CALLER);
    let lease = world.lease("call[1]/first");
    world.finish("call[0]/first", Conclusion::Failure);
    assert_eq!(world.result("call[0]/last"), Some(Conclusion::Skipped));
    assert_eq!(world.result("call[0]"), Some(Conclusion::Failure));
    assert_eq!(world.cancelled("call[1]/first"), Some(Cancel::Graceful));
    world.report("call[1]/first", &lease, crate::world::finished(Conclusion::Cancelled, &[]));
    assert_eq!(world.result("call[1]"), Some(Conclusion::Cancelled));
    assert_eq!(world.result("after"), Some(Conclusion::Skipped));
    assert_eq!(world.state.conclusion(), Some(Conclusion::Failure));
}

#[test]
fn secrets_come_through_the_callers() {
    let secrets: Vec<(String, String)> =
        [("TOP", "t"), ("GITHUB_TOKEN", "g")].map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let check = |jobs: &str, job: &str, expected: &[(&str, &str)]| {
        let world = world(jobs);
        let got = secrets_of(&world.plan, &world.state, &job.into(), &secrets).expect("the secrets are good");
        let got: Vec<(&str, &str)> =
            got.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(got, expected, "{job}");
    };
    check(CALLER, "call[1]/first", &[("key", "s-t-two"), ("GITHUB_TOKEN", "g")]);
    let call = |secrets: &str| {
        format!("\n  call:\n    uses: ./.github/workflows/called.yml\n    with: {{name: x}}\n{secrets}")
    };
    check(&call("    secrets: inherit\n"), "call/first", &[("TOP", "t"), ("GITHUB_TOKEN", "g")]);
    check(&call(""), "call/first", &[("GITHUB_TOKEN", "g")]);
    check("\n  a: {runs-on: x, steps: [{run: x}]}", "a", &[("TOP", "t"), ("GITHUB_TOKEN", "g")]);
}

#[test]
fn a_workflow_out_of_reach_fails_its_caller() {
    let world = world("\n  call: {uses: a/b/.github/workflows/other.yml@v1}\n");
    let ends = world.ends();
    assert!(ends[0].contains("other.yml@v1 is not available here"), "{ends:?}");
    assert_eq!(world.state.conclusion(), Some(Conclusion::Failure));
}

#[test]
fn inputs_that_do_not_fit_fail_the_caller() {
    let jobs = "
  call:
    uses: ./.github/workflows/called.yml
    with: {name: x, count: \"${{ fromJSON('true') }}\"}
";
    let ends = world(jobs).ends();
    assert!(ends[0].ends_with("input 'count' must be a number, not 'true')"), "{ends:?}");
}
