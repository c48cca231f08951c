//! What is there before a step begins: kept, and made into a job again.
//!
//! ```text
//! before a step ──> State of the runner ──┬─> a machine with snapshots: its memory and disk
//!                                         └─> any other: the files in its folders on this host
//! resumed job   <── machine from either <── State, secrets put back
//! ```
//!
//! A checkpoint that cannot be kept never fails a job: it is said, and the job goes on. Nothing is kept while background
//! steps run: nobody could follow them afterwards.
//!
//! Invariants: no value of a secret is written by the runner itself (what steps wrote into files is theirs); a checkpoint is
//! told of only once it is whole; without [`Checkpoints`] nothing here does anything.

mod definition;
mod enter;
mod resume;
mod secret;
mod state;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use machine::Place;
use run::event::{CheckpointKind, JobEvent};
use run::id::CheckpointId;
use run::status::Conclusion;
use tokio::task::spawn_blocking;
use vault::{Seen, Vault, VaultError};

use crate::environment::Globals;
use crate::job::{Fatal, Job};
use crate::process::COMMAND_FOLDER;
use crate::sink::with_sources;
use crate::steps::Progress;

pub use definition::without_places;
pub use enter::{Entered, enter};
pub(crate) use resume::Begin;
pub(crate) use state::State;
pub use state::{About, Difference, KeptNetwork, StateError, same_before};

/// The file of a checkpoint that describes it: [`About`].
pub const ABOUT: &str = "about.json";

/// The file of a checkpoint with the runner's state.
const STATE: &str = "state.json";

/// The most attempts of one step.
pub const MAX_ATTEMPTS: u32 = 100;

/// What is kept before steps, and where.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    /// Where.
    pub vault: Arc<Vault>,
    /// Which checkpoints stay.
    pub keep: Keep,
    /// Whether the files of the working tree take the place of those in the workspace of a job that goes on from a checkpoint.
    pub renew_workspace: bool,
    /// How often a step that failed is tried again from where it began, at most [`MAX_ATTEMPTS`] less one.
    pub retries: u32,
}

/// Which checkpoints stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// None: what is needed to try a step again is gone once the step is over.
    Nothing,
    /// Those of steps that did not succeed.
    Failures,
    /// All.
    Steps,
}

/// What was kept before a step.
#[derive(Clone, Debug)]
pub(crate) struct Boundary {
    pub(crate) step: u32,
    pub(crate) checkpoint: CheckpointId,
    pub(crate) kind: CheckpointKind,
    pub(crate) about: Arc<About>,
    pub(crate) state: Arc<State>,
    /// Which attempt of the step follows, from 1.
    pub(crate) attempt: u32,
    /// Whether this job kept it, and not another one that it goes on from.
    pub(crate) is_own: bool,
}

/// What a job's machine looked like at the last boundary, and what was said of failures.
#[derive(Debug, Default)]
pub(crate) struct Keeper {
    seen: Mutex<Vec<(&'static str, Seen)>>,
    warned: Mutex<Option<String>>,
}

/// Why nothing was kept.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error(transparent)]
    Snapshot(#[from] machine::SnapshotError),
    #[error("the files of a `{0}` machine are not on this host, and it has no snapshots of memory")]
    NoFiles(String),
}

impl Progress {
    /// Keeps what is there, where that is asked for and possible.
    pub(crate) async fn keep(&mut self, step: u32, globals: &Globals) -> Result<Option<Boundary>, Fatal> {
        let job = Arc::clone(&self.job);
        let Some(checkpoints) = &job.options.checkpoints else { return Ok(None) };
        if (checkpoints.keep, checkpoints.retries) == (Keep::Nothing, 0) {
            return Ok(None);
        }
        let state = State::of(&job, globals, &self.steps.value(), self.names()).await;
        let kept = keep(&job, checkpoints, step, state).await;
        let (boundary, bytes) = match kept {
            Ok(kept) => kept,
            Err(error) => {
                warn(&job, step, &with_sources(&error)).await?;
                return Ok(None);
            }
        };
        if checkpoints.keep != Keep::Nothing {
            let (checkpoint, kind) = (boundary.checkpoint.clone(), boundary.kind);
            job.sink.send(JobEvent::CheckpointKept { step, checkpoint, kind, bytes }).await?;
        }
        Ok(Some(boundary))
    }

