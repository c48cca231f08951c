//! Random plans under random runners: whatever they do, in whatever order, every job ends once and the run ends last.

use std::collections::{HashMap, HashSet};

use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
use run::event::{EventKind, JobEvent};
use run::id::{JobId, LeaseId};
use run::lease::Cancel;
use run::state::{JobPhase, RunState};
use run::status::Conclusion;
use workflow::plan::Selection;

use crate::world::{Files, World, finished};

/// What somebody does to a run. Numbers choose among the jobs or leases that there are.
#[derive(Clone, Debug)]
enum Action {
    Lease(usize),
    Begin(usize),
    Finish(usize, Conclusion),
    Expire(usize),
    /// A report under any lease that there ever was, for any job.
    Late(usize, usize),
    /// All events come again.
    Replay,
    /// A new process reads the events.
    Restart,
    Cancel(Cancel),
}

fn conclusion() -> impl Strategy<Value = Conclusion> {
    prop_oneof![
        4 => Just(Conclusion::Success),
        2 => Just(Conclusion::Failure),
        1 => Just(Conclusion::Cancelled),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => any::<usize>().prop_map(Action::Lease),
        2 => any::<usize>().prop_map(Action::Begin),
        6 => (any::<usize>(), conclusion()).prop_map(|(job, end)| Action::Finish(job, end)),
        2 => any::<usize>().prop_map(Action::Expire),
        1 => (any::<usize>(), any::<usize>()).prop_map(|(job, lease)| Action::Late(job, lease)),
        1 => Just(Action::Replay),
        1 => Just(Action::Restart),
        1 => prop_oneof![3 => Just(Cancel::Graceful), 1 => Just(Cancel::Now)].prop_map(Action::Cancel),
    ]
}

/// The keys of one job; `needs` has one bit for each job before it.
#[derive(Clone, Debug)]
struct RandomJob {
    needs: u8,
    is_call: bool,
    condition: &'static str,
    strategy: &'static str,
    concurrency: &'static str,
    tolerant: bool,
}

fn one_of(texts: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    proptest::sample::select(texts)
}

fn job() -> impl Strategy<Value = RandomJob> {
    let condition = one_of(&[
        "",
        "",
        "",
        "if: always()",
        "if: failure()",
        "if: cancelled()",
        "if: '!cancelled()'",
        "if: false",
        "if: fromJSON('{')",
    ]);
    let strategy = one_of(&[
        "",
        "",
        "strategy: {matrix: {v: [1, 2, 3]}}",
        "strategy: {max-parallel: 1, fail-fast: false, matrix: {v: [1, 2, 3]}}",
        "strategy: {max-parallel: 2, matrix: {v: [1, 2, 3, 4]}}",
        "strategy: {matrix: {v: \"${{ fromJSON('[]') }}\"}}",
    ]);
    let concurrency = one_of(&[
        "",
        "",
        "concurrency: g",
        "concurrency: {group: g, queue: max}",
        "concurrency: {group: h, queue: max}",
        "concurrency: {group: g, cancel-in-progress: true}",
        "concurrency: 'v-${{ matrix.v }}'",
    ]);
    let keys = (any::<u8>(), proptest::bool::weighted(0.3), condition, strategy, concurrency, any::<bool>());
    keys.prop_map(|(needs, is_call, condition, strategy, concurrency, tolerant)| RandomJob {
        needs,
        is_call,
        condition,
        strategy,
        concurrency,
        tolerant,
    })
}

fn text_of(jobs: &[RandomJob]) -> String {
    let mut text = String::new();
    for (place, job) in jobs.iter().enumerate() {
        let needs: Vec<String> = (0..place)
            .filter(|other| job.needs & (1 << other) != 0)
            .map(|other| format!("j{other}"))
            .collect();
        text.push_str(&format!("  j{place}:\n    needs: [{}]\n", needs.join(", ")));
        for key in [job.condition, job.strategy, job.concurrency].iter().filter(|key| !key.is_empty()) {
            text.push_str(&format!("    {key}\n"));
        }
        if job.is_call {
            text.push_str("    uses: ./.github/workflows/called.yml\n");
        } else {
            text.push_str(&format!("    continue-on-error: {}\n    runs-on: x\n", job.tolerant));
            text.push_str("    steps: [{run: x}]\n");
        }
    }
    text
}

const CALLED: &str = "
on: workflow_call
jobs:
  first: {runs-on: x, concurrency: h, strategy: {matrix: {v: [1, 2]}}, steps: [{run: x}]}
  last: {needs: first, if: always(), runs-on: x, steps: [{run: x}]}
  skipped: {needs: first, if: failure(), runs-on: x, concurrency: g, steps: [{run: x}]}
";

