//! A machine as it was when a step was about to begin, for people to look around in.

use std::sync::Arc;

use async_trait::async_trait;
use machine::{ExecSpec, MachineError, OutputMode, Process, RunAs, Stdin, TerminalSize};
use run::event::Reported;
use run::id::LeaseId;
use run::lease::{Cancel, Lease};
use tokio::sync::watch;

use super::Begin;
use crate::cancel::Stop;
use crate::context::StepsContext;
use crate::dispatch::{Dispatch, DispatchError, LeaseRequest};
use crate::environment::Globals;
use crate::job::Job;
use crate::options::Options;
use crate::process::{environment, not_lost};
use crate::setup::Setup;
use crate::sink::Sink;
use crate::step::{self, Frame};
use crate::watch::Watch;

/// A machine in front of a step, with all that the step would find.
#[derive(Debug)]
pub struct Entered {
    job: Arc<Job>,
    program: String,
    folder: String,
    environment: Vec<(String, String)>,
    /// Where the step's script is, for one that has a script.
    script: Option<String>,
}

/// Makes the machine of the checkpoint that the lease's job goes on from. Nothing runs in it yet, and nothing is reported.
///
/// # Errors
/// For people: when the job goes on from no checkpoint, or its machine cannot be made.
pub async fn enter(options: Arc<Options>, lease: Lease) -> Result<Entered, String> {
    let tree = options.tree.found().await?;
    let begin = Begin::of(&lease.spec, &options, &lease.secrets).await?;
    let Some(boundary) = begin.boundary() else {
        return Err("the job goes on from no checkpoint".to_owned());
    };
    let dispatch: Arc<dyn Dispatch> = Arc::new(Nobody);
    let (sink, _reporting) = Sink::start(Arc::clone(&dispatch), lease.id.clone());
    let (stopping, stop) = watch::channel(Stop::No);
    let watched = Watch::new(dispatch, lease.id.clone(), sink.clone(), stopping);
    let set_up = Setup::new(options, tree, sink, stop, lease).map_err(|refused| refused.error)?;
    let (job, globals) = set_up.run(&begin, &watched.limit()).await.map_err(|refused| refused.error)?;
    let steps = StepsContext::of(&boundary.state.steps);
    let entered = look(&job, boundary.step, &steps, &globals).await;
    match entered {
        Ok((program, folder, environment, script)) => {
            Ok(Entered { job: Arc::new(job), program, folder, environment, script })
        }
        Err(error) => {
            job.machine.stop().await;
            Err(error)
        }
    }
}

type Look = (String, String, Vec<(String, String)>, Option<String>);

/// What the step would find: a shell, its folder, its environment, and its script, which is written.
async fn look(job: &Job, index: u32, steps: &StepsContext, globals: &Globals) -> Result<Look, String> {
    let definition = job.spec.definition.steps.get(index as usize);
    let step = definition.ok_or_else(|| format!("the job has no step {index}"))?;
    let frame = Frame::top(job, index);
    let ready = step::prepare(job, step, &frame, steps.value(), job.status(), globals).await?;
    let around = step::around(job, step, &frame, &ready).await;
    let path = crate::process::search_path_of(&around, globals);
    let mut program = None;
    for name in ["bash", "sh"] {
        let found = job.which(name, &path).await.map_err(|fatal| fatal.to_string())?;
        program = program.or(found);
    }
    let program = program.ok_or("this machine has neither `bash` nor `sh`")?;
    let (folder, script) = step::folder_and_script(job, step, &frame, &ready).await?;
    let mut files: Vec<_> = ready.files.empty().collect();
    let place = script.as_ref().map(|(file, _)| file.clone());
    files.extend(script.map(|(path, text)| machine::FileToWrite {
        path,
        data: text.into_bytes(),
        mode: 0o755,
    }));
    let written = not_lost(job.machine.write_files(files).await).map_err(|fatal| fatal.to_string())?;
    written.map_or(Ok(()), Err)?;
    Ok((program, folder, environment(&around, Vec::new(), globals), place))
}

impl Entered {
    /// The step's script in the machine, where it has one.
    #[must_use]
    pub fn script(&self) -> Option<&str> {
        self.script.as_deref()
    }

    /// The folder that the shell begins in.
    #[must_use]
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// Starts a shell with the step's environment: on a terminal of this size and kind, or reading what it is fed.
    ///
    /// # Errors
    /// When the machine is lost, or cannot start it.
    pub async fn shell(&self, terminal: Option<(TerminalSize, String)>) -> Result<Process, MachineError> {
        let mut env = self.environment.clone();
        let mut argv = vec![self.program.clone()];
        let output = match terminal {
            Some((size, kind)) => {
                argv.push("-i".to_owned());
                env.retain(|(name, _)| name != "TERM");
                env.push(("TERM".to_owned(), kind));
                OutputMode::Terminal(size)
            }
            None => OutputMode::Merged,
        };
        let (cwd, stdin) = (self.folder.clone(), Stdin::Stream);
        self.job.machine.exec(ExecSpec { argv, env, cwd, stdin, output, user: RunAs::default() }).await
    }

    /// Ends the machine and all that runs in it.
    pub async fn leave(self) {
        self.job.machine.stop().await;
    }
}

/// A control plane that keeps nothing.
struct Nobody;

#[async_trait]
impl Dispatch for Nobody {
    async fn lease(&self, _: &LeaseRequest) -> Result<Option<Lease>, DispatchError> {
        Ok(None)
    }

    async fn report(&self, _: &LeaseId, _: u64, _: Vec<Reported>) -> Result<(), DispatchError> {
        Ok(())
    }

    async fn cancelled(&self, _: &LeaseId, _: Option<Cancel>) -> Cancel {
        std::future::pending().await
    }
}
