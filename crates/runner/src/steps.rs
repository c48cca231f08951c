//! The steps of a job in their order: pre, main, post.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use indexmap::IndexMap;
use run::event::{JobEvent, Phase};
use run::status::Conclusion;
use workflow::expr::{Contexts, JobStatus};
use workflow::model::{ActionRuns, Step, StepKind};
use workflow::template::TokenKind;

use crate::action::{run_phase, with_pre};
use crate::background::{Background, Work};
use crate::cancel::Stop;
use crate::checkpoint::{Begin, Boundary};
use crate::context::StepsContext;
use crate::environment::Globals;
use crate::job::{Fatal, Job, Post};
use crate::refusals;
use crate::step::{self, End, Frame, Ready};

/// What is going on in a job.
pub(crate) struct Progress {
    pub(crate) job: Arc<Job>,
    pub(crate) steps: StepsContext,
    /// The names of the steps that have begun, for their posts.
    names: Vec<(u32, String)>,
    /// Whether only one step runs.
    is_single: bool,
}

/// How the steps of a job came to their end.
#[derive(Debug)]
pub(crate) enum Ending {
    /// All that had to run has run. The contexts are those for the job's outputs.
    Ended(Box<Contexts>),
    /// A step failed and is tried again from where it began, in another machine.
    RollBack(Boundary),
}

/// Whether the steps go on after one.
enum Next {
    GoOn,
    RollBack(Boundary),
}

/// Runs all steps from where the job begins.
pub(crate) async fn run(job: &Arc<Job>, globals: &mut Globals, begin: &Begin) -> Result<Ending, Fatal> {
    let (steps, names) = match begin.boundary() {
        Some(boundary) => (StepsContext::of(&boundary.state.steps), boundary.state.names.clone()),
        None => (StepsContext::default(), Vec::new()),
    };
    let mut progress = Progress { job: Arc::clone(job), steps, names, is_single: begin.is_single() };
    let mut background = Background::default();
    let result = refusals::telling(job, progress.run_all(globals, &mut background, begin)).await;
    background.end().await;
    if let Next::RollBack(boundary) = result? {
        return Ok(Ending::RollBack(boundary));
    }
    let mut contexts = job.contexts.clone();
    contexts.set("steps", progress.steps.value());
    contexts.set("job", job.job_context());
    contexts.set("env", globals.context(&IndexMap::new()));
    Ok(Ending::Ended(Box::new(contexts)))
}

impl Progress {
    async fn run_all(
        &mut self,
        globals: &mut Globals,
        background: &mut Background,
        begin: &Begin,
    ) -> Result<Next, Fatal> {
        let job = Arc::clone(&self.job);
        let steps = || (0..).zip(&job.spec.definition.steps);
        for (index, step) in steps().filter(|(index, step)| begin.has_pre_to_run(*index, step)) {
            self.run_pre(index, step, globals).await?;
        }
        let mut known = begin.boundary().cloned();
        for (index, step) in steps().skip(begin.step() as usize) {
            if self.is_over() {
                break;
            }
            match &step.kind {
                StepKind::Wait { .. } | StepKind::WaitAll | StepKind::Cancel { .. } => {
                    background.control(self, index, step, globals).await?;
                }
                StepKind::Run { .. } | StepKind::Uses { .. } => {
                    let next = self.run_main(index, step, globals, background, known.take());
                    if let next @ Next::RollBack(_) = next.await? {
                        return Ok(next);
                    }
                }
            }
            if begin.is_single() {
                return Ok(Next::GoOn);
            }
        }
        background.finish(self, globals).await?;
        self.run_posts(globals).await?;
        Ok(Next::GoOn)
    }

    /// The names of the steps that have begun.
    pub(crate) fn names(&self) -> &[(u32, String)] {
        &self.names
    }

    fn is_over(&self) -> bool {
        *self.job.stop.borrow() == Stop::Now
    }

    /// Runs the main part of a step; `known` is what was kept before it where it is tried anew.
    async fn run_main(
        &mut self,
        index: u32,
        step: &Step,
        globals: &mut Globals,
        background: &mut Background,
        known: Option<Boundary>,
    ) -> Result<Next, Fatal> {
        let job = Arc::clone(&self.job);
        let frame = Frame::top(&job, index);
        let prepared = step::prepare(&job, step, &frame, self.steps.value(), job.status(), globals).await;
        let (name, holds) = match &prepared {
            Ok(ready) => {
                let name = step::name(&job, step, &ready.contexts).await;
                (name, step::condition(&job, step, ready, job.status()).await)
            }
            Err(error) => (step::name(&job, step, &frame.contexts).await, Err(error.clone())),
        };
        let shown = Shown { step: index, id: step.id.clone(), name: name.clone(), phase: Phase::Main };
        if matches!(holds, Ok(false)) {
            // What is skipped does not begin: its end alone is told.
            self.names.push((index, name));
            let end = End::new(Conclusion::Skipped);
            return self.ended(step, shown, end, Conclusion::Skipped).await.map(|()| Next::GoOn);
        }
        let is_alone = !is_background(step) && background.is_idle();
        let boundary = match known {
            // What another job kept is kept again, so that this one can be gone on from as well.
            Some(known) if known.is_own || !self.keeps() => Some(known),
            known if is_alone => self.keep(index, globals).await?.or(known),
            known => known,
        };
        self.names.push((index, name));
        let result = match (prepared, holds) {
            (Ok(ready), Ok(_)) if is_background(step) && !self.is_single => {
                let work = Work { job, step: step.clone(), frame, ready, shown };
                background.start(work, globals.fork());
                return Ok(Next::GoOn);
            }
            (Ok(ready), Ok(_)) => {
                shown.started(&job).await?;
                run_timed(&job, step, frame, &ready, &shown, globals).await
            }
            (Err(error), _) | (_, Err(error)) => {
                shown.started(&job).await?;
                Ok((End::failed(error), Conclusion::Failure))
            }
        };
        self.conclude_main(step, shown, result, boundary).await
    }

