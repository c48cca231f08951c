//! Steps that run beside the ones after them: `background: true`, until `wait`, `wait-all` or `cancel`.
//!
//! A background step sees the job as it was when it began. What it sets (outputs, variables, its result) counts from
//! the moment at which somebody waits for it, or at the end of the steps.

use std::collections::HashMap;
use std::sync::Arc;

use run::event::Phase;
use run::status::Conclusion;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;
use workflow::model::{Step, StepKind};

use crate::environment::Globals;
use crate::job::{Fatal, Job};
use crate::process::stopped;
use crate::step::{self, End, Frame, Ready};
use crate::steps::{Progress, Shown, run_timed};

/// How many background steps of a job run at a time.
const MAX_AT_A_TIME: usize = 10;

/// All that a background step needs.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) job: Arc<Job>,
    pub(crate) step: Step,
    pub(crate) frame: Frame,
    pub(crate) ready: Ready,
    pub(crate) shown: Shown,
}

/// How a background step ended.
type Ended = Result<(End, Conclusion, Globals), Fatal>;

#[derive(Debug)]
struct Running {
    step: Step,
    name: String,
    cancel: watch::Sender<bool>,
    /// Its end; `None` once somebody waited for it.
    task: Option<JoinHandle<Ended>>,
    cancelled: bool,
}

/// The background steps of a job, in the order in which they began.
#[derive(Debug)]
pub(crate) struct Background {
    running: Vec<Running>,
    slots: Arc<Semaphore>,
    /// How the steps ended that were waited for.
    ended: HashMap<String, Conclusion>,
}

impl Default for Background {
    fn default() -> Self {
        Self { running: Vec::new(), slots: Arc::new(Semaphore::new(MAX_AT_A_TIME)), ended: HashMap::new() }
    }
}

impl Background {
    /// Whether somebody has waited for every step.
    pub(crate) fn is_idle(&self) -> bool {
        self.running.iter().all(|running| running.task.is_none())
    }

    /// Starts a step, as soon as there is a slot.
    pub(crate) fn start(&mut self, mut work: Work, globals: Globals) {
        let (cancel, asked) = watch::channel(false);
        work.frame.stop.own = Some(asked);
        let (step, name) = (work.step.clone(), work.shown.name.clone());
        // Taken here and not by the tasks, which begin in any order.
        let slot = Arc::clone(&self.slots).try_acquire_owned().ok();
        let task = tokio::spawn(run(work, globals, slot, Arc::clone(&self.slots)));
        self.running.push(Running { step, name, cancel, task: Some(task), cancelled: false });
    }

    /// Runs a `wait`, `wait-all` or `cancel` step.
    pub(crate) async fn control(
        &mut self,
        progress: &mut Progress,
        index: u32,
        step: &Step,
        globals: &mut Globals,
    ) -> Result<(), Fatal> {
        let job = Arc::clone(&progress.job);
        let name = step::name(&job, step, &job.contexts).await;
        let shown = Shown { step: index, id: step.id.clone(), name, phase: Phase::Main };
        shown.started(&job).await?;
        let (chosen, cancels): (Vec<usize>, bool) = match &step.kind {
            StepKind::Wait { steps } => (self.chosen(steps), false),
            StepKind::Cancel { steps } => (self.chosen(steps), true),
            _ => ((0..self.running.len()).filter(|at| self.running[*at].task.is_some()).collect(), false),
        };
        if cancels {
            for at in &chosen {
                self.running[*at].cancelled = true;
                self.running[*at].cancel.send_replace(true);
            }
        }
        let mut worst = Conclusion::Success;
        for at in &chosen {
            worst = worse(worst, self.wait(*at, progress, globals).await?);
        }
        for at in chosen {
            let running = &self.running[at];
            let ended = self.ended.get(&running.step.id).copied().unwrap_or(Conclusion::Success);
            job.say(Some(index), &format!("{}: {ended}", running.name)).await?;
        }
        let end = End::new(if cancels { Conclusion::Success } else { worst });
        let conclusion = end.outcome;
        progress.ended(step, shown, end, conclusion).await
    }

    fn chosen(&self, ids: &[workflow::source::Spanned<String>]) -> Vec<usize> {
        let place =
            |id: &str| self.running.iter().position(|running| running.step.id.eq_ignore_ascii_case(id));
        ids.iter().filter_map(|id| place(&id.value)).collect()
    }

    /// Waits for all that nobody waited for, and lets every result count.
    pub(crate) async fn finish(
        &mut self,
        progress: &mut Progress,
        globals: &mut Globals,
    ) -> Result<(), Fatal> {
        for at in 0..self.running.len() {
            self.wait(at, progress, globals).await?;
        }
        Ok(())
    }

    /// Ends what still runs, when the job ends early.
    pub(crate) async fn end(self) {
        for task in self.running.into_iter().filter_map(|running| running.task) {
            task.abort();
            let _ = task.await;
        }
    }

    async fn wait(
        &mut self,
        at: usize,
        progress: &mut Progress,
        globals: &mut Globals,
    ) -> Result<Conclusion, Fatal> {
        let running = &mut self.running[at];
        let Some(task) = running.task.take() else {
            return Ok(self.ended.get(&running.step.id).copied().unwrap_or(Conclusion::Success));
        };
        let (end, conclusion, set) = task.await.expect("a background step does not panic")?;
        globals.join(set);
        // A step that was asked to end did as it was told.
        let counts = !(running.cancelled && conclusion == Conclusion::Cancelled);
        progress.count(&running.step, &end, conclusion);
        self.ended.insert(running.step.id.clone(), conclusion);
        Ok(if counts { conclusion } else { Conclusion::Success })
    }
}

fn worse(left: Conclusion, right: Conclusion) -> Conclusion {
    let rank = |conclusion| match conclusion {
        Conclusion::Success | Conclusion::Skipped => 0,
        Conclusion::Failure => 1,
        Conclusion::Cancelled => 2,
    };
    if rank(right) > rank(left) { right } else { left }
}

async fn run(
    work: Work,
    mut globals: Globals,
    slot: Option<OwnedSemaphorePermit>,
    slots: Arc<Semaphore>,
) -> Ended {
    let Work { job, step, mut frame, ready, shown } = work;
    // Those that have slots may have no end before this one is cancelled.
    let slot = match slot {
        Some(slot) => Ok(slot),
        None => tokio::select! {
            biased;
            slot = slots.acquire_owned() => Ok(slot.expect("the slots are never closed")),
            reason = frame.stop.wait(true) => Err(reason),
        },
    };
    shown.started(&job).await?;
    let (end, conclusion) = match slot {
        Ok(_slot) => run_timed(&job, &step, frame, &ready, &shown, &mut globals).await?,
        Err(reason) => (stopped(reason), Conclusion::Cancelled),
    };
    shown.finished(&job, end.clone(), conclusion).await?;
    Ok((end, conclusion, globals))
}
