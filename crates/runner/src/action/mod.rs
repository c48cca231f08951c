//! `uses` steps.

pub(crate) mod checkout;
mod composite;
mod node;
pub(crate) mod resolve;

use std::pin::Pin;
use std::sync::{Arc, PoisonError};

use indexmap::IndexMap;
use run::event::Phase;
use workflow::expr::{Contexts, Value};
use workflow::model::{Action, ActionRuns, Step, StepKind};
use workflow::template::Token;

use crate::context::with_properties;
use crate::environment::Globals;
use crate::job::{Fatal, Job, Post};
use crate::process;
use crate::step::{self, End, Frame, Ready};

use resolve::{LoadError, Loaded, Reference};

/// How deep composite actions may use each other.
const MAX_DEPTH: u32 = 10;

/// A future that may hold another one of its kind.
type Nested<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Runs the main part of a `uses` step.
pub(crate) async fn run(
    job: &Arc<Job>,
    step: &Step,
    uses: &str,
    with: Option<&Token>,
    frame: &Frame,
    ready: &Ready,
    globals: &mut Globals,
) -> Result<End, Fatal> {
    let reference = Reference::parse(uses).seen_from(&ready.contexts);
    if checkout::is_checkout(&reference) {
        let with = match given_inputs(job, with, &ready.contexts).await {
            Ok(with) => with,
            Err(error) => return Ok(End::failed(error)),
        };
        if checkout::serves(job, &with) {
            let outlives_cancel = step::around(job, step, frame, ready).await.outlives_cancel;
            let mut stop = frame.stop.clone();
            // What it does in the machine ends with it.
            return tokio::select! {
                biased;
                ended = checkout::run(job, frame, &with) => ended,
                reason = stop.wait(outlives_cancel) => Ok(process::stopped(reason)),
            };
        }
    }
    let loaded = match resolve::load(job, &reference).await? {
        Ok(loaded) => loaded,
        Err(error) => return Ok(refused(job, &error)),
    };
    if has_pre(&loaded.action) && loaded.repository.is_none() {
        let warning = format!("Warning: `pre` execution is not supported for local action from '{uses}'");
        job.say(Some(frame.step), &warning).await?;
    }
    run_phase(job, step, &loaded, with, frame, ready, Phase::Main, globals).await
}

/// Ends a step whose action cannot be used.
fn refused(job: &Job, error: &LoadError) -> End {
    let message = error.to_string();
    if matches!(error, LoadError::Container(_)) {
        job.lacks(&message);
    }
    End::failed(message)
}

/// Runs one phase of an action.
#[expect(clippy::too_many_arguments, reason = "each of them is another part of the step's surroundings")]
pub(crate) fn run_phase<'a>(
    job: &'a Arc<Job>,
    step: &'a Step,
    loaded: &'a Arc<Loaded>,
    with: Option<&'a Token>,
    frame: &'a Frame,
    ready: &'a Ready,
    phase: Phase,
    globals: &'a mut Globals,
) -> Nested<'a, Result<End, Fatal>> {
    Box::pin(async move {
        if frame.depth > MAX_DEPTH {
            return Ok(End::failed(format!("Composite action depth exceeded max depth {MAX_DEPTH}")));
        }
        let contexts = contexts_of(loaded, &ready.contexts);
        let inputs = match inputs(job, &loaded.action, with, frame, &contexts, phase).await? {
            Ok(inputs) => inputs,
            Err(error) => return Ok(End::failed(error)),
        };
        if let Some(failed) = resolve::install(job, loaded).await? {
            return Ok(End::failed(failed));
        }
        let ready = Ready { contexts, env: ready.env.clone(), files: ready.files.clone() };
        match &loaded.action.runs {
            ActionRuns::Node { .. } => {
                register_post(job, step, loaded, frame, &ready, phase);
                let Some(script) = node::script(&loaded.action.runs, phase) else {
                    return Ok(End::new(run::status::Conclusion::Success));
                };
                let around = step::around(job, step, frame, &ready).await;
                node::run(&around, loaded, script, &inputs, globals).await
            }
            ActionRuns::Composite { steps } => {
                composite::run(job, loaded, steps, &inputs, frame, &ready, phase, globals).await
            }
            ActionRuns::Docker { .. } => Ok(refused(job, &LoadError::Container(loaded.folder.clone()))),
            ActionRuns::Plugin { plugin } => {
                Ok(End::failed(format!("the plugin `{plugin}` does not exist any more")))
            }
        }
    })
}

