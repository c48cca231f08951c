//! Runs that go on from a step of another one: what is taken over, what begins anew.

use run::event::EventKind;
use run::id::{CheckpointId, JobId};
use run::job::{Extent, Resume};
use run::resume::definition;
use run::status::Conclusion;
use workflow::plan::Selection;

use crate::world::{Files, World};

const SUCCESS: Conclusion = Conclusion::Success;
const FAILURE: Conclusion = Conclusion::Failure;

fn job(id: &str, more: &str) -> String {
    format!("  {id}:\n    runs-on: linux\n{more}    steps: [{{run: x}}]\n")
}

fn needs(need: &str) -> String {
    format!("    needs: {need}\n")
}

fn resume(job: &str, extent: Extent) -> Resume {
    Resume { job: job.into(), step: 0, checkpoint: CheckpointId::from("run.l.0"), extent }
}

/// The jobs that go on, and how those ended that do not, as `ID=CONCLUSION`.
fn check(world: &World, waiting: &[&str], ended: &[&str]) {
    assert_eq!(world.waiting(), waiting);
    let mut found: Vec<String> = world
        .events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::JobFinished { job, conclusion, .. } => Some(format!("{job}={conclusion}")),
            _ => None,
        })
        .collect();
    found.sort();
    assert_eq!(found, ended);
}

/// Lets every waiting job succeed until none waits.
fn run_all(world: &mut World) {
    while let Some(job) = world.waiting().first().cloned() {
        world.finish(&job, SUCCESS);
    }
}

#[test]
fn the_job_and_what_it_leads_to_run_again_with_what_was_before() {
    let jobs = [
        job("first", "    outputs: {word: x}\n"),
        job("middle", &needs("first")),
        job("last", &needs("middle")),
        job("beside", ""),
    ];
    let mut old = World::new(&jobs.concat());
    old.finish_with("first", SUCCESS, &[("word", "hello")]);
    old.finish("middle", FAILURE);
    old.finish("beside", FAILURE);
    let mut new = old.resumed(&resume("middle", Extent::Rest), 1);
    check(&new, &["middle"], &["beside=failure", "first=success"]);
    let needs = &new.spec("middle").contexts.needs;
    assert_eq!(needs.at(&["first", "outputs", "word"]).map(|word| word.to_text()), Some("hello".into()));
    assert_eq!(new.spec("middle").resume, Some(resume("middle", Extent::Rest)));
    new.finish("middle", SUCCESS);
    assert_eq!(new.waiting(), ["last"]);
    assert_eq!(new.spec("last").resume, None);
    new.finish("last", SUCCESS);
    assert_eq!(new.state.conclusion(), Some(FAILURE), "`beside` failed and is not run again");
}

#[test]
fn legs_beside_the_one_that_goes_on_are_as_they_ended_unless_they_were_cancelled() {
    let matrix = "    strategy: {matrix: {v: [1, 2, 3]}}\n";
    let mut old = World::new(&[job("test", matrix), job("after", &needs("test"))].concat());
    old.finish("test[2]", SUCCESS);
    old.finish("test[1]", FAILURE);
    let mut new = old.resumed(&resume("test[1]", Extent::Rest), 1);
    check(&new, &["test[0]", "test[1]"], &["test[2]=success"]);
    run_all(&mut new);
    assert_eq!(new.state.conclusion(), Some(SUCCESS));
}

#[test]
fn a_job_of_a_called_workflow_goes_on_inside_of_its_call() {
    let called = format!(
        "on: {{workflow_call: {{}}}}\njobs:\n{}{}{}",
        job("build", ""),
        job("upload", &needs("build")),
        job("notify", &needs("upload"))
    );
    let files = Files(vec![("called.yml", called)]);
    let jobs = format!(
        "  deploy:\n    uses: ./.github/workflows/called.yml\n{}{}",
        job("after", &needs("deploy")),
        job("beside", "")
    );
    let mut old = World::with(&jobs, &files, Selection::default());
    old.finish("deploy/build", SUCCESS);
    old.finish("deploy/upload", FAILURE);
    old.finish("beside", SUCCESS);
    assert_eq!(old.state.conclusion(), Some(FAILURE));
    assert!(definition(&old.plan, &JobId::from("deploy/upload")).is_some());
    assert!(definition(&old.plan, &JobId::from("deploy")).is_none());
    let mut new = old.resumed(&resume("deploy/upload", Extent::Rest), 1);
    check(&new, &["deploy/upload"], &["beside=success", "deploy/build=success"]);
    run_all(&mut new);
    assert_eq!(new.state.conclusion(), Some(SUCCESS));
    let tried = old.resumed(&resume("deploy/upload", Extent::Step), 2);
    let ended = ["after=skipped", "beside=success", "deploy/build=success", "deploy/notify=skipped"];
    check(&tried, &["deploy/upload[0]", "deploy/upload[1]"], &ended);
}

#[test]
fn attempts_of_a_step_run_beside_each_other_and_nothing_else_does() {
    let matrix = "    strategy: {matrix: {v: [1, 2]}}\n";
    let jobs = [job("before", ""), job("test", &(needs("before") + matrix)), job("after", &needs("test"))];
    let mut old = World::new(&jobs.concat());
    old.finish("before", SUCCESS);
    old.finish("test[0]", SUCCESS);
    old.finish("test[1]", FAILURE);
    let mut new = old.resumed(&resume("test[1]", Extent::Step), 3);
    let attempts = ["test[1][0]", "test[1][1]", "test[1][2]"];
    check(&new, &attempts, &["after=skipped", "before=success"]);
    for attempt in attempts {
        let spec = new.spec(attempt);
        assert_eq!(spec.resume, Some(resume("test[1]", Extent::Step)));
        assert_eq!(spec.contexts.matrix.at(&["v"]).map(|value| value.to_text()), Some("2".into()));
    }
    new.finish(attempts[0], FAILURE);
    assert_eq!(new.waiting(), attempts[1..], "a failed attempt does not cancel the others");
    run_all(&mut new);
    assert_eq!(new.state.conclusion(), Some(FAILURE));
}

#[test]
fn a_run_that_goes_on_can_be_gone_on_from() {
    let jobs = [job("first", ""), job("last", &needs("first"))].concat();
    let mut old = World::new(&jobs);
    old.finish("first", SUCCESS);
    old.finish("last", FAILURE);
    let mut again = old.resumed(&resume("last", Extent::Rest), 1);
    again.finish("last", FAILURE);
    let third = again.resumed(&resume("last", Extent::Rest), 1);
    check(&third, &["last"], &["first=success"]);
}

#[test]
fn jobs_that_the_workflow_has_no_more_are_forgotten() {
    let mut old = World::new(&[job("gone", ""), job("test", ""), job("same", "")].concat());
    old.finish("gone", FAILURE);
    old.finish("same", SUCCESS);
    old.finish("test", FAILURE);
    let mut new = World::new(&[job("test", ""), job("same", ""), job("new", "")].concat());
    new.events = old.events;
    let new = new.resumed(&resume("test", Extent::Rest), 1);
    check(&new, &["test", "new"], &["same=success"]);
}
