//! A step of a run with what was kept before it, as people name it.

use run::event::Event;
use run::id::JobId;
use runner::checkpoint::{ABOUT, About};
use store::{CheckpointRow, RunRow};
use vault::Vault;
use workflow::plan::Plan;

use crate::failure::{Exit, Failure};
use crate::history::{History, unreadable};
use crate::render::text::shown;
use crate::render::view::RunView;

/// Arguments that name a step of a run.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct PlaceArgs {
    /// The run: its id, the beginning of it, or `latest`, which is the last one with snapshots
    #[arg(value_name = "RUN", default_value = "latest")]
    selector: String,
    /// The job: its id, a leg's with its number as in `test[1]`, or its name [default: the only one with a snapshot before the step]
    #[arg(long, value_name = "JOB")]
    job: Option<String>,
    /// The step: its number from 0, its id or its name
    #[arg(long, value_name = "STEP")]
    step: String,
}

/// A step, and what was kept before it.
pub(super) struct Place {
    pub(super) run: RunRow,
    pub(super) plan: Plan,
    pub(super) events: Vec<Event>,
    pub(super) view: RunView,
    pub(super) row: CheckpointRow,
    pub(super) about: About,
    pub(super) vault: Vault,
}

impl Place {
    /// Finds the step, and opens what was kept before it; checkpoints may take so many bytes together.
    pub(super) async fn find(history: &History, args: &PlaceArgs, budget: u64) -> Result<Self, Failure> {
        let run = match args.selector.as_str() {
            "latest" => history.find(&history.latest_kept().await?).await?,
            selector => history.find(selector).await?,
        };
        let view = history.view(&run.id).await?;
        let kept = history.checkpoints(&run.id).await?;
        if kept.is_empty() {
            return Err(Failure::usage(format!("nothing was kept of run {}", run.id)).with_help(
                "`firedog run --snapshots steps` (or `failure`) keeps what is there before steps",
            ));
        }
        let job = job(&view, &kept, args, &run)?;
        let step = step(&view, &job, &args.step)?;
        let row = kept.iter().rev().find(|row| row.job == job && row.step == step);
        let Some(row) = row.cloned() else { return Err(not_kept(&view, &kept, &job, step)) };
        let opened = Vault::open_existing(&history.state().checkpoints(), budget);
        let failed = |error| Failure::new(Exit::Usage, error);
        let vault =
            opened.map_err(failed)?.ok_or_else(|| Failure::usage("there are no snapshots any more"))?;
        let about = vault.get(&row.id.0).and_then(|kept| kept.read(ABOUT)).map_err(failed)?;
        let mut about = About::read(&about).map_err(|error| Failure::new(Exit::Usage, error))?;
        about.image = image(&vault, &row);
        let plan = history.store().plan(&run.id).await.map_err(unreadable)?.unwrap_or_default();
        let plan = serde_json::from_slice(&plan).map_err(|error| {
            Failure::new(Exit::Usage, error).while_doing(format!("cannot read the plan of run {}", run.id))
        })?;
        let events = history.outline(&run.id).await?;
        Ok(Self { run, plan, events, view, row, about, vault })
    }

    /// The step as people see it.
    pub(super) fn step_name(&self) -> String {
        let name = self.view.step_name(&self.row.job, self.row.step);
        format!("step {} (`{}`)", self.row.step, shown(name, false))
    }

    /// The job as people see it.
    pub(super) fn job_name(&self) -> String {
        shown(self.view.name(&self.row.job), false).into_owned()
    }
}

/// The image that the machine of a snapshot of memory was made from.
fn image(vault: &Vault, row: &CheckpointRow) -> Option<String> {
    let told = vault.get(&row.id.0).and_then(|kept| kept.read("snapshot/snapshot.json")).ok()?;
    let told: serde_json::Value = serde_json::from_slice(&told).ok()?;
    told["image"].as_str().map(str::to_owned)
}

/// The job that is meant.
fn job(view: &RunView, kept: &[CheckpointRow], args: &PlaceArgs, run: &RunRow) -> Result<JobId, Failure> {
    let Some(wanted) = args.job.as_deref() else {
        let mut jobs: Vec<&JobId> = kept.iter().map(|row| &row.job).collect();
        jobs.dedup();
        let is_before = |job: &JobId, step: u32| kept.iter().any(|row| row.job == *job && row.step == step);
        let has_step = |job: &&JobId| step(view, job, &args.step).is_ok_and(|step| is_before(job, step));
        let with_step: Vec<&JobId> = jobs.iter().copied().filter(has_step).collect();
        let jobs = if with_step.is_empty() { jobs } else { with_step };
        return match jobs.as_slice() {
            [job] => Ok((*job).clone()),
            jobs => Err(Failure::usage("several jobs of the run have snapshots")
                .with_help(format!("name one of {} with `--job JOB`", list(jobs)))),
        };
    };
    let exact = view.jobs.keys().find(|job| job.0 == wanted);
    let named = || view.jobs.keys().filter(|job| job.key() == wanted || view.name(job) == wanted);
    let found: Vec<&JobId> = exact.map_or_else(|| named().collect(), |job| vec![job]);
    match found.as_slice() {
        [job] => Ok((*job).clone()),
        [] => Err(Failure::usage(format!("run {} has no job `{wanted}`", run.id))
            .with_help(format!("its jobs are {}", list(&view.jobs.keys().collect::<Vec<_>>())))),
        several => Err(Failure::usage(format!("`{wanted}` is the name of several jobs"))
            .with_help(format!("name one of {}", list(several)))),
    }
}

fn list(jobs: &[&JobId]) -> String {
    jobs.iter().map(|job| format!("`{job}`")).collect::<Vec<_>>().join(", ")
}

/// The index of the step that is meant.
fn step(view: &RunView, job: &JobId, wanted: &str) -> Result<u32, Failure> {
    if let Ok(number) = wanted.parse() {
        return Ok(number);
    }
    let steps = view.jobs.get(job).map(|job| job.steps.as_slice()).unwrap_or_default();
    let found = steps.iter().find(|step| step.id.eq_ignore_ascii_case(wanted));
    let found = found.or_else(|| steps.iter().find(|step| step.name == wanted));
    found.map(|step| step.index).ok_or_else(|| {
        let known: Vec<String> =
            steps.iter().map(|step| format!("{} `{}`", step.index, shown(&step.name, false))).collect();
        Failure::usage(format!("the job `{job}` has no step `{wanted}`"))
            .with_help(format!("its steps are {}", known.join(", ")))
    })
}

fn not_kept(view: &RunView, kept: &[CheckpointRow], job: &JobId, step: u32) -> Failure {
    let steps: Vec<String> =
        kept.iter().filter(|row| row.job == *job).map(|row| row.step.to_string()).collect();
    let known = view.jobs.get(job).and_then(|job| job.step(step));
    let name = known.map(|step| format!(" (`{}`)", shown(&step.name, false))).unwrap_or_default();
    let failure = Failure::usage(format!("nothing was kept before step {step}{name} of the job `{job}`"));
    failure.with_help(if steps.is_empty() {
        "`firedog timeline` shows what there is".to_owned()
    } else {
        format!("there are snapshots before the steps {}", steps.join(", "))
    })
}
