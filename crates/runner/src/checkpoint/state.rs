//! What the runner knows of a job before a step begins, as it is kept: all that later steps can see of earlier ones.
//!
//! Not in it: what the job's definition and contexts say, which come with the job again, and values of secrets.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use indexmap::IndexMap;
use machine::network::Rule;
use machine::{BackendName, Machine, Network, Place};
use run::event::CheckpointKind;
use run::id::{JobId, RunId};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use workflow::expr::Value;
use workflow::model::Step;

use super::definition::{strip, without_places};
use super::secret::{Hiding, each_text, reveal};
use crate::action::resolve::KeptAction;
use crate::cancel::StepStop;
use crate::context::with_properties;
use crate::environment::Globals;
use crate::job::{Defaults, Job, Post};
use crate::output::mask::Masker;
use crate::step::Frame;

/// The version of what is kept; another one is refused.
const VERSION: u32 = 2;

/// The properties of `github` that a composite action sets for its steps.
const ACTION_PROPERTIES: [&str; 3] = ["action_path", "action_repository", "action_ref"];

/// A checkpoint's description cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It is no description, or damaged.
    #[error("the description of the checkpoint cannot be read")]
    Unreadable(#[source] serde_json::Error),
    /// It is of another version.
    #[error("the checkpoint was made by another version of firedog, and this one cannot read it")]
    Version(u32),
    /// A secret that it needs is not given.
    #[error("the state of the job holds the secret `{0}`, which is not given")]
    Secret(String),
    /// It is damaged.
    #[error("the description of the checkpoint is damaged")]
    Damaged,
}

/// What is told of a checkpoint to people, and to whoever goes on from it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// The version of what is kept.
    version: u32,
    /// The run.
    pub run: RunId,
    /// The job.
    pub job: JobId,
    /// The 0-based index of the step that was about to begin.
    pub step: u32,
    /// The kind of machine.
    pub machine: String,
    /// What is kept of the machine.
    pub kind: CheckpointKind,
    /// What the machine reached.
    pub network: KeptNetwork,
    /// The working tree's folder.
    pub root: PathBuf,
    /// Repositories of actions with the folders that stood for them.
    pub actions: Vec<(String, PathBuf)>,
    /// In how many values something is lost that a step masked.
    pub lost: usize,
    /// The definitions of the job's steps, without places.
    pub definitions: Vec<Json>,
    /// The digest of the image of a virtual machine, for whoever makes it again; it is told in the machine's own snapshot.
    #[serde(skip)]
    pub image: Option<String>,
}

/// What a machine reached, as texts that its rules are read from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeptNetwork {
    /// The world.
    Full,
    /// Nothing.
    None,
    /// What a policy admits.
    Limited {
        /// The list; none where everything public is admitted.
        list: Option<Vec<String>>,
        /// What is admitted besides, private or not.
        exceptions: Vec<String>,
    },
}

impl KeptNetwork {
    fn of(network: &Network) -> Self {
        let texts = |rules: &[Rule]| rules.iter().map(Rule::to_string).collect();
        match network {
            Network::Full => Self::Full,
            Network::None => Self::None,
            Network::Limited(policy) => {
                Self::Limited { list: policy.listed().map(texts), exceptions: texts(policy.exceptions()) }
            }
        }
    }
}

/// The state of a job.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct State {
    /// Where the machine's places were.
    places: Vec<(String, String)>,
    strategy: Value,
    shell: Option<String>,
    working_directory: Option<String>,
    env: IndexMap<String, String>,
    paths: Vec<String>,
    /// The `steps` context.
    pub(crate) steps: Value,
    /// Names of steps that began, for their posts.
    pub(crate) names: Vec<(u32, String)>,
    states: IndexMap<String, IndexMap<String, String>>,
    posts: Vec<KeptPost>,
    matchers: String,
    installed: Vec<String>,
    failed: bool,
    missing: Option<String>,
    next: u32,
}

/// A post of an action that has begun.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptPost {
    definition: Step,
    action: KeptAction,
    step: u32,
    path: String,
    depth: u32,
    env: IndexMap<String, String>,
    inputs: Value,
    github: Vec<(String, Value)>,
    steps: Value,
}

