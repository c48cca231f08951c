//! What people see of a run: a fold of its events, shared by everything that shows one.
//!
//! Bounded whatever the run prints: each step keeps its last lines only while it runs or when it failed.

use std::collections::VecDeque;

use indexmap::IndexMap;
use run::event::{Annotation, Event, EventKind, JobEvent, NetworkRefusal, Phase, Timestamp};
use run::id::{JobId, RunId};
use run::job::Resume;
use run::status::Conclusion;

use super::text::MAX_SHOWN_LINE;

/// How many last lines of a step are kept.
pub(crate) const TAIL_LINES: usize = 20;
/// How many annotations of a run are kept for the end; all are in the store.
const MAX_ANNOTATIONS: usize = 100;
/// How many refused destinations of a run are kept for the end; all are in the store.
const MAX_REFUSALS: usize = 100;
/// How much summary text of a run is kept for the end, in bytes.
const MAX_SUMMARY: usize = 256 * 1024;

/// A run as far as its events are known.
#[derive(Debug, Default)]
pub(crate) struct RunView {
    /// The workflow's name.
    pub(crate) workflow: String,
    /// Its file.
    pub(crate) file: String,
    /// The event's name.
    pub(crate) event: String,
    /// The time of the first event.
    pub(crate) started: Timestamp,
    /// The time of the last event.
    pub(crate) last: Timestamp,
    /// The jobs in the order in which they became known.
    pub(crate) jobs: IndexMap<JobId, JobView>,
    /// Annotations with their job and step.
    pub(crate) annotations: Vec<(JobId, u32, Annotation)>,
    /// How many annotations were not kept.
    pub(crate) annotations_left_out: usize,
    /// What networks refused, by job and step, with how often.
    pub(crate) refusals: Vec<(JobId, Option<u32>, NetworkRefusal)>,
    /// How often destinations were refused that were not kept.
    pub(crate) refusals_left_out: u64,
    /// Markdown of the summary with its job.
    pub(crate) summaries: Vec<(JobId, String)>,
    /// Where it goes on from, and of which run.
    pub(crate) resumed: Option<(Resume, RunId)>,
    /// The end.
    pub(crate) finished: Option<(Conclusion, Option<String>)>,
    /// Whether other runs are shown beside it.
    has_company: bool,
}

/// A job.
#[derive(Debug)]
pub(crate) struct JobView {
    /// As people see it, unlike that of every other job on the screen.
    pub(crate) name: String,
    /// How far it is.
    pub(crate) state: JobState,
    /// Its steps in the order in which they began, one for each phase.
    pub(crate) steps: Vec<StepView>,
}

/// How far a job is.
#[derive(Debug)]
pub(crate) enum JobState {
    /// For other jobs or a runner.
    Waiting,
    /// On this kind of machine.
    Running {
        /// Since when.
        since: Timestamp,
        /// The backend.
        machine: String,
    },
    /// Over.
    Finished {
        /// Since when; none where it never started.
        since: Option<Timestamp>,
        /// Until when.
        until: Timestamp,
        /// How.
        conclusion: Conclusion,
        /// Whether it failed and that does not count.
        tolerated: bool,
        /// Why, where no step says so.
        reason: Option<String>,
    },
}

/// One phase of a step.
#[derive(Debug)]
pub(crate) struct StepView {
    /// Its index among the job's steps.
    pub(crate) index: u32,
    /// Which phase.
    pub(crate) phase: Phase,
    /// Its id.
    pub(crate) id: String,
    /// As people see it, the phase included.
    pub(crate) name: String,
    /// How far it is.
    pub(crate) state: StepState,
    /// The open group's title.
    pub(crate) group: Option<String>,
    /// The last lines, as they came.
    pub(crate) tail: VecDeque<String>,
    /// Which attempt it is, from 1.
    pub(crate) attempt: u32,
    /// Whether what it did was undone, to try it again.
    pub(crate) rolled_back: bool,
}