    /// Takes in how the main part of a step ended, reports it, and says whether it is tried again.
    async fn conclude_main(
        &mut self,
        step: &Step,
        shown: Shown,
        result: Result<(End, Conclusion), Fatal>,
        boundary: Option<Boundary>,
    ) -> Result<Next, Fatal> {
        let retry = |boundary: &Boundary| {
            Next::RollBack(Boundary { attempt: boundary.attempt + 1, ..boundary.clone() })
        };
        let (end, conclusion) = match (result, &boundary) {
            (Ok(ended), _) => ended,
            // That the step failed is said already.
            (Err(Fatal::Machine(_)), Some(boundary)) if self.may_retry(boundary) => {
                return Ok(retry(boundary));
            }
            (Err(fatal), _) => return Err(fatal),
        };
        let outcome = end.outcome;
        self.ended(step, shown, end, conclusion).await?;
        let Some(boundary) = boundary else { return Ok(Next::GoOn) };
        if conclusion == Conclusion::Failure && self.may_retry(&boundary) {
            return Ok(retry(&boundary));
        }
        self.settle(boundary, outcome).await?;
        Ok(Next::GoOn)
    }

    /// Takes in how the main part of a step ended, and reports it.
    pub(crate) async fn ended(
        &mut self,
        step: &Step,
        shown: Shown,
        end: End,
        conclusion: Conclusion,
    ) -> Result<(), Fatal> {
        self.count(step, &end, conclusion);
        shown.finished(&self.job, end, conclusion).await
    }

    /// Takes in how the main part of a step ended.
    pub(crate) fn count(&mut self, step: &Step, end: &End, conclusion: Conclusion) {
        if !step.generated_id {
            self.steps.set(&step.id, &end.outputs, end.outcome, conclusion);
        }
        if self.is_single {
            // A job of which only one step runs ends as that step does, whatever came before it.
            self.job.failed.store(conclusion == Conclusion::Failure, Ordering::Relaxed);
        } else if conclusion == Conclusion::Failure {
            self.job.fail();
        }
    }

    /// Runs the `pre` of a step's action, where it has one.
    async fn run_pre(&mut self, index: u32, step: &Step, globals: &mut Globals) -> Result<(), Fatal> {
        let job = Arc::clone(&self.job);
        let StepKind::Uses { with, .. } = &step.kind else { return Ok(()) };
        let Some(loaded) = with_pre(&job, step, &job.contexts, 0) else { return Ok(()) };
        if self.is_over() {
            return Ok(());
        }
        let mut step = step.clone();
        step.condition = match &loaded.action.runs {
            ActionRuns::Node { pre_if, .. } => pre_if.clone(),
            _ => step::always(),
        };
        let frame = Frame::top(&job, index);
        let prepared = step::prepare(&job, &step, &frame, self.steps.value(), job.status(), globals).await;
        let contexts = prepared.as_ref().map_or(&frame.contexts, |ready| &ready.contexts);
        let name = step::name(&job, &step, contexts).await;
        self.names.push((index, name.clone()));
        let name = format!("Pre {name}");
        let shown = Shown { step: index, id: step.id.clone(), name, phase: Phase::Pre };
        shown.started(&job).await?;
        let end = match prepared {
            Ok(ready) => match step::condition(&job, &step, &ready, job.status()).await {
                Ok(true) => {
                    let phase =
                        run_phase(&job, &step, &loaded, with.as_ref(), &frame, &ready, Phase::Pre, globals);
                    shown.unless_lost(&job, phase.await).await?
                }
                Ok(false) => End::new(Conclusion::Skipped),
                Err(error) => End::failed(error),
            },
            Err(error) => End::failed(error),
        };
        self.phase_ended(shown, end).await
    }

    async fn phase_ended(&mut self, shown: Shown, end: End) -> Result<(), Fatal> {
        if end.outcome == Conclusion::Failure {
            self.job.fail();
        }
        let conclusion = end.outcome;
        shown.finished(&self.job, End { outputs: IndexMap::new(), ..end }, conclusion).await
    }