    /// Whether checkpoints are kept beyond their step.
    pub(crate) fn keeps(&self) -> bool {
        let checkpoints = self.job.options.checkpoints.as_ref();
        checkpoints.is_some_and(|checkpoints| checkpoints.keep != Keep::Nothing)
    }

    /// The step is over: drops what was kept before it, where it is not to stay.
    pub(crate) async fn settle(&self, boundary: Boundary, outcome: Conclusion) -> Result<(), Fatal> {
        let job = &self.job;
        let Some(checkpoints) = &job.options.checkpoints else { return Ok(()) };
        let succeeded = matches!(outcome, Conclusion::Success | Conclusion::Skipped);
        if !boundary.is_own
            || checkpoints.keep == Keep::Steps
            || (checkpoints.keep == Keep::Failures && !succeeded)
        {
            return Ok(());
        }
        let Boundary { step, checkpoint, .. } = boundary;
        let (vault, id) = (Arc::clone(&checkpoints.vault), checkpoint.clone());
        let removed = spawn_blocking(move || vault.remove(&id.0)).await.expect("removing does not panic");
        // One that could not be removed is still there.
        if removed.is_ok() && checkpoints.keep != Keep::Nothing {
            job.sink.send(JobEvent::CheckpointDropped { step, checkpoint }).await?;
        }
        Ok(())
    }

    /// Whether a step that ended so is tried again from its boundary.
    pub(crate) fn may_retry(&self, boundary: &Boundary) -> bool {
        let retries = self.job.options.checkpoints.as_ref().map_or(0, |checkpoints| checkpoints.retries);
        boundary.attempt <= retries.min(MAX_ATTEMPTS - 1)
            && *self.job.stop.borrow() == crate::cancel::Stop::No
    }
}

async fn keep(
    job: &Arc<Job>,
    checkpoints: &Checkpoints,
    step: u32,
    state: State,
) -> Result<(Boundary, u64), KeepError> {
    let has_snapshots = job.machine.has_snapshots();
    let kind = if has_snapshots { CheckpointKind::Memory } else { CheckpointKind::Files };
    let about = About::new(job, step, kind);
    let documents = state::write(about.clone(), &state, &job.secrets, &job.masker);
    let id = format!("{}.{}.{step}", job.spec.run, job.lease);
    let bytes = if has_snapshots {
        keep_memory(job, &checkpoints.vault, &id, documents).await?
    } else {
        keep_files(job, &checkpoints.vault, &id, documents).await?
    };
    let (checkpoint, about, state) = (CheckpointId(id), Arc::new(about), Arc::new(state));
    Ok((Boundary { step, checkpoint, kind, about, state, attempt: 1, is_own: true }, bytes))
}

async fn keep_memory(
    job: &Job,
    vault: &Vault,
    id: &str,
    (about, state): (Vec<u8>, Vec<u8>),
) -> Result<u64, KeepError> {
    let mut draft = vault.begin(id)?;
    let size = job.machine.snapshot(&draft.snapshot()).await?;
    draft.count(size.memory.saturating_add(size.disk))?;
    draft.write(ABOUT, &about)?;
    draft.write(STATE, &state)?;
    Ok(draft.publish()?)
}

async fn keep_files(
    job: &Arc<Job>,
    vault: &Arc<Vault>,
    id: &str,
    (about, state): (Vec<u8>, Vec<u8>),
) -> Result<u64, KeepError> {
    if job.machine.host_folders().is_empty() {
        return Err(KeepError::NoFiles(job.machine.backend().to_string()));
    }
    let (job, vault, id) = (Arc::clone(job), Arc::clone(vault), id.to_owned());
    let keeping = spawn_blocking(move || {
        let mut draft = vault.begin(&id)?;
        let mut all = job.keeper.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, folder) in job.machine.host_folders() {
            let place = all.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
                all.push((name, Seen::default()));
                all.len() - 1
            });
            let temp = temp_in(&job, name);
            let leave_out = |path: &Path| temp.as_ref().is_some_and(|temp| is_runners_own(path, temp));
            draft.capture(name, folder, &mut all[place].1, &leave_out)?;
        }
        draft.write(ABOUT, &about)?;
        draft.write(STATE, &state)?;
        draft.publish()
    });
    Ok(keeping.await.expect("keeping files does not panic")?)
}

