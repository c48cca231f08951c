//! `firedog rewind`: on from a step of a run, as all was when the step began.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use control::{Control, Submission};
use indexmap::IndexMap;
use run::event::CheckpointKind;
use run::job::{Extent, Resume};
use run::resume::{definition, take_over};
use runner::checkpoint::{About, Checkpoints, Difference, Keep, same_before};
use runner::options::Options;
use runner::workspace::WorkingTree;
use serde_json::json;
use workflow::expr::{Object, Value};
use workflow::plan::{Plan, Request, RunFacts, plan};
use workflow::read::parse;
use workflow::source::SourceFile;

use super::args::{DEFAULT_IMAGE, MachineChoice, RunFormat, SecretSource, action, secret};
use super::machines::{Asked, look_for};
use super::network;
use super::place::{Place, PlaceArgs};
use super::signal::Signals;
use super::snapshots::SnapshotArgs;
use super::{Launch, exit, prepare, screen, settings, submit, values};
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::files::{self, CalledWorkflows};
use crate::history::{self, History, local_time};
use crate::output;
use crate::render::resumed::restored;
use crate::render::text::{bytes, shown};

/// Arguments of `rewind`.
#[derive(Debug, clap::Args)]
pub(crate) struct RewindArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// Run the step and all that follows, as a new run
    #[arg(long)]
    run: bool,
    /// Open a shell in the machine as it was, with the step's environment and in its folder; what it changes is lost
    #[arg(long, conflicts_with = "run")]
    shell: bool,
    /// Use the workflow as it is in FILE now [default of FILE: where it was]
    #[arg(long, value_name = "FILE", num_args = 0..=1, requires = "run")]
    workflow: Option<Option<PathBuf>>,
    /// Put the files of FOLDER in place of those in the workspace; others stay
    #[arg(long, value_name = "FOLDER", requires = "run")]
    workspace: Option<PathBuf>,
    /// Go on even where the changed workflow differs before the step
    #[arg(long, requires = "run")]
    force: bool,
    /// How the run is shown: text for people, or one JSON object a line
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: RunFormat,
    #[command(flatten)]
    values: ValueArgs,
    /// How many jobs run at a time
    #[arg(long, short = 'j', value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    parallel: Option<u16>,
    #[command(flatten)]
    snapshots: SnapshotArgs,
}

/// Arguments with what is never kept of a run.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ValueArgs {
    /// A secret: the value is that of the environment variable NAME, or what standard input holds for `NAME=-`
    #[arg(long, value_name = "NAME", value_parser = secret, help_heading = "Values")]
    secret: Vec<SecretSource>,
    /// A JSON file with an object of secrets
    #[arg(long, value_name = "FILE", help_heading = "Values")]
    secrets_file: Option<PathBuf>,
    /// The folder that stands for a remote action, where it is not the one that it was
    #[arg(long, value_name = "OWNER/REPO@REF=FOLDER", value_parser = action, help_heading = "Values")]
    action: Vec<(String, PathBuf)>,
}

pub(crate) fn run(args: &RewindArgs, config: &Config) -> Result<Exit, Failure> {
    let runtime = super::runtime()?;
    let ended = runtime.block_on(async {
        let history = History::open(config).await?;
        let place = Place::find(&history, &args.place, args.snapshots.limits().bytes).await?;
        match (args.run, args.shell) {
            (true, _) => go_on(args, config, &history, place).await,
            (_, true) => {
                let root = root(None, &place.about)?;
                super::shell::open(&args.values, config, &history, place, root).await
            }
            _ => describe(&place, args.format),
        }
    });
    machine::scratch::wait_for_removals();
    runtime.shutdown_timeout(super::LAST_THREADS);
    ended
}

/// Tells what would be there.
fn describe(place: &Place, format: RunFormat) -> Result<Exit, Failure> {
    let Place { run, row, about, .. } = place;
    if format == RunFormat::Ndjson {
        output::json_to_stdout(&json!({
            "run": run.id, "job": row.job, "step": row.step, "checkpoint": row.id, "kind": row.kind,
            "machine": about.machine, "bytes": row.bytes, "kept_at": history::utc_time(row.kept),
            "lost_values": about.lost, "steps": about.definitions.len(),
        }))?;
        return Ok(Exit::Success);
    }
    let mut text = format!(
        "before {} of `{}` in run {}\n  kept      {}, {} added\n  machine   {}\n  restores  {}\n",
        place.step_name(),
        place.job_name(),
        run.id,
        local_time(row.kept),
        bytes(row.bytes),
        about.machine,
        restored(row.kind)
    );
    if about.lost > 0 {
        let values = if about.lost == 1 { "1 value".to_owned() } else { format!("{} values", about.lost) };
        text.push_str(&format!("  lost      {values} that steps had masked: they are `***` now\n"));
    }
    text.push_str("\n`--run` goes on from there, `--shell` opens a shell there\n");
    output::to_stdout(&text)?;
    Ok(Exit::Success)
}