fn act(world: &mut World, action: &Action, leases: &mut Vec<LeaseId>) {
    let queued = world.waiting();
    let held: Vec<(JobId, LeaseId)> =
        world.state.jobs().filter_map(|(id, job)| held_by(id, &job.phase)).collect();
    let choose = |number: usize| (!held.is_empty()).then(|| held[number % held.len()].clone());
    let report = |job, lease, event| EventKind::Reported { job, lease, event };
    match action {
        Action::Lease(number) if !queued.is_empty() => {
            leases.push(world.lease(&queued[number % queued.len()]));
        }
        Action::Begin(number) => {
            let started = JobEvent::Started { machine: "host".to_owned() };
            world.extend(choose(*number).map(|(job, lease)| report(job, lease, started)));
        }
        Action::Finish(number, end) => {
            world.extend(choose(*number).map(|(job, lease)| report(job, lease, finished(*end, &[]))));
        }
        Action::Expire(number) => {
            let reason = "gone".to_owned();
            world.extend(choose(*number).map(|(job, lease)| EventKind::LeaseExpired { job, lease, reason }));
        }
        Action::Late(job, lease) if !leases.is_empty() && world.state.jobs().len() > 0 => {
            let ids: Vec<JobId> = world.state.jobs().map(|(id, _)| id.clone()).collect();
            let (job, lease) = (ids[job % ids.len()].clone(), leases[lease % leases.len()].clone());
            let current = held.contains(&(job.clone(), lease.clone()));
            let before = world.events.len();
            world.append(report(job, lease, finished(Conclusion::Success, &[])));
            assert_eq!(world.events.len() > before, current, "only the holder is heard");
        }
        Action::Replay => {
            let before = world.state.clone();
            world.events.iter().for_each(|event| world.state.apply(event));
            assert_eq!(world.state, before, "events that come again change nothing");
        }
        Action::Restart => {
            let again = RunState::from_events(&world.events);
            assert_eq!(again, world.state, "the state is a fold of the events");
            world.state = again;
        }
        Action::Cancel(cancel) => world.cancel(*cancel),
        Action::Lease(_) | Action::Late(..) => {}
    }
}

fn held_by(id: &JobId, phase: &JobPhase) -> Option<(JobId, LeaseId)> {
    match phase {
        JobPhase::Leased { lease, .. } => Some((id.clone(), lease.clone())),
        _ => None,
    }
}

/// Good runners finish all that is left; panics when nobody can go on.
fn drain(world: &mut World, leases: &mut Vec<LeaseId>) {
    while world.state.conclusion().is_none() {
        let before = world.events.len();
        act(world, &Action::Finish(0, Conclusion::Success), leases);
        act(world, &Action::Lease(0), leases);
        assert!(world.events.len() > before, "the run is stuck: {:#?}", world.state);
    }
}

/// What must hold of the events of a run that is over, whatever happened.
fn check_history(world: &World) {
    let mut state = RunState::default();
    let mut legs: HashSet<JobId> = HashSet::new();
    let mut ends: HashMap<JobId, usize> = HashMap::new();
    let mut leases: HashSet<LeaseId> = HashSet::new();
    for (place, event) in world.events.iter().enumerate() {
        assert_eq!(event.sequence, place as u64 + 1, "events are numbered without gaps");
        assert!(state.accepts(&event.kind), "an event that changes nothing was appended: {event:?}");
        match &event.kind {
            EventKind::JobExpanded { group, legs: new, .. } => {
                check_needs(world, &state, group);
                legs.extend(new.iter().map(|leg| leg.job.clone()));
            }
            EventKind::JobQueued { spec } => {
                let cancelled = state.job(&spec.job).is_some_and(|job| job.cancel.is_some());
                assert!(!cancelled, "a job that is to end was queued");
            }
            EventKind::JobLeased { lease, .. } => {
                assert!(leases.insert(lease.clone()), "a lease is held twice")
            }
            EventKind::JobFinished { job, .. } => *ends.entry(job.clone()).or_default() += 1,
            EventKind::RunFinished { .. } => assert_eq!(place + 1, world.events.len(), "the run ends last"),
            _ => {}
        }
        state.apply(event);
        check_places(&state);
    }
    assert_eq!(state, world.state);
    assert!(state.conclusion().is_some(), "the run ends");
    assert!(ends.values().all(|count| *count == 1), "every job ends once");
    assert!(legs.iter().all(|leg| ends.contains_key(leg)), "every leg ends");
}

/// All that a job of the root needs is over before its legs are known.
fn check_needs(world: &World, state: &RunState, group: &JobId) {
    if let Some(job) = world.plan.root.workflow.job(&group.0) {
        for need in &job.needs {
            assert!(
                state.result(&need.value.as_str().into()).is_some(),
                "{group} starts before {}",
                need.value
            );
        }
    }
}

/// `max-parallel` and concurrency groups hold at every moment.
fn check_places(state: &RunState) {
    let mut holders: HashMap<String, Vec<&JobId>> = HashMap::new();
    let mut active: HashMap<String, u32> = HashMap::new();
    for (id, job) in state.jobs().filter(|(_, job)| job.phase.is_active()) {
        let group =
            id.0.rsplit_once('[').filter(|_| id.0.ends_with(']')).map_or(id.as_str(), |(group, _)| group);
        *active.entry(group.to_owned()).or_default() += 1;
        let is_call = matches!(job.phase, JobPhase::Open { .. });
        if let Some(concurrency) = job.concurrency.as_ref().filter(|_| !is_call) {
            holders.entry(concurrency.group.clone()).or_default().push(id);
        }
    }
    for (group, count) in active {
        let limit = state.group(&group.as_str().into()).and_then(|group| group.max_parallel);
        assert!(limit.is_none_or(|limit| count <= limit), "{group} has {count} legs at a time");
    }
    for (group, holders) in holders {
        assert!(holders.len() < 2, "the concurrency group {group} is held by {holders:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_job_ends_once_and_the_run_last(jobs in vec(job(), 1..7), actions in vec(action(), 0..60)) {
        let files = Files(vec![("called.yml", CALLED.to_owned())]);
        let mut world = World::with(&text_of(&jobs), &files, Selection::default());
        let mut leases = Vec::new();
        for action in &actions {
            act(&mut world, action, &mut leases);
        }
        drain(&mut world, &mut leases);
        check_history(&world);
    }
}