/// How far a step is.
#[derive(Debug)]
pub(crate) enum StepState {
    /// Since this time.
    Running(Timestamp),
    /// Over.
    Finished {
        /// Since when.
        since: Timestamp,
        /// Until when.
        until: Timestamp,
        /// Before `continue-on-error`.
        outcome: Conclusion,
        /// After it.
        conclusion: Conclusion,
        /// The runner's words.
        error: Option<String>,
    },
}

impl RunView {
    /// That many runs that are shown together.
    pub(crate) fn several(count: usize) -> Vec<Self> {
        let view = |_| Self { has_company: count > 1, ..Self::default() };
        (0..count).map(view).collect()
    }

    /// Takes one event.
    pub(crate) fn apply(&mut self, event: &Event) {
        self.last = event.at;
        if self.started == 0 {
            self.started = event.at;
        }
        match &event.kind {
            EventKind::RunQueued { workflow, file, event } => {
                self.workflow.clone_from(workflow);
                self.file.clone_from(file);
                self.event.clone_from(event);
            }
            EventKind::RunResumed { resume, from } => self.resumed = Some((resume.clone(), from.clone())),
            EventKind::JobExpanded { legs, .. } => {
                for leg in legs {
                    self.rename(&leg.job, &leg.name);
                }
            }
            EventKind::JobQueued { spec } => {
                self.rename(&spec.job, &spec.name);
                self.job(&spec.job).state = JobState::Waiting;
            }
            EventKind::Reported { job, event: reported, .. } => self.report(job, reported, event.at),
            EventKind::JobFinished { job, name, conclusion, tolerated, reason, .. } => {
                self.rename(job, name);
                let job = self.job(job);
                let since = job.since();
                job.state = JobState::Finished {
                    since,
                    until: event.at,
                    conclusion: *conclusion,
                    tolerated: *tolerated,
                    reason: reason.clone(),
                };
            }
            EventKind::RunFinished { conclusion, reason } => {
                self.finished = Some((*conclusion, reason.clone()))
            }
            EventKind::CallOpened { .. }
            | EventKind::JobPending { .. }
            | EventKind::JobLeased { .. }
            | EventKind::LeaseExpired { .. }
            | EventKind::CancelRequested { .. } => {}
        }
    }

    /// The job's name as people see it; its id before the name is known.
    pub(crate) fn name<'a>(&'a self, job: &'a JobId) -> &'a str {
        self.jobs.get(job).map_or(job.as_str(), |job| &job.name)
    }

    /// The name of a step as people see it.
    pub(crate) fn step_name(&self, job: &JobId, index: u32) -> &str {
        let step = self.jobs.get(job).and_then(|job| job.step(index));
        step.map_or("a step", |step| &step.name)
    }

    /// Whether a refusal that was just taken in was the first of its destination in its step, and is kept.
    pub(crate) fn is_first_refusal(&self, job: &JobId, step: Option<u32>, refusal: &NetworkRefusal) -> bool {
        self.refusals.iter().any(|known| (&known.0, known.1, &known.2) == (job, step, refusal))
    }

    fn refused(&mut self, job: &JobId, step: Option<u32>, refusal: &NetworkRefusal) {
        let has_room = self.refusals.len() < MAX_REFUSALS;
        let known = self.refusals.iter_mut().find(|(known, of, other)| {
            let other = NetworkRefusal { count: refusal.count, ..other.clone() };
            known == job && *of == step && other == *refusal
        });
        match known {
            Some((_, _, known)) => known.count = known.count.saturating_add(refusal.count),
            None if has_room => {
                self.refusals.push((job.clone(), step, refusal.clone()));
            }
            None => self.refusals_left_out = self.refusals_left_out.saturating_add(refusal.count),
        }
    }

    /// A job of a called workflow has the names of its callers before its own, as GitHub shows it; where several runs
    /// are shown, all have their workflow's.
    fn rename(&mut self, id: &JobId, name: &str) {
        let name = match id.caller() {
            Some(caller) => format!("{} / {name}", self.name(&caller)),
            None if self.has_company => format!("{} / {name}", self.workflow),
            None => name.to_owned(),
        };
        self.job(id).name = name;
    }

