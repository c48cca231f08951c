//! Runners that do anything at any time: every job ends once, a run ends once, nothing is lost or doubled.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures_util::FutureExt;
use proptest::prelude::{Just, ProptestConfig, Strategy, prop, prop_oneof, proptest};
use run::event::{Event, EventKind};
use run::id::RunId;
use run::lease::{Cancel, Lease};
use run::status::Conclusion;

use crate::world::{World, as_json, finished, job, log, request, watched};

/// One thing that a runner, a person or time does. Numbers choose among what there is.
#[derive(Clone, Debug)]
enum Act {
    Lease,
    Log { lease: usize },
    Repeat { lease: usize },
    Finish { lease: usize, conclusion: Conclusion },
    Silence,
    Cancel(Cancel),
}

fn act() -> impl Strategy<Value = Act> {
    let conclusion = prop_oneof![Just(Conclusion::Success), Just(Conclusion::Failure)];
    prop_oneof![
        4 => Just(Act::Lease),
        3 => (0..8_usize).prop_map(|lease| Act::Log { lease }),
        2 => (0..8_usize).prop_map(|lease| Act::Repeat { lease }),
        4 => (0..8_usize, conclusion).prop_map(|(lease, conclusion)| Act::Finish { lease, conclusion }),
        1 => Just(Act::Silence),
        1 => prop_oneof![Just(Act::Cancel(Cancel::Graceful)), Just(Act::Cancel(Cancel::Now))],
    ]
}

/// Runners with their leases, also those that are over, and what they have said under them.
#[derive(Default)]
struct Runners {
    leases: Vec<(Lease, u64)>,
    now: i64,
}

impl Runners {
    /// Asks for a job and has it, if one waits.
    async fn lease(&mut self, world: &World) {
        if world.store.waiting("owner").await.unwrap().is_empty() {
            assert!(world.control.lease(&request(&["linux"])).now_or_never().is_none());
            return;
        }
        self.leases.push((world.lease().await, 0));
    }

    /// Says something under a lease. Whether it is over, the control plane knows.
    async fn report(&mut self, world: &World, lease: usize, repeat: bool, end: Option<Conclusion>) {
        let count = self.leases.len();
        let Some((lease, said)) = (count > 0).then(|| &mut self.leases[lease % count]) else { return };
        let first = if repeat { 0 } else { *said };
        let mut events: Vec<_> =
            (first..=*said).map(|number| log(&format!("{} {number}\n", lease.id))).collect();
        events.extend(end.map(finished));
        let new = first + events.len() as u64;
        if world.control.report(&lease.id, first, events).await.is_ok() {
            *said = new;
        }
    }

    async fn act(&mut self, world: &World, run: &RunId, act: &Act) {
        match *act {
            Act::Lease => self.lease(world).await,
            Act::Log { lease } => self.report(world, lease, false, None).await,
            Act::Repeat { lease } => self.report(world, lease, true, None).await,
            Act::Finish { lease, conclusion } => self.report(world, lease, false, Some(conclusion)).await,
            Act::Silence => {
                self.now += 60_001;
                world.clock.set(self.now);
                while world.control.expire_one().await.unwrap() {}
            }
            Act::Cancel(cancel) => drop(world.control.cancel(run, cancel, "asked").await),
        }
    }
}

fn check_ends(events: &[Event]) {
    let mut ended = HashSet::new();
    let mut held = HashMap::new();
    for event in events {
        match &event.kind {
            EventKind::JobFinished { job, .. } => assert!(ended.insert(job.clone()), "{job} ended twice"),
            EventKind::JobLeased { job, lease, .. } => {
                assert!(held.insert(job.clone(), lease.clone()).is_none(), "{job} is held twice");
            }
            EventKind::LeaseExpired { job, .. } => drop(held.remove(job)),
            EventKind::Reported { job, lease, .. } => assert_eq!(held.get(job), Some(lease)),
            _ => {}
        }
    }
    assert_eq!(ended.len(), 5);
    let runs = events.iter().filter(|event| matches!(event.kind, EventKind::RunFinished { .. }));
    assert_eq!(runs.count(), 1);
    assert!(matches!(events.last().unwrap().kind, EventKind::RunFinished { .. }));
    let lines = crate::world::text(events);
    assert_eq!(lines.lines().count(), lines.lines().collect::<HashSet<_>>().len(), "a line is there twice");
}

async fn play(acts: &[Act]) {
    let world = World::with(|settings| settings.lease_duration = Some(Duration::from_secs(60))).await;
    let jobs = job("a", &[])
        + &job("b", &["strategy: {matrix: {n: [1, 2]}}"])
        + &job("c", &["needs: a"])
        + &job("d", &["needs: [b, c]", "if: always()"]);
    let run = world.submit(&jobs).await;
    let watch = world.control.watch(&run).await.unwrap();
    let mut runners = Runners::default();
    for act in acts {
        runners.act(&world, &run, act).await;
    }
    // Whatever is left is done by a runner that does as it should.
    while world.store.run(&run).await.unwrap().unwrap().conclusion.is_none() {
        for lease in 0..runners.leases.len() {
            runners.report(&world, lease, false, Some(Conclusion::Success)).await;
        }
        runners.lease(&world).await;
    }
    let events = world.events(&run).await;
    check_ends(&events);
    assert_eq!(as_json(&watched(watch).await), as_json(&events));
    assert_eq!(world.store.waiting("owner").await.unwrap(), []);
    assert_eq!(world.store.leases(&run).await.unwrap(), []);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_job_ends_once(acts in prop::collection::vec(act(), 0..40)) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(play(&acts));
    }
}