    /// Runs the posts of the actions that have begun, the last first; those of one top-level step are one phase.
    async fn run_posts(&mut self, globals: &mut Globals) -> Result<(), Fatal> {
        let mut posts = std::mem::take(&mut *self.job.posts.lock().unwrap_or_else(PoisonError::into_inner));
        while let Some(last) = posts.last() {
            if self.is_over() {
                break;
            }
            let top = last.frame.step;
            let (group, others): (Vec<Post>, Vec<Post>) =
                posts.into_iter().partition(|post| post.frame.step == top);
            posts = others;
            self.run_post_group(top, group, globals).await?;
        }
        Ok(())
    }

    async fn run_post_group(
        &mut self,
        top: u32,
        group: Vec<Post>,
        globals: &mut Globals,
    ) -> Result<(), Fatal> {
        let job = Arc::clone(&self.job);
        let name =
            self.names.iter().rev().find(|(step, _)| *step == top).map_or("", |(_, name)| name.as_str());
        let id = job.spec.definition.steps[top as usize].id.clone();
        let shown = Shown { step: top, id, name: format!("Post {name}"), phase: Phase::Post };
        shown.started(&job).await?;
        let mut all = End::new(Conclusion::Skipped);
        for post in group.into_iter().rev() {
            let end = shown.unless_lost(&job, self.run_post(&post, globals).await).await?;
            match (all.outcome, end.outcome) {
                (_, Conclusion::Failure | Conclusion::Cancelled) => all = end,
                (Conclusion::Skipped, Conclusion::Success) => all.outcome = Conclusion::Success,
                _ => {}
            }
        }
        self.phase_ended(shown, all).await
    }

    async fn run_post(&mut self, post: &Post, globals: &mut Globals) -> Result<End, Fatal> {
        let job = Arc::clone(&self.job);
        let steps = if post.frame.depth == 0 { self.steps.value() } else { post.steps.clone() };
        let ready = match step::prepare(&job, &post.step, &post.frame, steps, job.status(), globals).await {
            Ok(ready) => ready,
            Err(error) => return Ok(End::failed(error)),
        };
        let StepKind::Uses { with, .. } = &post.step.kind else { return Ok(End::new(Conclusion::Skipped)) };
        match step::condition(&job, &post.step, &ready, job.status()).await {
            Ok(true) => {
                let mut frame = post.frame.clone();
                frame.stop.deadline = None;
                run_phase(&job, &post.step, &post.loaded, with.as_ref(), &frame, &ready, Phase::Post, globals)
                    .await
            }
            Ok(false) => Ok(End::new(Conclusion::Skipped)),
            Err(error) => Ok(End::failed(error)),
        }
    }
}

fn is_background(step: &Step) -> bool {
    step.background.as_ref().is_some_and(|token| matches!(token.kind, TokenKind::Bool(true)))
}

/// Runs the main part of a step within its time, and what counts of it.
pub(crate) async fn run_timed(
    job: &Arc<Job>,
    step: &Step,
    mut frame: Frame,
    ready: &Ready,
    shown: &Shown,
    globals: &mut Globals,
) -> Result<(End, Conclusion), Fatal> {
    let minutes = step::limit_time(job, step, ready, &mut frame).await?;
    let executed = step::execute(job, step, &frame, ready, globals).await;
    let mut end = shown.unless_lost(job, executed).await?;
    if let Some(minutes) = minutes.filter(|_| end.timed_out) {
        let name = &shown.name;
        end.error = Some(format!("The action '{name}' has timed out after {minutes} minutes."));
    }
    if job.status() == JobStatus::Cancelled && end.outcome == Conclusion::Cancelled {
        end.error.get_or_insert_with(|| "The operation was canceled.".to_owned());
    }
    let conclusion = step::conclude(job, step, &frame, ready, &end).await?;
    Ok((end, conclusion))
}

/// A phase of a top-level step, as events name it.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) step: u32,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) phase: Phase,
}

impl Shown {
    pub(crate) async fn started(&self, job: &Job) -> Result<(), Fatal> {
        let Self { step, id, name, phase } = self.clone();
        refusals::tell_rest(job).await?;
        *job.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(step);
        Ok(job.sink.send(JobEvent::StepStarted { step, id, name, phase }).await?)
    }

    /// Reports the phase as failed where the machine was lost in it, before the job ends for that.
    async fn unless_lost(&self, job: &Job, result: Result<End, Fatal>) -> Result<End, Fatal> {
        if let Err(Fatal::Machine(reason)) = &result {
            job.fail();
            self.clone().finished(job, End::failed(reason.clone()), Conclusion::Failure).await?;
        }
        result
    }

    pub(crate) async fn finished(self, job: &Job, end: End, conclusion: Conclusion) -> Result<(), Fatal> {
        let Self { step, id, name, phase } = self;
        let mask = |text: String| job.masker.mask(&text);
        let outputs = end.outputs.into_iter().map(|(name, value)| (mask(name), mask(value))).collect();
        let error = end.error.map(mask).filter(|_| end.outcome != Conclusion::Success);
        let (outcome, exit_code) = (end.outcome, end.exit_code);
        refusals::tell_rest(job).await?;
        let event =
            JobEvent::StepFinished { step, id, name, phase, outcome, conclusion, outputs, exit_code, error };
        Ok(job.sink.send(event).await?)
    }
}