    fn job(&mut self, id: &JobId) -> &mut JobView {
        if !self.jobs.contains_key(id) {
            let view = JobView { name: id.0.clone(), state: JobState::Waiting, steps: Vec::new() };
            self.jobs.insert(id.clone(), view);
        }
        self.jobs.get_mut(id).expect("the job was just inserted")
    }

    fn report(&mut self, id: &JobId, event: &JobEvent, at: Timestamp) {
        match event {
            JobEvent::Annotation { step, annotation } => {
                if self.annotations.len() < MAX_ANNOTATIONS {
                    self.annotations.push((id.clone(), *step, annotation.clone()));
                } else {
                    self.annotations_left_out += 1;
                }
            }
            JobEvent::NetworkRefused { step, refusal } => self.refused(id, *step, refusal),
            JobEvent::Summary { markdown, .. } => {
                let kept: usize = self.summaries.iter().map(|(_, text)| text.len()).sum();
                if kept + markdown.len() <= MAX_SUMMARY {
                    self.summaries.push((id.clone(), markdown.clone()));
                }
            }
            _ => self.job(id).report(event, at),
        }
    }
}

impl JobView {
    /// When the job started.
    pub(crate) fn since(&self) -> Option<Timestamp> {
        match &self.state {
            JobState::Running { since, .. } => Some(*since),
            JobState::Finished { since, .. } => *since,
            JobState::Waiting => None,
        }
    }

    /// The phase of a step that runs now, or its last one.
    pub(crate) fn step(&self, index: u32) -> Option<&StepView> {
        self.steps.iter().rev().find(|step| step.index == index)
    }

    fn report(&mut self, event: &JobEvent, at: Timestamp) {
        match event {
            JobEvent::Started { machine } => {
                // A job that is tried again begins anew.
                self.steps.clear();
                self.state = JobState::Running { since: at, machine: machine.clone() };
            }
            JobEvent::StepStarted { step, id, name, phase } => {
                let undone = self.steps.iter().filter(|view| view.index == *step && view.rolled_back).count();
                let mut view = StepView::new(*step, *phase, id, name, StepState::Running(at));
                view.attempt += u32::try_from(undone).unwrap_or(u32::MAX - 1);
                self.steps.push(view);
            }
            JobEvent::RolledBack { step, .. } => {
                let last = self.steps.iter_mut().rev().find(|view| view.index == *step);
                last.into_iter().for_each(|view| view.rolled_back = true);
            }
            JobEvent::Log { step: Some(step), text } => {
                if let Some(step) = self.running(*step) {
                    step.keep(text);
                }
            }
            JobEvent::GroupStarted { step, title } => {
                if let Some(step) = self.running(*step) {
                    step.group = Some(title.clone());
                }
            }
            JobEvent::GroupEnded { step } => {
                if let Some(step) = self.running(*step) {
                    step.group = None;
                }
            }
            JobEvent::StepFinished { step, id, name, phase, outcome, conclusion, error, .. } => {
                let is_it =
                    |view: &StepView| view.index == *step && view.phase == *phase && !view.rolled_back;
                let found = self.steps.iter().rposition(is_it);
                let place = found.unwrap_or_else(|| {
                    self.steps.push(StepView::new(*step, *phase, id, name, StepState::Running(at)));
                    self.steps.len() - 1
                });
                self.steps[place].finish(name, at, *outcome, *conclusion, error.clone());
            }
            JobEvent::Log { step: None, .. }
            | JobEvent::Annotation { .. }
            | JobEvent::NetworkRefused { .. }
            | JobEvent::Summary { .. }
            | JobEvent::Resumed { .. }
            | JobEvent::CheckpointKept { .. }
            | JobEvent::CheckpointDropped { .. }
            | JobEvent::Finished { .. } => {}
        }
    }

    fn running(&mut self, index: u32) -> Option<&mut StepView> {
        self.steps.iter_mut().rev().find(|step| step.index == index && step.is_running())
    }
}

