//! From a lease to a job in its machine: secrets to the masker, the machine booted, contexts, variables, limits.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use machine::{Backend, BootError, Content, FileToWrite, Folder, Machine, MachineSpec, Place};
use run::id::LeaseId;
use run::job::JobSpec;
use run::lease::Lease;
use tokio::sync::watch;
use workflow::expr::{Contexts, JobStatus, NoHost, Object, Value};
use workflow::template::{Token, evaluate};

use crate::action::resolve::put_folder;
use crate::cancel::Stop;
use crate::checkpoint::{Begin, Boundary, Keeper, restore_files};
use crate::context::{Evaluator, with_properties};
use crate::environment::Globals;
use crate::job::{Defaults, Job, Refused};
use crate::options::Options;
use crate::output::mask::Masker;
use crate::output::matcher::Matchers;
use crate::process::COMMAND_FOLDER;
use crate::sink::{Sink, with_sources};
use crate::step;
use crate::watch::Limit;
use crate::workspace::Tree;

/// How long a job may take that does not say.
const DEFAULT_TIMEOUT_MINUTES: f64 = 360.0;

/// How long a cancelled job may take to end that does not say.
const DEFAULT_CANCEL_TIMEOUT_MINUTES: f64 = 5.0;

/// The folder of the event's payload, in `RUNNER_TEMP`.
const EVENT_FOLDER: &str = "_github_workflow";

/// Labels of machines that this runner cannot make.
const FOREIGN_SYSTEMS: [(&str, &str); 2] = [("windows", "Windows"), ("macos", "macOS")];

/// What a job is set up with, as often as it takes.
pub(crate) struct Setup {
    options: Arc<Options>,
    tree: Arc<Tree>,
    sink: Sink,
    stop: watch::Receiver<Stop>,
    lease: LeaseId,
    spec: JobSpec,
    secrets: Arc<[(String, String)]>,
    masker: Arc<Masker>,
}

impl Setup {
    /// For a leased job.
    pub(crate) fn new(
        options: Arc<Options>,
        tree: Arc<Tree>,
        sink: Sink,
        stop: watch::Receiver<Stop>,
        lease: Lease,
    ) -> Result<Self, Refused> {
        let Lease { id: lease, spec, secrets } = lease;
        let masker = Masker::new(secrets.iter().map(|(_, value)| value.as_str()));
        let masker = Arc::new(masker.map_err(|error| Refused::error(error.to_string()))?);
        Ok(Self { options, tree, sink, stop, lease, spec, secrets: secrets.into(), masker })
    }

    /// Boots the machine, or makes it as it was, and evaluates what the job says of all its steps.
    pub(crate) async fn run(&self, begin: &Begin, limit: &Limit) -> Result<(Job, Globals), Refused> {
        let contexts = contexts(&self.spec, &self.secrets);
        self.refuse_what_is_missing(&self.spec, &contexts)?;
        let machine = self.machine(begin).await?;
        let retries = self.options.checkpoints.as_ref().map_or(0, |checkpoints| checkpoints.retries);
        let told = begin.events(machine.backend().to_string(), retries);
        let mut job = self.job(machine, contexts);
        let set_up = async {
            job.sink.send_all(told).await.map_err(|error| error.to_string())?;
            write_event(&job).await?;
            let globals = match begin.boundary() {
                Some(Boundary { state, about, attempt, .. }) => {
                    if *attempt == 1 {
                        renew_workspace(&job).await?;
                    }
                    state.as_ref().clone().moved_to(&job.machine).apply(&mut job, about)?
                }
                None => {
                    let globals = evaluate_env(&mut job).await?;
                    job.defaults = evaluate_defaults(&job).await?;
                    globals
                }
            };
            set_limits(&job, limit).await?;
            Ok(globals)
        };
        let result: Result<Globals, String> = set_up.await;
        match result {
            Ok(globals) => Ok((job, globals)),
            Err(error) => {
                job.machine.stop().await;
                Err(Refused::error(job.masker.mask(&error)))
            }
        }
    }

