//! Composite actions: steps with an `inputs` and a `steps` context of their own.

use std::sync::Arc;

use indexmap::IndexMap;
use run::event::Phase;
use run::status::Conclusion;
use workflow::expr::{Contexts, JobStatus, Object, Value};
use workflow::model::{ActionRuns, Step, StepKind};

use super::resolve::Loaded;
use super::{run_phase, with_pre};
use crate::cancel::Stop;
use crate::context::{StepsContext, with_properties};
use crate::environment::Globals;
use crate::job::{Fatal, Job};
use crate::step::{self, End, Frame, Ready};

/// Runs one phase of a composite action. Its posts are those of its steps, which are remembered one by one.
#[expect(clippy::too_many_arguments, reason = "each of them is another part of the step's surroundings")]
pub(crate) async fn run(
    job: &Arc<Job>,
    loaded: &Loaded,
    steps: &[Step],
    inputs: &IndexMap<String, String>,
    frame: &Frame,
    ready: &Ready,
    phase: Phase,
    globals: &mut Globals,
) -> Result<End, Fatal> {
    let contexts = inner_contexts(loaded, inputs, ready);
    let mut scope = Scope {
        job,
        contexts,
        frame,
        env: &ready.env,
        steps: StepsContext::default(),
        end: End::new(Conclusion::Success),
    };
    for (index, step) in steps.iter().enumerate() {
        if frame.stop.job() == Stop::Now {
            scope.end.outcome = Conclusion::Cancelled;
            break;
        }
        let goes_on = match phase {
            Phase::Main => scope.run_step(index, step, globals).await?,
            Phase::Pre => scope.run_pre(index, step, globals).await?,
            Phase::Post => false,
        };
        if !goes_on {
            break;
        }
    }
    if phase == Phase::Main {
        scope.evaluate_outputs(loaded).await;
    }
    Ok(scope.end)
}

/// The contexts of an action's steps.
fn inner_contexts(loaded: &Loaded, inputs: &IndexMap<String, String>, ready: &Ready) -> Contexts {
    let inputs: Object = inputs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let github = ready.contexts.get("github").unwrap_or(&Value::Null);
    let github = with_properties(github, [("action_path", Value::from(loaded.folder.as_str()))]);
    ready.contexts.clone().with("inputs", inputs).with("github", github)
}

/// The steps of one composite action while they run.
struct Scope<'a> {
    job: &'a Arc<Job>,
    contexts: Contexts,
    frame: &'a Frame,
    env: &'a IndexMap<String, String>,
    steps: StepsContext,
    end: End,
}

impl Scope<'_> {
    fn status(&self) -> JobStatus {
        match (self.job.status(), self.end.outcome) {
            (JobStatus::Cancelled, _) | (_, Conclusion::Cancelled) => JobStatus::Cancelled,
            (_, Conclusion::Failure) => JobStatus::Failure,
            _ => JobStatus::Success,
        }
    }

    fn frame(&self, index: usize) -> Frame {
        Frame {
            step: self.frame.step,
            path: format!("{}/{index}", self.frame.path),
            contexts: self.contexts.clone(),
            env: self.env.clone(),
            stop: self.frame.stop.clone(),
            depth: self.frame.depth + 1,
        }
    }

    /// Runs a step where its condition holds. `false` ends the action.
    async fn run_step(&mut self, index: usize, step: &Step, globals: &mut Globals) -> Result<bool, Fatal> {
        let (job, frame, status) = (self.job, self.frame(index), self.status());
        let ready = match step::prepare(job, step, &frame, self.steps.value(), status, globals).await {
            Ok(ready) => ready,
            Err(error) => return self.mistake(step, error).await,
        };
        match step::condition(job, step, &ready, status).await {
            Ok(true) => {}
            Ok(false) => {
                self.set(step, &End::new(Conclusion::Skipped), Conclusion::Skipped);
                return Ok(true);
            }
            Err(error) => return self.mistake(step, error).await.map(|_| false),
        }
        let end = step::execute(job, step, &frame, &ready, globals).await?;
        let conclusion = step::conclude(job, step, &frame, &ready, &end).await?;
        if let Some(error) = end.error.as_ref().filter(|_| conclusion != end.outcome) {
            job.say(Some(frame.step), &format!("Error: {error}")).await?;
        }
        self.set(step, &end, conclusion);
        self.count(end, conclusion);
        Ok(!self.end.timed_out)
    }

    /// Runs the `pre` of a step's action.
    async fn run_pre(&mut self, index: usize, step: &Step, globals: &mut Globals) -> Result<bool, Fatal> {
        let (job, frame, status) = (self.job, self.frame(index), self.job.status());
        let Some(loaded) = with_pre(job, step, &frame.contexts, frame.depth) else { return Ok(true) };
        let StepKind::Uses { with, .. } = &step.kind else { return Ok(true) };
        let mut step = step.clone();
        if let ActionRuns::Node { pre_if, .. } = &loaded.action.runs {
            step.condition = pre_if.clone();
        }
        let ready = match step::prepare(job, &step, &frame, self.steps.value(), status, globals).await {
            Ok(ready) => ready,
            Err(error) => return self.mistake(&step, error).await,
        };
        let is_composite = matches!(loaded.action.runs, ActionRuns::Composite { .. });
        let holds = is_composite || step::condition(job, &step, &ready, status).await.unwrap_or(false);
        if holds {
            let end =
                run_phase(job, &step, &loaded, with.as_ref(), &frame, &ready, Phase::Pre, globals).await?;
            let conclusion = end.outcome;
            self.count(end, conclusion);
        }
        Ok(true)
    }

    async fn mistake(&mut self, step: &Step, error: String) -> Result<bool, Fatal> {
        self.job.say(Some(self.frame.step), &format!("Error: {error}")).await?;
        self.set(step, &End::new(Conclusion::Failure), Conclusion::Failure);
        self.end.fail(error);
        Ok(true)
    }

    fn set(&mut self, step: &Step, end: &End, conclusion: Conclusion) {
        if !step.generated_id {
            self.steps.set(&step.id, &end.outputs, end.outcome, conclusion);
        }
    }

    fn count(&mut self, end: End, conclusion: Conclusion) {
        match conclusion {
            Conclusion::Cancelled => self.end.outcome = Conclusion::Cancelled,
            Conclusion::Failure => {
                self.end.timed_out |= end.timed_out;
                self.end.fail(end.error.unwrap_or_default());
                self.end.exit_code = self.end.exit_code.or(end.exit_code);
            }
            Conclusion::Success | Conclusion::Skipped => {}
        }
    }

    async fn evaluate_outputs(&mut self, loaded: &Loaded) {
        let contexts = self.contexts.clone().with("steps", self.steps.value());
        for (name, output) in &loaded.action.outputs {
            let Some(token) = &output.value else { continue };
            match step::evaluator(self.job, self.status()).text(token, &contexts).await {
                Ok(value) => {
                    self.end.outputs.insert(name.clone(), value.to_string());
                }
                Err(error) => self.end.fail(error),
            }
        }
    }
}