async fn go_on(args: &RewindArgs, config: &Config, history: &History, place: Place) -> Result<Exit, Failure> {
    let root = root(args.workspace.as_deref(), &place.about)?;
    let plan = planned(args, config, &place, &root)?;
    let resume = Resume {
        job: place.row.job.clone(),
        step: place.row.step,
        checkpoint: place.row.id.clone(),
        extent: Extent::Rest,
    };
    check_same(&place, &plan, args.force)?;
    let taken_over = take_over(&plan, &place.run.id, &place.events, &resume, 1);
    if !config.quiet && place.row.kind == CheckpointKind::Files {
        let machine = &place.about.machine;
        output::to_stderr(&format!(
            "note: `{machine}` machines have no snapshots of memory: {}",
            restored(place.row.kind)
        ));
    }
    let checkpoints = Checkpoints {
        vault: Arc::new(place.vault),
        keep: args.snapshots.keep(),
        renew_workspace: args.workspace.is_some(),
        retries: args.snapshots.rollback,
    };
    let resumed = Resumed {
        about: &place.about,
        values: &args.values,
        parallel: args.parallel,
        root,
        plan,
        taken_over,
        checkpoints: checkpoints.clone(),
    };
    let mut screen = screen(args.format, config, 1);
    let mut signals = signals()?;
    let (control, runs, options) = resumed.submit(config, history).await?;
    let launch = Launch {
        control: &control,
        runs: &runs,
        options,
        screen: screen.as_mut(),
        signals: &mut signals,
        cancel_after: None,
    };
    let ended = launch.run().await?;
    if checkpoints.keep != Keep::Nothing || checkpoints.retries > 0 {
        args.snapshots.tidy(checkpoints.vault, history.store()).await?;
    }
    exit(ended, &control, &runs)
}

pub(super) fn signals() -> Result<Signals, Failure> {
    Signals::listen()
        .map_err(|error| Failure::new(Exit::Usage, error).while_doing("cannot listen for signals"))
}

/// A run that goes on from a checkpoint, before it is one.
pub(super) struct Resumed<'a> {
    pub(super) about: &'a About,
    pub(super) values: &'a ValueArgs,
    /// How many jobs run at a time.
    pub(super) parallel: Option<u16>,
    pub(super) root: PathBuf,
    pub(super) plan: Plan,
    pub(super) taken_over: Vec<run::event::EventKind>,
    pub(super) checkpoints: Checkpoints,
}

impl Resumed<'_> {
    /// Submits the run; the machines for it are of the kind that was.
    pub(super) async fn submit(
        self,
        config: &Config,
        history: &History,
    ) -> Result<(Control, Vec<run::id::RunId>, Options), Failure> {
        let Self { about, values, parallel, root, plan, taken_over, checkpoints } = self;
        let (options, secrets) = options(about, values, parallel, &root, checkpoints, config, history)?;
        let store = history.store().clone();
        store.leave_open();
        let control = Control::open(store, settings(history.state(), &options));
        let submission = Submission { plan, root: root.display().to_string(), secrets, taken_over };
        let runs = submit(&control, vec![submission]).await?;
        Ok((control, runs, options))
    }
}

/// The settings of a runner that makes machines of the kind that was, and the secrets that are given.
pub(super) fn options(
    about: &About,
    values: &ValueArgs,
    parallel: Option<u16>,
    root: &Path,
    checkpoints: Checkpoints,
    config: &Config,
    history: &History,
) -> Result<(Options, Vec<(String, String)>), Failure> {
    let choice = <MachineChoice as clap::ValueEnum>::from_str(&about.machine, true)
        .map_err(|_| Failure::missing(format!("this firedog cannot make `{}` machines", about.machine)))?;
    let mut action = about.actions.clone();
    action.extend(values.action.iter().cloned());
    let (network, network_allow) = network::kept(&about.network)?;
    let asked = Asked {
        machine: choice,
        image: about.image.clone().unwrap_or_else(|| DEFAULT_IMAGE.to_owned()),
        platform: vec![("*".to_owned(), choice)],
        network,
        network_allow,
        parallel,
        action,
        secret: values.secret.clone(),
    };
    let machines = look_for(asked, config);
    let secrets =
        values::secrets(values.secrets_file.as_deref(), &values.secret, &|name| std::env::var(name).ok())?;
    let tree = WorkingTree::read(root.to_owned());
    Ok((machines.options(tree, history.state(), Some(checkpoints))?, secrets))
}