    /// Refuses jobs that need containers or another system.
    fn refuse_what_is_missing(&self, spec: &JobSpec, contexts: &Contexts) -> Result<(), Refused> {
        let (_, is_chosen) = self.options.backend(&spec.labels);
        let foreign = FOREIGN_SYSTEMS.iter().find(|(prefix, _)| {
            spec.labels.iter().any(|label| label.to_lowercase().split('-').next() == Some(prefix))
        });
        if let Some((_, system)) = foreign.filter(|_| !is_chosen) {
            let labels = spec.labels.join(", ");
            return Err(Refused::lacks(format!(
                "the job runs on `{labels}`, and this host cannot make a {system} machine"
            )));
        }
        for (key, token) in
            [("container", &spec.definition.container), ("services", &spec.definition.services)]
        {
            if needs_containers(token.as_ref(), contexts) {
                return Err(Refused::lacks(format!(
                    "the job has `{key}`, and this runner has no container engine"
                )));
            }
        }
        Ok(())
    }

    /// A machine for the job: a new one, or one as it was when a step was about to begin.
    async fn machine(&self, begin: &Begin) -> Result<Machine, Refused> {
        let (backend, _) = self.options.backend(&self.spec.labels);
        let mut stop = self.stop.clone();
        tokio::select! {
            biased;
            machine = self.make(backend, begin) => machine,
            _ = stop.wait_for(|stop| *stop >= Stop::Graceful) => Err(Refused::error("The operation was canceled.")),
        }
    }

    async fn make(&self, backend: &dyn Backend, begin: &Begin) -> Result<Machine, Refused> {
        let failed = |error: BootError| Refused::error(with_sources(&error));
        let Some((boundary, checkpoints)) = begin.boundary().zip(self.options.checkpoints.as_ref()) else {
            return Machine::start(backend, &self.machine_spec(Arc::clone(&self.tree.entries)))
                .await
                .map_err(failed);
        };
        let (made, asked) = (&boundary.about.machine, backend.name().to_string());
        if *made != asked {
            let error =
                format!("the checkpoint is one of a `{made}` machine, and this runner makes `{asked}` ones");
            return Err(Refused::error(error));
        }
        // What the folders hold comes from the checkpoint.
        let spec = self.machine_spec(Arc::default());
        let vault = &checkpoints.vault;
        let kept = vault.get(&boundary.checkpoint.0).map_err(|error| Refused::error(with_sources(&error)))?;
        if let Some(snapshot) = kept.snapshot() {
            return Machine::restore(backend, &spec, &snapshot).await.map_err(failed);
        }
        let machine = Machine::start(backend, &spec).await.map_err(failed)?;
        match restore_files(vault, &boundary.checkpoint, machine.host_folders()).await {
            Ok(()) => Ok(machine),
            Err(error) => {
                machine.stop().await;
                Err(Refused::error(error))
            }
        }
    }

    fn machine_spec(&self, entries: Arc<Vec<PathBuf>>) -> MachineSpec {
        let spec = &self.spec;
        let text = |name| spec.contexts.github.get(name).and_then(Value::as_str).unwrap_or_default();
        let repository =
            text("repository").rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("workspace");
        let content = Content::Copy { root: self.tree.root.clone(), entries };
        let objects = self.tree.git.as_ref().map(|git| git.common().join("objects"));
        MachineSpec {
            name: format!("{}-{}", spec.run, spec.job),
            repository: repository.to_owned(),
            folders: vec![Folder { place: Place::Workspace, content }],
            in_memory: [COMMAND_FOLDER, EVENT_FOLDER].map(str::to_owned).to_vec(),
            read_only: objects.into_iter().collect(),
            caller: self.options.caller.clone(),
            network: self.options.network.clone(),
            size: None,
            scratch: self.options.scratch.clone(),
            agent: self.options.agent.clone(),
        }
    }