impl StepView {
    fn new(index: u32, phase: Phase, id: &str, name: &str, state: StepState) -> Self {
        Self {
            index,
            phase,
            id: id.to_owned(),
            name: name.to_owned(),
            state,
            group: None,
            tail: VecDeque::new(),
            attempt: 1,
            rolled_back: false,
        }
    }

    /// Whether it runs now.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.state, StepState::Running(_))
    }

    /// Keeps the last lines of `text`.
    fn keep(&mut self, text: &str) {
        let lines: Vec<&str> = text.trim_end_matches('\n').rsplit('\n').take(TAIL_LINES).collect();
        for line in lines.into_iter().rev() {
            if self.tail.len() == TAIL_LINES {
                self.tail.pop_front();
            }
            let end = (0..=line.len().min(MAX_SHOWN_LINE)).rev().find(|end| line.is_char_boundary(*end));
            self.tail.push_back(line[..end.unwrap_or_default()].to_owned());
        }
    }

    fn finish(
        &mut self,
        name: &str,
        until: Timestamp,
        outcome: Conclusion,
        conclusion: Conclusion,
        error: Option<String>,
    ) {
        let since = match self.state {
            StepState::Running(since) | StepState::Finished { since, .. } => since,
        };
        name.clone_into(&mut self.name);
        self.group = None;
        self.state = StepState::Finished { since, until, outcome, conclusion, error };
        if outcome != Conclusion::Failure {
            self.tail = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{RunView, StepState, TAIL_LINES};
    use crate::render::tests::{Script, folded};
    use run::status::Conclusion;

    #[test]
    fn a_failed_step_keeps_its_last_lines() {
        let lines: String = (0..50).map(|line| format!("line {line}\n")).collect();
        let view =
            folded(Script::new().job("a").step(0, "first").log(0, &lines).step_ends(0, Conclusion::Failure));
        let step = view.jobs[0].step(0).expect("the step ran");
        assert_eq!(step.tail.len(), TAIL_LINES);
        assert_eq!(step.tail.back().map(String::as_str), Some("line 49"));
        assert!(matches!(step.state, StepState::Finished { outcome: Conclusion::Failure, .. }));
    }

    #[test]
    fn a_successful_step_keeps_nothing() {
        let view = folded(
            Script::new().job("a").step(0, "first").log(0, "text\n").step_ends(0, Conclusion::Success),
        );
        assert!(view.jobs[0].step(0).expect("the step ran").tail.is_empty());
    }

    #[test]
    fn a_called_job_has_its_callers_name_before_its_own() {
        let view = folded(Script::new().job("call[0]").job("call[0]/in"));
        assert_eq!(view.name(&"call[0]/in".into()), "Job call[0] / Job call[0]/in");
    }

    #[test]
    fn jobs_of_several_runs_have_their_workflows_name() {
        let [mut view, _other] = <[_; 2]>::try_from(RunView::several(2)).expect("there are two");
        Script::new().queued().job("a").events().iter().for_each(|event| view.apply(event));
        assert_eq!(view.name(&"a".into()), "CI / Job a");
    }

    #[test]
    fn a_step_that_is_tried_again_is_another_attempt() {
        let view = folded(
            Script::new()
                .job("a")
                .step(0, "first")
                .step_ends(0, Conclusion::Failure)
                .rolled_back(0, 2)
                .step(0, "first")
                .step_ends(0, Conclusion::Success),
        );
        let attempts: Vec<_> =
            view.jobs[0].steps.iter().map(|step| (step.attempt, step.rolled_back)).collect();
        assert_eq!(attempts, [(1, true), (2, false)]);
        let ends = |step: &super::StepView| match step.state {
            StepState::Finished { outcome, .. } => outcome,
            StepState::Running(_) => panic!("the step has ended"),
        };
        assert_eq!(ends(&view.jobs[0].steps[0]), Conclusion::Failure);
        assert_eq!(ends(&view.jobs[0].steps[1]), Conclusion::Success);
    }

    #[test]
    fn a_skipped_step_is_known_by_its_end() {
        let view = folded(Script::new().job("a").step_ends(3, Conclusion::Skipped));
        assert_eq!(view.jobs[0].step(3).expect("the step is known").name, "step 3");
    }
}