/// The folder whose files later steps may ask for.
pub(super) fn root(given: Option<&Path>, about: &About) -> Result<PathBuf, Failure> {
    let failure = |failure: Failure| {
        if given.is_some() {
            failure
        } else {
            failure.with_help("name another folder with `--workspace FOLDER`")
        }
    };
    prepare::root(Some(given.unwrap_or(&about.root))).map_err(failure)
}

/// The plan that goes on: the recorded one, or one of the workflow as it is now; a later attempt either way.
fn planned(args: &RewindArgs, config: &Config, place: &Place, root: &Path) -> Result<Plan, Failure> {
    let old = &place.plan;
    let github =
        |name: &str| old.github.get(name).map(|value| value.to_text().into_owned()).unwrap_or_default();
    let attempt = github("run_attempt").parse::<u64>().unwrap_or(1) + 1;
    let mut new = match &args.workflow {
        None => old.clone(),
        Some(file) => {
            let recorded = PathBuf::from(&place.run.file);
            let file = file.clone().unwrap_or(recorded);
            let file = if file.exists() { file } else { Path::new(&place.run.root).join(file) };
            let mut file = files::read_workflow(&file, root)?;
            // The same workflow under another name would be another one to whoever asks for its runs.
            file = SourceFile::new(place.run.file.as_str(), file.text().clone());
            replanned(old, &file, root, &place.about, config, github("run_id"))?
        }
    };
    if let Ok(number) = github("run_number").parse() {
        new.set_run_number(number);
    }
    new.set_run_attempt(attempt);
    Ok(new)
}

fn replanned(
    old: &Plan,
    file: &SourceFile,
    root: &Path,
    about: &About,
    config: &Config,
    run_id: String,
) -> Result<Plan, Failure> {
    let resolver = CalledWorkflows { root, files: &[], repositories: &about.actions };
    let options = prepare::options(&resolver);
    let parsed = parse(file, &options);
    if parsed.has_errors() {
        return Err(prepare::refusal(&[(file, parsed.diagnostics)], config.stderr));
    }
    let Some(workflow) = parsed.value else {
        return Err(prepare::refusal(&[(file, parsed.diagnostics)], config.stderr));
    };
    let inputs = old.inputs.as_object().into_iter().flat_map(Object::iter);
    let inputs: IndexMap<String, String> = inputs
        .filter(|(_, value)| !matches!(value, Value::Null))
        .map(|(name, value)| (name.to_owned(), value.to_text().into_owned()))
        .collect();
    let request = Request {
        file,
        workflow,
        event: old.event.clone(),
        inputs: inputs.into_iter().collect(),
        vars: old.vars.clone(),
        env: old.env.clone(),
        selection: old.selection.clone(),
        run: RunFacts { run_id, run_attempt: String::new() },
    };
    plan(request, &options).map_err(|diagnostics| prepare::refusal(&[(file, diagnostics)], config.stderr))
}

/// Refuses a plan in which what ran before the step is another thing.
fn check_same(place: &Place, plan: &Plan, force: bool) -> Result<(), Failure> {
    let (job, step) = (&place.row.job, place.row.step);
    let missing = || Failure::usage(format!("the workflow has no job `{job}` with steps any more"));
    let new = definition(plan, job).ok_or_else(missing)?;
    if new.steps.len() <= step as usize {
        return Err(Failure::usage(format!("the job `{job}` has only {} steps now", new.steps.len())));
    }
    let Some(old) = definition(&place.plan, job).filter(|_| !force) else { return Ok(()) };
    let what = match same_before(old, new, step) {
        None => return Ok(()),
        Some(Difference::Step(other)) => {
            let name = shown(place.view.step_name(job, other), false).into_owned();
            format!("step {other} (`{name}`) of `{job}` is another one than it was")
        }
        Some(Difference::Job) => format!("the job `{job}` has other keys beside its steps than it had"),
    };
    Err(Failure::usage(format!("{what}, and it counts before step {step}")).with_help(
        "rewind to an earlier step, or go on with what the old workflow left behind with `--force`",
    ))
}