    fn job(&self, machine: Machine, mut contexts: Contexts) -> Job {
        let debug = is_debugging(&self.spec, &self.secrets);
        let path = |place| machine.path(place).trim_end_matches('/').to_owned();
        let (workspace, temp) = (path(Place::Workspace), path(Place::Temp));
        let runner = runner_context(&self.options, &workspace, &temp, &path(Place::ToolCache), debug);
        let github = with_properties(
            contexts.get("github").unwrap_or(&Value::Null),
            [
                ("workspace", Value::from(workspace.as_str())),
                ("event_path", Value::from(format!("{temp}/{EVENT_FOLDER}/event.json"))),
            ],
        );
        contexts.set("github", github);
        contexts.set("runner", runner.clone());
        Job {
            options: Arc::clone(&self.options),
            spec: self.spec.clone(),
            lease: self.lease.clone(),
            secrets: Arc::clone(&self.secrets),
            machine,
            current: Mutex::default(),
            sink: self.sink.clone(),
            masker: Arc::clone(&self.masker),
            matchers: Arc::new(Matchers::default()),
            stop: self.stop.clone(),
            tree: Arc::clone(&self.tree),
            workspace,
            temp,
            contexts,
            runner,
            defaults: Defaults::default(),
            debug,
            actions: Mutex::default(),
            installed: tokio::sync::Mutex::default(),
            states: Mutex::default(),
            posts: Mutex::default(),
            failed: AtomicBool::new(false),
            missing: Mutex::default(),
            next: AtomicU32::new(1),
            programs: Mutex::default(),
            touched: AtomicBool::new(false),
            keeper: Keeper::default(),
        }
    }
}

/// Puts the files of the working tree in place of those in the workspace, where that is asked for. Others stay.
async fn renew_workspace(job: &Job) -> Result<(), String> {
    if !job.options.checkpoints.as_ref().is_some_and(|checkpoints| checkpoints.renew_workspace) {
        return Ok(());
    }
    let entries = Some(Arc::clone(&job.tree.entries));
    let put = put_folder(job, &job.tree.root, entries, &job.workspace).await;
    put.map_err(|fatal| fatal.to_string())?.map_or(Ok(()), Err)
}

/// The contexts that are known without a machine.
fn contexts(spec: &JobSpec, secrets: &[(String, String)]) -> Contexts {
    let known = &spec.contexts;
    let token = secrets.iter().find(|(name, _)| name.eq_ignore_ascii_case("GITHUB_TOKEN"));
    let mut properties = vec![("token", Value::from(token.map_or("", |(_, token)| token)))];
    if known.github.get("job").is_none_or(|job| matches!(job, Value::Null)) {
        let key = spec.job.key();
        properties.push(("job", Value::from(key.rsplit('/').next().unwrap_or_default())));
    }
    let secrets: Object = secrets.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    Contexts::new()
        .with("github", with_properties(&known.github, properties))
        .with("vars", known.vars.clone())
        .with("inputs", known.inputs.clone())
        .with("matrix", known.matrix.clone())
        .with("strategy", known.strategy.clone())
        .with("needs", known.needs.clone())
        .with("secrets", secrets)
}

/// Whether `ACTIONS_STEP_DEBUG` is set, as a secret or as a variable.
fn is_debugging(spec: &JobSpec, secrets: &[(String, String)]) -> bool {
    let secret = secrets.iter().find(|(name, _)| name.eq_ignore_ascii_case("ACTIONS_STEP_DEBUG"));
    let variable = spec.contexts.vars.get("ACTIONS_STEP_DEBUG").and_then(Value::as_str);
    secret.map(|(_, value)| value.as_str()).or(variable) == Some("true")
}

/// Whether `container` or `services` names an image.
fn needs_containers(token: Option<&Token>, contexts: &Contexts) -> bool {
    let has_image = |value: &Value| match value {
        Value::String(image) => !image.is_empty(),
        Value::Object(object) => {
            object.get("image").is_none_or(|image| !image.to_text().is_empty()) && !object.is_empty()
        }
        _ => false,
    };
    let Some(token) = token else { return false };
    match evaluate(token, contexts, &NoHost) {
        Ok(value) => {
            has_image(&value) || value.as_object().is_some_and(|services| services.values().any(has_image))
        }
        // What cannot be known is there, rather than silently left out.
        Err(_) => true,
    }
}

