//! A run under test: its plan, its events, and runners whose every word the test says.

use indexmap::IndexMap;
use run::decide::advance;
use run::event::{Event, EventKind, JobEvent};
use run::id::{JobId, LeaseId, RunId, RunnerId};
use run::job::{JobSpec, Resume};
use run::lease::Cancel;
use run::resume::take_over;
use run::state::{JobPhase, RunState};
use run::status::Conclusion;
use workflow::event::{Event as Trigger, Facts};
use workflow::expr::Value;
use workflow::plan::{Plan, Request, RunFacts, Selection, plan};
use workflow::read::{ReadOptions, parse};
use workflow::resolve::{Resolution, ResolveWorkflow, WorkflowReference};
use workflow::source::SourceFile;

/// Called workflows by their file name.
#[derive(Debug, Default)]
pub(crate) struct Files(pub(crate) Vec<(&'static str, String)>);

impl ResolveWorkflow for Files {
    fn resolve(&self, reference: &WorkflowReference) -> Resolution {
        let found = self.0.iter().find(|(name, _)| reference.path.ends_with(name));
        match found {
            Some((_, text)) => Resolution::Found(SourceFile::new(reference.path.as_str(), text.as_str())),
            None if reference.repository.is_some() => Resolution::Unknown,
            None => Resolution::Missing,
        }
    }
}

/// A run.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) state: RunState,
    pub(crate) events: Vec<Event>,
    leases: u32,
}

/// A plan of a workflow text; panics with the diagnostics of a bad one.
pub(crate) fn plan_of(text: &str, files: &Files, selection: Selection) -> Plan {
    let file = SourceFile::new("main.yml", text);
    let options = ReadOptions { resolver: files, ..ReadOptions::default() };
    let parsed = parse(&file, &options);
    assert!(!parsed.has_errors(), "{:?}\n{text}", parsed.diagnostics);
    let facts = Facts { repository: Some("octo/repo".to_owned()), ..Facts::default() };
    let request = Request {
        file: &file,
        workflow: parsed.value.expect("a workflow without errors"),
        event: Trigger::new("push", &Value::Null, &facts),
        inputs: Vec::new(),
        vars: [("REGION", "eu")].into_iter().collect::<workflow::expr::Object>().into(),
        env: vec![("EXTRA".to_owned(), "1".to_owned())],
        selection,
        run: RunFacts::default(),
    };
    plan(request, &options).expect("the plan is good")
}

impl World {
    /// A queued run of a workflow with these `jobs`.
    pub(crate) fn new(jobs: &str) -> Self {
        Self::with(jobs, &Files::default(), Selection::default())
    }

    /// A queued run of a workflow with these `jobs` that calls those of `files`.
    pub(crate) fn with(jobs: &str, files: &Files, selection: Selection) -> Self {
        let plan = plan_of(&format!("on: push\njobs:\n{jobs}"), files, selection);
        let mut world = Self { plan, state: RunState::default(), events: Vec::new(), leases: 0 };
        world.append(EventKind::RunQueued {
            workflow: "main".to_owned(),
            file: "main.yml".to_owned(),
            event: "push".to_owned(),
        });
        world
    }

    /// A run of the same plan that goes on from a step of this one.
    pub(crate) fn resumed(&self, resume: &Resume, attempts: u32) -> Self {
        let plan = self.plan.clone();
        let mut world = Self { plan, state: RunState::default(), events: Vec::new(), leases: 0 };
        let first = self.events[0].kind.clone();
        let taken_over = take_over(&self.plan, &RunId::from("run"), &self.events, resume, attempts);
        for kind in std::iter::once(first).chain(taken_over) {
            assert!(world.state.accepts(&kind), "{kind:?}");
            let event = Event { sequence: world.state.sequence() + 1, at: 0, kind };
            world.state.apply(&event);
            world.events.push(event);
        }
        world.events.extend(advance(&world.plan, &RunId::from("run"), &mut world.state, 0));
        world
    }

    /// Appends an event, as the control plane does, and what follows from it.
    pub(crate) fn append(&mut self, kind: EventKind) {
        if self.state.accepts(&kind) {
            let event = Event { sequence: self.state.sequence() + 1, at: 0, kind };
            self.state.apply(&event);
            self.events.push(event);
            self.events.extend(advance(&self.plan, &RunId::from("run"), &mut self.state, 0));
        }
    }

    /// Appends the events.
    pub(crate) fn extend(&mut self, kinds: impl IntoIterator<Item = EventKind>) {
        kinds.into_iter().for_each(|kind| self.append(kind));
    }

    /// The jobs that wait for a runner, in order.
    pub(crate) fn waiting(&self) -> Vec<String> {
        let queued = self.state.jobs().filter(|(_, job)| job.phase == JobPhase::Queued);
        queued.map(|(id, _)| id.0.clone()).collect()
    }

    /// A runner takes the job.
    pub(crate) fn lease(&mut self, job: &str) -> LeaseId {
        self.leases += 1;
        let lease = LeaseId(format!("lease-{}", self.leases));
        let runner = RunnerId::from("runner");
        self.append(EventKind::JobLeased { job: job.into(), lease: lease.clone(), runner });
        lease
    }

    /// The job's runner says something.
    pub(crate) fn report(&mut self, job: &str, lease: &LeaseId, event: JobEvent) {
        self.append(EventKind::Reported { job: job.into(), lease: lease.clone(), event });
    }

    /// A runner takes the job and is done with it.
    pub(crate) fn finish(&mut self, job: &str, conclusion: Conclusion) {
        self.finish_with(job, conclusion, &[]);
    }

    /// A runner takes the job and is done with it, with outputs.
    pub(crate) fn finish_with(&mut self, job: &str, conclusion: Conclusion, outputs: &[(&str, &str)]) {
        let held = match self.state.job(&job.into()).map(|job| &job.phase) {
            Some(JobPhase::Leased { lease, .. }) => lease.clone(),
            _ => self.lease(job),
        };
        self.report(job, &held, finished(conclusion, outputs));
    }

    /// Somebody asks to end the run.
    pub(crate) fn cancel(&mut self, cancel: Cancel) {
        self.append(EventKind::CancelRequested { job: None, cancel, reason: "asked to".to_owned() });
    }

    /// The last specification of a job that was queued.
    pub(crate) fn spec(&self, job: &str) -> &JobSpec {
        let specs = self.events.iter().rev().filter_map(|event| match &event.kind {
            EventKind::JobQueued { spec } => Some(&**spec),
            _ => None,
        });
        specs.into_iter().find(|spec| spec.job.0 == job).expect("the job was queued")
    }

    /// How each job ended, in order: `id: conclusion`, with the reason where there is one.
    pub(crate) fn ends(&self) -> Vec<String> {
        let end = |event: &Event| match &event.kind {
            EventKind::JobFinished { job, conclusion, reason, .. } => {
                let reason = reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
                Some(format!("{job}: {conclusion}{reason}"))
            }
            _ => None,
        };
        self.events.iter().filter_map(end).collect()
    }

    /// How the leg or job ended.
    pub(crate) fn result(&self, job: &str) -> Option<Conclusion> {
        match &self.state.job(&JobId::from(job))?.phase {
            JobPhase::Finished { conclusion, .. } => Some(*conclusion),
            _ => None,
        }
    }

    /// How hard the leg is to end.
    pub(crate) fn cancelled(&self, job: &str) -> Option<Cancel> {
        Some(self.state.job(&job.into())?.cancel.as_ref()?.cancel)
    }
}

pub(crate) fn finished(conclusion: Conclusion, outputs: &[(&str, &str)]) -> JobEvent {
    let outputs: IndexMap<String, String> =
        outputs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    JobEvent::Finished { conclusion, outputs, error: None, missing_capability: None }
}

/// `jobs` of one-step jobs, each a name and further keys in flow style, such as `needs: a`.
pub(crate) fn jobs(list: &[(&str, &str)]) -> String {
    let job = |(id, keys): &(&str, &str)| {
        let keys: String = keys.lines().map(|line| format!("    {line}\n")).collect();
        format!("  {id}:\n    runs-on: linux\n{keys}    steps: [{{run: x}}]\n")
    };
    list.iter().map(job).collect()
}