/// The contexts in which an action's inputs are evaluated and its scripts run.
fn contexts_of(loaded: &Loaded, contexts: &Contexts) -> Contexts {
    let (name, version) = loaded.repository.as_ref().map_or((Value::Null, Value::Null), |repository| {
        (Value::from(repository.name.as_str()), Value::from(repository.version.as_str()))
    });
    let github = contexts.get("github").unwrap_or(&Value::Null);
    let github = with_properties(github, [("action_repository", name), ("action_ref", version)]);
    contexts.clone().with("github", github)
}

/// What `with` gives.
async fn given_inputs(
    job: &Job,
    with: Option<&Token>,
    contexts: &Contexts,
) -> Result<IndexMap<String, String>, String> {
    match with {
        Some(with) => step::evaluator(job, job.status()).mapping(with, contexts).await,
        None => Ok(IndexMap::new()),
    }
}

/// The inputs of an action: what `with` gives, and defaults for the rest. What the action does not know is said.
async fn inputs(
    job: &Job,
    action: &Action,
    with: Option<&Token>,
    frame: &Frame,
    contexts: &Contexts,
    phase: Phase,
) -> Result<Result<IndexMap<String, String>, String>, Fatal> {
    let mut inputs = match given_inputs(job, with, contexts).await {
        Ok(given) => given,
        Err(error) => return Ok(Err(error)),
    };
    if phase == Phase::Main {
        warn_of_inputs(job, action, frame, &inputs).await?;
    }
    for (name, input) in &action.inputs {
        if inputs.keys().any(|given| given.eq_ignore_ascii_case(name)) {
            continue;
        }
        let value = match &input.default {
            Some(default) => step::evaluator(job, job.status()).text(default, contexts).await,
            None => Ok(Arc::from("")),
        };
        match value {
            Ok(value) => inputs.insert(name.clone(), value.to_string()),
            Err(error) => return Ok(Err(error)),
        };
    }
    Ok(Ok(inputs))
}

async fn warn_of_inputs(
    job: &Job,
    action: &Action,
    frame: &Frame,
    given: &IndexMap<String, String>,
) -> Result<(), Fatal> {
    let known = |name: &String| action.inputs.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    let unexpected: Vec<&str> =
        given.keys().filter(|name| known(name).is_none()).map(String::as_str).collect();
    if !unexpected.is_empty() {
        let valid: Vec<&str> = action.inputs.keys().map(String::as_str).collect();
        let warning = format!(
            "Warning: Unexpected input(s) '{}', valid inputs are ['{}']",
            unexpected.join("', '"),
            valid.join("', '")
        );
        job.say(Some(frame.step), &warning).await?;
    }
    for name in given.keys() {
        if let Some(message) = known(name).and_then(|(_, input)| input.deprecation_message.as_ref()) {
            let warning = format!("Warning: Input '{name}' has been deprecated with message: {message}");
            job.say(Some(frame.step), &warning).await?;
        }
    }
    Ok(())
}

/// Remembers the `post` of an action when its `pre` or `main` begins.
fn register_post(job: &Job, step: &Step, loaded: &Arc<Loaded>, frame: &Frame, ready: &Ready, phase: Phase) {
    let ActionRuns::Node { post_if, .. } = &loaded.action.runs else { return };
    if phase == Phase::Post || node::script(&loaded.action.runs, Phase::Post).is_none() {
        return;
    }
    let mut posts = job.posts.lock().unwrap_or_else(PoisonError::into_inner);
    if posts.iter().any(|post| post.frame.path == frame.path) {
        return;
    }
    let mut step = step.clone();
    step.condition = post_if.clone();
    let steps = ready.contexts.get("steps").cloned().unwrap_or_default();
    posts.push(Post { step, loaded: Arc::clone(loaded), frame: frame.clone(), steps });
}

fn has_pre(action: &Action) -> bool {
    node::script(&action.runs, Phase::Pre).is_some()
}

/// The action of a step of another repository, where it is known and has something to run before the first step.
pub(crate) fn with_pre(job: &Job, step: &Step, contexts: &Contexts, depth: u32) -> Option<Arc<Loaded>> {
    let StepKind::Uses { uses, .. } = &step.kind else { return None };
    let Reference::Repository { name, path, version } = Reference::parse(&uses.value).seen_from(contexts)
    else {
        return None;
    };
    let loaded = resolve::load_repository(job, &name, &path, &version).ok()?;
    let has_pre = match &loaded.action.runs {
        ActionRuns::Composite { steps } if depth < MAX_DEPTH => {
            let contexts = contexts_of(&loaded, contexts);
            steps.iter().any(|step| with_pre(job, step, &contexts, depth + 1).is_some())
        }
        _ => has_pre(&loaded.action),
    };
    has_pre.then_some(loaded)
}
