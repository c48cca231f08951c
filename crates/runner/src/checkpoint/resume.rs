//! Where a job begins: at its beginning, or where a step was about to begin.

use std::sync::Arc;

use run::event::JobEvent;
use run::job::{Extent, JobSpec};
use workflow::model::Step;

use super::{About, Boundary, STATE, state};
use crate::checkpoint::ABOUT;
use crate::options::Options;
use crate::sink::with_sources;

/// Where a job begins.
#[derive(Clone, Debug)]
pub(crate) enum Begin {
    /// At its beginning.
    Start,
    /// In front of a step, in a machine that is made as it was then.
    At(Boundary, Extent),
}

impl Begin {
    /// What the job says, with the secrets that its state refers to.
    pub(crate) async fn of(
        spec: &JobSpec,
        options: &Options,
        secrets: &[(String, String)],
    ) -> Result<Self, String> {
        let Some(resume) = &spec.resume else { return Ok(Self::Start) };
        let Some(checkpoints) = &options.checkpoints else {
            return Err("this runner has no checkpoints to go on from".to_owned());
        };
        let kept = checkpoints.vault.get(&resume.checkpoint.0).map_err(|error| with_sources(&error))?;
        let read = |name| kept.read(name).map_err(|error| with_sources(&error));
        let about = About::read(&read(ABOUT)?).map_err(|error| with_sources(&error))?;
        let state = state::read(&read(STATE)?, secrets).map_err(|error| with_sources(&error))?;
        if about.step != resume.step || about.job != resume.job {
            return Err(format!("the checkpoint `{}` is one of another step", resume.checkpoint));
        }
        let boundary = Boundary {
            step: resume.step,
            checkpoint: resume.checkpoint.clone(),
            kind: about.kind,
            about: Arc::new(about),
            state: Arc::new(state),
            attempt: 1,
            is_own: false,
        };
        Ok(Self::At(boundary, resume.extent))
    }

    pub(crate) fn boundary(&self) -> Option<&Boundary> {
        match self {
            Self::Start => None,
            Self::At(boundary, _) => Some(boundary),
        }
    }

    /// The first step that runs.
    pub(crate) fn step(&self) -> u32 {
        self.boundary().map_or(0, |boundary| boundary.step)
    }

    /// Whether the `pre` of a step's action, where it has one, has not run yet: at the beginning no step's has; later those of
    /// steps that were not there before, or were others.
    pub(crate) fn has_pre_to_run(&self, index: u32, step: &Step) -> bool {
        match self {
            Self::Start => true,
            Self::At(boundary, Extent::Rest) => index >= boundary.step && !boundary.about.has(index, step),
            Self::At(_, Extent::Step) => false,
        }
    }

    /// Whether only one step runs.
    pub(crate) fn is_single(&self) -> bool {
        matches!(self, Self::At(_, Extent::Step))
    }

    /// What is told once the machine is there.
    pub(crate) fn events(&self, machine: String, retries: u32) -> Vec<JobEvent> {
        match self {
            Self::Start => vec![JobEvent::Started { machine }],
            Self::At(Boundary { step, checkpoint, kind, attempt: 1, .. }, _) => {
                let (step, checkpoint, kind) = (*step, checkpoint.clone(), *kind);
                vec![JobEvent::Started { machine }, JobEvent::Resumed { step, checkpoint, kind }]
            }
            Self::At(Boundary { step, kind, attempt, .. }, _) => {
                let (step, kind, attempt) = (*step, *kind, *attempt);
                vec![JobEvent::RolledBack { step, attempt, attempts: retries + 1, kind }]
            }
        }
    }
}