/// `RUNNER_TEMP` relative to a folder of the machine, where it lies in it.
fn temp_in(job: &Job, folder: &str) -> Option<PathBuf> {
    let (home, temp) = (job.machine.path(Place::Home), Path::new(&job.temp));
    match folder {
        "temp" => Some(PathBuf::new()),
        "home" => temp.strip_prefix(home).ok().map(Path::to_owned),
        _ => None,
    }
}

/// Whether the runner itself wrote the file or folder, for one step: scripts and command files hold values of secrets, and no
/// later step needs them.
fn is_runners_own(path: &Path, temp: &Path) -> bool {
    let Some(name) = path.strip_prefix(temp).ok().and_then(Path::to_str) else { return false };
    let number = name.split('.').next().unwrap_or_default();
    let is_script = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    (is_script && !name.contains('/')) || name == COMMAND_FOLDER
}

/// Says that nothing was kept; the same reason once.
async fn warn(job: &Job, step: u32, reason: &str) -> Result<(), Fatal> {
    let is_new = {
        let mut warned = job.keeper.warned.lock().unwrap_or_else(PoisonError::into_inner);
        warned.replace(reason.to_owned()).as_deref() != Some(reason)
    };
    if is_new {
        let text = format!("Warning: no snapshot is kept before step {step}: {reason}");
        job.say(None, &text).await?;
    }
    Ok(())
}

/// Makes the files of a checkpoint in a machine's folders.
pub(crate) async fn restore_files(
    vault: &Arc<Vault>,
    checkpoint: &CheckpointId,
    folders: &[(&'static str, PathBuf)],
) -> Result<(), String> {
    let (vault, checkpoint, folders) = (Arc::clone(vault), checkpoint.clone(), folders.to_vec());
    let restoring = spawn_blocking(move || {
        let kept = vault.get(&checkpoint.0)?;
        for (name, tree) in kept.trees()? {
            let folder = folders.iter().find(|(known, _)| *known == name);
            let (_, folder) = folder.ok_or_else(|| VaultError::Damaged {
                what: format!("machines of this kind have no folder `{name}`"),
            })?;
            kept.restore(&tree, folder)?;
        }
        Ok(())
    });
    let restored: Result<(), VaultError> = restoring.await.expect("restoring files does not panic");
    restored.map_err(|error| with_sources(&error))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::is_runners_own;

    fn check(path: &str, expected: bool) {
        assert_eq!(is_runners_own(Path::new(path), Path::new("work/_temp")), expected, "{path}");
    }

    #[test]
    fn scripts_and_command_files_are_the_runners_own() {
        check("work/_temp/12.sh", true);
        check("work/_temp/3.py", true);
        check("work/_temp/4", true);
        check("work/_temp/_runner_file_commands", true);
        check("work/_temp", false);
        check("work/_temp/file", false);
        check("work/_temp/1a.sh", false);
        check("work/_temp/5/file", false);
        check("work/other/12.sh", false);
        check("12.sh", false);
    }
}