fn runner_context(options: &Options, workspace: &str, temp: &str, tool_cache: &str, debug: bool) -> Value {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "X64",
        "aarch64" => "ARM64",
        "x86" => "X86",
        "arm" => "ARM",
        other => other,
    };
    let above = workspace.rsplit_once('/').map_or("/", |(above, _)| above);
    let mut runner: Object = [
        ("name", options.runner.as_str()),
        ("os", "Linux"),
        ("arch", architecture),
        ("environment", "self-hosted"),
        ("temp", temp),
        ("tool_cache", tool_cache),
        ("workspace", above),
    ]
    .into_iter()
    .collect();
    if debug {
        runner.insert("debug", "1");
    }
    runner.into()
}

/// Writes the event's payload, for `GITHUB_EVENT_PATH`.
async fn write_event(job: &Job) -> Result<(), String> {
    let github = job.contexts.get("github").unwrap_or(&Value::Null);
    let event = github.get("event").filter(|event| !matches!(event, Value::Null)).cloned();
    let data = serde_json::to_vec(&event.unwrap_or_else(|| Object::new().into()).to_json())
        .map_err(|error| error.to_string())?;
    let path = format!("{}/{EVENT_FOLDER}/event.json", job.temp);
    let file = FileToWrite { path, data, mode: 0o644 };
    job.machine.write_files(vec![file]).await.map_err(|error| error.to_string())
}

/// `env` of the workflow and of the job, each seeing those before.
async fn evaluate_env(job: &mut Job) -> Result<Globals, String> {
    let mut globals = Globals::default();
    let tokens: Vec<Token> = job.spec.workflow_env.iter().chain(&job.spec.definition.env).cloned().collect();
    for token in tokens {
        job.contexts.set("env", globals.context(&indexmap::IndexMap::new()));
        let evaluator =
            Evaluator { machine: &job.machine, workspace: &job.workspace, status: JobStatus::Success };
        for (name, value) in evaluator.mapping(&token, &job.contexts).await? {
            globals.set_env(name, value);
        }
    }
    job.contexts.set("env", globals.context(&indexmap::IndexMap::new()));
    Ok(globals)
}

/// `defaults.run`: the job's takes the place of the workflow's.
async fn evaluate_defaults(job: &Job) -> Result<Defaults, String> {
    let run = |token: &Option<Token>| {
        token.as_ref().and_then(|token| token.entry("run")).map(|entry| entry.value.clone())
    };
    let Some(token) = run(&job.spec.definition.defaults).or_else(|| run(&job.spec.workflow_defaults)) else {
        return Ok(Defaults::default());
    };
    let evaluated = step::evaluator(job, JobStatus::Success).mapping(&token, &job.contexts).await?;
    let value = |name: &str| evaluated.get(name).filter(|value| !value.is_empty()).cloned();
    Ok(Defaults { shell: value("shell"), working_directory: value("working-directory") })
}

/// The time that the job has, and that it has to end when it is cancelled.
async fn set_limits(job: &Job, limit: &Limit) -> Result<(), String> {
    let evaluator = step::evaluator(job, JobStatus::Success);
    let definition = &job.spec.definition;
    let minutes = async |token: &Option<Token>, default: f64| match token {
        Some(token) => evaluator
            .number(token, &job.contexts)
            .await
            .map(|minutes| if minutes > 0.0 { minutes } else { default }),
        None => Ok(default),
    };
    let whole = minutes(&definition.timeout_minutes, DEFAULT_TIMEOUT_MINUTES).await?;
    let cancel = minutes(&definition.cancel_timeout_minutes, DEFAULT_CANCEL_TIMEOUT_MINUTES).await?;
    let time = |minutes: f64| Duration::try_from_secs_f64(minutes * 60.0).unwrap_or(Duration::MAX);
    limit.set(time(whole), time(cancel));
    Ok(())
}