impl About {
    /// What is told of a job in front of one of its steps.
    pub(crate) fn new(job: &Job, step: u32, kind: CheckpointKind) -> Self {
        let actions = job.options.actions.all();
        Self {
            version: VERSION,
            run: job.spec.run.clone(),
            job: job.spec.job.clone(),
            step,
            machine: job.machine.backend().to_string(),
            kind,
            network: KeptNetwork::of(&job.options.network),
            root: job.tree.root.clone(),
            actions: actions.map(|(name, folder)| (name.to_owned(), folder.to_owned())).collect(),
            lost: 0,
            definitions: job.spec.definition.steps.iter().map(without_places).collect(),
            image: None,
        }
    }

    /// Reads what [`write`] wrote.
    ///
    /// # Errors
    /// When it is none, damaged, or of another version.
    pub fn read(bytes: &[u8]) -> Result<Self, StateError> {
        let document: Json = serde_json::from_slice(bytes).map_err(StateError::Unreadable)?;
        let version = document["version"].as_u64().and_then(|version| u32::try_from(version).ok());
        match version {
            Some(VERSION) => serde_json::from_value(document).map_err(StateError::Unreadable),
            Some(version) => Err(StateError::Version(version)),
            None => Err(StateError::Damaged),
        }
    }

    /// Whether a step is still the one that it was.
    pub(crate) fn has(&self, index: u32, step: &Step) -> bool {
        self.definitions.get(index as usize).is_some_and(|known| *known == without_places(step))
    }
}

/// The two documents of a checkpoint without secrets: what is told of it, and the state.
pub(crate) fn write(
    mut about: About,
    state: &State,
    secrets: &[(String, String)],
    masker: &Masker,
) -> (Vec<u8>, Vec<u8>) {
    let mut document = serde_json::to_value(state).expect("a state can be written as JSON");
    about.lost = Hiding::new(secrets, masker).hide(&mut document);
    let mut about = serde_json::to_value(about).expect("a description can be written as JSON");
    // The author may have written a secret into a step.
    each_text(&mut about, &mut |text| *text = masker.mask(text));
    let bytes = |document| serde_json::to_vec(document).expect("a JSON document can be written");
    (bytes(&about), bytes(&document))
}

/// Reads a state, with these secrets in their places.
pub(crate) fn read(bytes: &[u8], secrets: &[(String, String)]) -> Result<State, StateError> {
    let mut document: Json = serde_json::from_slice(bytes).map_err(StateError::Unreadable)?;
    reveal(&mut document, secrets).map_err(|missing| match missing {
        Some(name) => StateError::Secret(name),
        None => StateError::Damaged,
    })?;
    serde_json::from_value(document).map_err(StateError::Unreadable)
}

impl State {
    /// The state of a job.
    pub(crate) async fn of(job: &Job, globals: &Globals, steps: &Value, names: &[(u32, String)]) -> Self {
        let installed = job.installed.lock().await.iter().cloned().collect();
        let states = job.states.lock().unwrap_or_else(PoisonError::into_inner);
        let states = states.iter().map(|(path, values)| (path.clone(), values.clone())).collect();
        let posts =
            job.posts.lock().unwrap_or_else(PoisonError::into_inner).iter().map(KeptPost::of).collect();
        Self {
            places: places(&job.machine),
            strategy: job.contexts.get("strategy").cloned().unwrap_or_default(),
            shell: job.defaults.shell.clone(),
            working_directory: job.defaults.working_directory.clone(),
            env: globals.env().clone(),
            paths: globals.paths().to_vec(),
            steps: steps.clone(),
            names: names.to_vec(),
            states,
            posts,
            matchers: job.matchers.to_text(),
            installed,
            failed: job.failed.load(std::sync::atomic::Ordering::Relaxed),
            missing: job.missing.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            next: job.next.load(std::sync::atomic::Ordering::Relaxed),
        }
    }

    /// The same in another machine: where its places are elsewhere, texts that name them change.
    pub(crate) fn moved_to(self, machine: &Machine) -> Self {
        let mut moves: Vec<(String, String)> = self
            .places
            .iter()
            .zip(places(machine))
            .filter(|((_, old), (_, new))| old != new && !old.is_empty())
            .map(|((_, old), (_, new))| (old.clone(), new))
            .collect();
        if moves.is_empty() {
            return self;
        }
        moves.sort_by_key(|(old, _)| std::cmp::Reverse(old.len()));
        let mut document = serde_json::to_value(&self).expect("a state can be written as JSON");
        each_text(&mut document, &mut |text| {
            for (old, new) in moves.iter().filter(|(old, _)| text.contains(old.as_str())).collect::<Vec<_>>()
            {
                *text = text.replace(old.as_str(), new);
            }
        });
        // Nothing but texts has changed, and no text has a form.
        serde_json::from_value(document).unwrap_or(self)
    }

