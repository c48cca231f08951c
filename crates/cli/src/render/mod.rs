//! What people and programs see of a run. Each renderer is a fold of [`run::event::Event`]; none can change a run.

pub(crate) mod diagnostic;
pub(crate) mod ending;
pub(crate) mod markdown;
pub(crate) mod model;
pub(crate) mod ndjson;
pub(crate) mod plain;
mod refused;
pub(crate) mod resumed;
pub(crate) mod style;
pub(crate) mod terminal;
pub(crate) mod text;
pub(crate) mod view;

use std::io;
use std::time::Duration;

use run::event::Event;
use run::status::Conclusion;

/// Shows one or several runs while they happen.
pub(crate) trait Render {
    /// Takes the next events of a run; runs are numbered from 0.
    fn events(&mut self, run: usize, events: &[Event]) -> io::Result<()>;

    /// Says something that is not part of a run, such as that it is being cancelled.
    fn notice(&mut self, text: &str) -> io::Result<()> {
        crate::output::to_stderr(text);
        Ok(())
    }

    /// How often [`Render::tick`] wants to be called.
    fn frame(&self) -> Option<Duration> {
        None
    }

    /// Time has passed.
    fn tick(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// All runs are over, with this conclusion of all together.
    fn finish(&mut self, conclusion: Conclusion) -> io::Result<()>;
}

#[cfg(test)]
pub(crate) mod tests {
    use indexmap::IndexMap;
    use run::event::{Event, EventKind, JobEvent, Phase};
    use run::id::JobId;
    use run::job::{JobContexts, JobSpec};
    use run::status::Conclusion;

    use super::view::RunView;

    /// Writes the events of a run as a test tells them, 100 ms apart.
    #[derive(Debug, Default)]
    pub(crate) struct Script {
        kinds: Vec<EventKind>,
        job: Option<JobId>,
    }

    impl Script {
        pub(crate) fn new() -> Self {
            Self::default()
        }

        pub(crate) fn queued(mut self) -> Self {
            let [workflow, file, event] = ["CI", "ci.yml", "push"].map(str::to_owned);
            self.kinds.push(EventKind::RunQueued { workflow, file, event });
            self
        }

        pub(crate) fn waiting(mut self, id: &str) -> Self {
            let spec = JobSpec {
                run: "r".into(),
                job: id.into(),
                name: format!("Job {id}"),
                labels: Vec::new(),
                definition: definition(),
                workflow_env: Vec::new(),
                workflow_defaults: None,
                continue_on_error: false,
                contexts: JobContexts::default(),
                resume: None,
            };
            self.kinds.push(EventKind::JobQueued { spec: Box::new(spec) });
            self
        }

        pub(crate) fn job(mut self, id: &str) -> Self {
            self = self.waiting(id);
            self.job = Some(id.into());
            self.reported(JobEvent::Started { machine: "namespace".to_owned() })
        }

        fn reported(mut self, event: JobEvent) -> Self {
            let job = self.job.clone().expect("a job was started");
            self.kinds.push(EventKind::Reported { job, lease: "l".into(), event });
            self
        }

        pub(crate) fn step(self, step: u32, name: &str) -> Self {
            let [id, name] = [format!("s{step}"), name.to_owned()];
            self.reported(JobEvent::StepStarted { step, id, name, phase: Phase::Main })
        }

        pub(crate) fn log(self, step: u32, text: &str) -> Self {
            self.reported(JobEvent::Log { step: Some(step), text: text.to_owned() })
        }

        pub(crate) fn step_ends(self, step: u32, conclusion: Conclusion) -> Self {
            self.step_end(step, conclusion, None)
        }

        pub(crate) fn step_fails(self, step: u32, error: &str) -> Self {
            self.step_end(step, Conclusion::Failure, Some(error.to_owned()))
        }

        fn step_end(self, step: u32, conclusion: Conclusion, error: Option<String>) -> Self {
            self.reported(JobEvent::StepFinished {
                step,
                id: format!("s{step}"),
                name: format!("step {step}"),
                phase: Phase::Main,
                outcome: conclusion,
                conclusion,
                outputs: IndexMap::new(),
                exit_code: None,
                error,
            })
        }

        /// A failed step is undone; the attempt of that number follows.
        pub(crate) fn rolled_back(self, step: u32, attempt: u32) -> Self {
            let kind = run::event::CheckpointKind::Files;
            self.reported(JobEvent::RolledBack { step, attempt, attempts: attempt, kind })
        }

        pub(crate) fn job_ends(mut self, id: &str, conclusion: Conclusion) -> Self {
            self.kinds.push(EventKind::JobFinished {
                job: id.into(),
                name: format!("Job {id}"),
                conclusion,
                tolerated: false,
                outputs: IndexMap::new(),
                reason: None,
            });
            self
        }

        pub(crate) fn run_ends(mut self, conclusion: Conclusion) -> Self {
            self.kinds.push(EventKind::RunFinished { conclusion, reason: None });
            self
        }

        pub(crate) fn events(self) -> Vec<Event> {
            (1..).zip(self.kinds).map(|(number, kind)| event(number, kind)).collect()
        }
    }

    fn event(number: u64, kind: EventKind) -> Event {
        let at = 1_000_000 + 100 * i64::try_from(number).expect("scripts are short");
        Event { sequence: number, at, kind }
    }

    /// A definition without anything.
    fn definition() -> workflow::model::Steps {
        workflow::model::Steps {
            runs_on: None,
            env: None,
            defaults: None,
            outputs: None,
            environment: None,
            container: None,
            services: None,
            snapshot: None,
            continue_on_error: None,
            timeout_minutes: None,
            cancel_timeout_minutes: None,
            steps: Vec::new(),
        }
    }

    pub(crate) fn folded(script: Script) -> RunView {
        let mut view = RunView::default();
        script.events().iter().for_each(|event| view.apply(event));
        view
    }
}