    /// Makes a job that has just been set up the one that this was; `about` says which steps are still the same.
    pub(crate) fn apply(&self, job: &mut Job, about: &About) -> Result<Globals, String> {
        let globals = Globals::new(self.env.clone(), self.paths.clone());
        let same = |path: &str| {
            let top = path.split('/').next().and_then(|top| top.parse::<u32>().ok());
            top.is_some_and(|top| {
                top < about.step
                    || job.spec.definition.steps.get(top as usize).is_some_and(|step| about.has(top, step))
            })
        };
        let states = self.states.iter().filter(|(path, _)| same(path));
        let states: HashMap<_, _> = states.map(|(path, values)| (path.clone(), values.clone())).collect();
        let posts: Vec<KeptPost> = self.posts.iter().filter(|post| same(&post.path)).cloned().collect();
        job.contexts.set("strategy", self.strategy.clone());
        job.contexts.set("env", globals.context(&IndexMap::new()));
        job.defaults =
            Defaults { shell: self.shell.clone(), working_directory: self.working_directory.clone() };
        job.states = states.into();
        job.posts = posts.into_iter().map(|post| post.post(job)).collect::<Vec<_>>().into();
        job.matchers = Arc::new(crate::output::matcher::Matchers::from_text(&self.matchers)?);
        job.installed = tokio::sync::Mutex::new(self.installed.iter().cloned().collect());
        job.failed = self.failed.into();
        job.missing = self.missing.clone().into();
        job.next = self.next.into();
        job.touched = true.into();
        Ok(globals)
    }
}

fn places(machine: &Machine) -> Vec<(String, String)> {
    // In all other machines the places are where they always are.
    if machine.backend() != BackendName::Host {
        return Vec::new();
    }
    let path = |place| machine.path(place).trim_end_matches('/').to_owned();
    Place::ALL.into_iter().map(|place| (format!("{place:?}"), path(place))).collect()
}

impl KeptPost {
    fn of(post: &Post) -> Self {
        let Frame { step, path, contexts, env, depth, stop: _ } = &post.frame;
        let github = contexts.get("github").unwrap_or(&Value::Null);
        let set = |name: &&str| Some(((*name).to_owned(), github.get(name)?.clone()));
        Self {
            definition: post.step.clone(),
            action: post.loaded.keep(),
            step: *step,
            path: path.clone(),
            depth: *depth,
            env: env.clone(),
            inputs: if *depth > 0 {
                contexts.get("inputs").cloned().unwrap_or_default()
            } else {
                Value::Null
            },
            github: ACTION_PROPERTIES.iter().filter_map(set).collect(),
            steps: post.steps.clone(),
        }
    }

    fn post(self, job: &Job) -> Post {
        let mut contexts = job.contexts.clone();
        if self.depth > 0 {
            contexts.set("inputs", self.inputs);
            let github = contexts.get("github").unwrap_or(&Value::Null);
            let set = self.github.iter().map(|(name, value)| (name.as_str(), value.clone()));
            contexts.set("github", with_properties(github, set));
        }
        let stop = StepStop { job: job.stop.clone(), own: None, deadline: None };
        let frame =
            Frame { step: self.step, path: self.path, contexts, env: self.env, stop, depth: self.depth };
        Post { step: self.definition, loaded: Arc::new(self.action.loaded()), frame, steps: self.steps }
    }
}

/// Whether two jobs are the same up to a step: their first steps, and what they have besides steps.
#[must_use]
pub fn same_before(
    old: &workflow::model::Steps,
    new: &workflow::model::Steps,
    step: u32,
) -> Option<Difference> {
    let frame = |steps: &workflow::model::Steps| {
        let mut steps = steps.clone();
        steps.steps.clear();
        // What only counts at the end of the job may change.
        (steps.outputs, steps.continue_on_error, steps.timeout_minutes, steps.cancel_timeout_minutes) =
            (None, None, None, None);
        let mut frame = serde_json::to_value(steps).expect("a job can be written as JSON");
        strip(&mut frame);
        frame
    };
    if frame(old) != frame(new) {
        return Some(Difference::Job);
    }
    let definition =
        |steps: &workflow::model::Steps, index: u32| steps.steps.get(index as usize).map(without_places);
    (0..step).find(|index| definition(old, *index) != definition(new, *index)).map(Difference::Step)
}

/// The first difference between two jobs that counts before a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// In a step, by its 0-based index.
    Step(u32),
    /// In what the job has besides steps, such as `env`.
    Job,
}
