//! Which machines the jobs of a run get, and the settings of the runner that makes them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use image::Store;
use machine::network::Rule;
use machine::probe::{Choice, FoundImage, NoBackend, Wanted, select};
use machine::vm::{Image, User};
use machine::{AgentCommand, Backend, Caller};
use run::id::RunnerId;
use runner::checkpoint::Checkpoints;
use runner::options::{ActionSources, Options, Platform};
use runner::workspace::WorkingTree;

use super::args::{MachineChoice, NetworkChoice, RunArgs, SecretSource};
use super::network;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::state::StateFolder;
use crate::{GUEST_AGENT, output};

/// Every label, and none.
const ANY: &str = "*";
/// Labels of GitHub's own runners that a machine of this host stands in for.
const UBUNTU: [&str; 6] =
    ["ubuntu-latest", "ubuntu-slim", "ubuntu-26.04", "ubuntu-24.04", "ubuntu-22.04", "ubuntu-20.04"];
/// The fewest jobs at a time where nobody says how many: jobs mostly wait for processes, disks and networks.
const LEAST_PARALLEL: usize = 8;

/// What is asked of machines and of the runner that makes them.
pub(super) struct Asked {
    pub(super) machine: MachineChoice,
    pub(super) image: String,
    pub(super) platform: Vec<(String, MachineChoice)>,
    pub(super) network: NetworkChoice,
    pub(super) network_allow: Vec<Rule>,
    pub(super) parallel: Option<u16>,
    pub(super) action: Vec<(String, PathBuf)>,
    pub(super) secret: Vec<SecretSource>,
}

impl From<&RunArgs> for Asked {
    fn from(args: &RunArgs) -> Self {
        Self {
            machine: args.machine,
            image: args.image.clone(),
            platform: args.platform.clone(),
            network: args.network.clone(),
            network_allow: args.network_allow.clone(),
            parallel: args.parallel,
            action: args.action.clone(),
            secret: args.secret.clone(),
        }
    }
}

/// The kinds of machines that the command line asks for, being looked for.
pub(super) struct Machines {
    /// For jobs that no platform names; none where a platform names all of them.
    default: Option<JoinHandle<Found>>,
    platforms: Vec<(String, JoinHandle<Found>)>,
    asked: Asked,
    quiet: bool,
}

type Found = Result<(Arc<dyn Backend>, String), NoBackend>;

/// Starts to look for machines; where a sandbox has to be tried, that takes some milliseconds, in which other things are
/// done.
pub(super) fn look_for(asked: Asked, config: &Config) -> Machines {
    let look = |choice: MachineChoice| {
        let path = search_path();
        let has_network = !matches!(asked.network, NetworkChoice::None);
        let (name, images) = (asked.image.clone(), config.data.as_ref().map(|data| data.join("images")));
        std::thread::spawn(move || {
            let wanted = Wanted { choice: choice.into(), has_network };
            let selection = select(wanted, &path, &|| find_image(&name, images.as_deref()))?;
            Ok((Arc::from(selection.backend), selection.reason))
        })
    };
    let mut platforms = asked.platform.clone();
    // What is named by its label is not what `*` means.
    platforms.sort_by_key(|(label, _)| label == ANY);
    let all_named = platforms.last().is_some_and(|(label, _)| label == ANY);
    Machines {
        default: (!all_named).then(|| look(asked.machine)),
        platforms: platforms.into_iter().map(|(label, choice)| (label, look(choice))).collect(),
        asked,
        quiet: config.quiet,
    }
}

impl From<MachineChoice> for Choice {
    fn from(choice: MachineChoice) -> Self {
        match choice {
            MachineChoice::Auto => Self::Auto,
            MachineChoice::Firecracker => Self::Firecracker,
            MachineChoice::FirecrackerUnjailed => Self::FirecrackerUnjailed,
            MachineChoice::Namespace => Self::Namespace,
            MachineChoice::Qemu => Self::Qemu,
            MachineChoice::Host => Self::Host,
        }
    }
}

/// A backend of this kind, for machines that are made of the image where they are virtual.
pub(in crate::verb) fn find(
    choice: MachineChoice,
    image: &str,
    config: &Config,
) -> Result<Arc<dyn Backend>, Failure> {
    let images = config.data.as_ref().map(|data| data.join("images"));
    // What they are to reach is said later, machine by machine.
    let wanted = Wanted { choice: choice.into(), has_network: true };
    let selection = select(wanted, &search_path(), &|| find_image(image, images.as_deref()));
    Ok(Arc::from(selection.map_err(no_backend)?.backend))
}

/// The image of that name in the store of images.
fn find_image(name: &str, images: Option<&Path>) -> Result<FoundImage, NoBackend> {
    let missing = |error: &dyn std::error::Error| {
        let mut reason = format!("the image `{name}` cannot be used: {error}");
        if let Some(source) = error.source() {
            reason = format!("{reason}: {source}");
        }
        NoBackend { reason, remedy: Some(format!("build it with `firedog image build {name}`")) }
    };
    let Some(images) = images else {
        let reason = "there is no folder for images, HOME is not set".to_owned();
        return Err(NoBackend { reason, remedy: Some("set XDG_DATA_HOME to a folder".to_owned()) });
    };
    let found = Store::open(images).and_then(|store| store.get(name)).map_err(|error| missing(&error))?;
    let manifest = found.manifest();
    let user = User {
        name: manifest.user.name.clone(),
        uid: manifest.user.uid,
        gid: manifest.user.gid,
        home: manifest.user.home.clone(),
    };
    let image = Image {
        digest: found.digest().to_string(),
        kernel: found.kernel().to_owned(),
        initramfs: found.initramfs().map_err(|error| missing(&error))?,
        root: found.root().to_owned(),
        user,
        environment: manifest.environment.clone().into_iter().collect(),
    };
    Ok(FoundImage { image, held: Arc::new(found) })
}

/// The folders of `PATH`.
fn search_path() -> Vec<PathBuf> {
    std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default()
}

impl Machines {
    /// The runner's settings, once the machines are found.
    pub(super) fn options(
        mut self,
        tree: WorkingTree,
        state: &StateFolder,
        checkpoints: Option<Checkpoints>,
    ) -> Result<Options, Failure> {
        let mut labels: Vec<String> = served_labels();
        labels.extend(self.platforms.iter().map(|(label, _)| label.clone()));
        let default = self.default.take().map(found).transpose()?;
        if let (Some((backend, reason)), false) = (&default, self.quiet) {
            output::to_stderr(&format!("machine: {} ({reason})", backend.name()));
        }
        let mut platforms = Vec::new();
        for (label, looking) in std::mem::take(&mut self.platforms) {
            platforms.push(Platform { label, backend: found(looking)?.0 });
        }
        let named = platforms.last().map(|platform| Arc::clone(&platform.backend));
        let backend = default.map(|(backend, _)| backend).or(named).expect("a machine was looked for");
        let caller = caller(&self.asked.secret);
        let network = network::of(&self.asked.network, &self.asked.network_allow, &caller)?;
        if !self.quiet {
            network::notes(&network, &caller).iter().for_each(|note| output::to_stderr(note));
        }
        let mut actions = ActionSources::default();
        for (reference, folder) in &self.asked.action {
            actions.add(reference, absolute(folder)?);
        }
        Ok(Options {
            runner: RunnerId(state.owner().id().to_owned()),
            labels,
            capacity: self.asked.parallel.map_or_else(default_parallel, usize::from),
            backend,
            platforms,
            tree,
            actions,
            caller,
            network,
            scratch: state.scratch(),
            agent: agent()?,
            checkpoints,
            services: Vec::new(),
        })
    }
}

fn found(looking: JoinHandle<Found>) -> Result<(Arc<dyn Backend>, String), Failure> {
    looking.join().expect("looking for a machine does not panic").map_err(no_backend)
}

/// The failure where no machine works on this host.
fn no_backend(error: NoBackend) -> Failure {
    let remedy = error.remedy.clone();
    let failure = Failure::new(Exit::Missing, error);
    failure.with_help(match remedy {
        Some(remedy) => format!("{remedy}; or run without isolation with `--machine host`"),
        None => "run without isolation with `--machine host`".to_owned(),
    })
}

/// Labels that a machine of this host stands in for, whatever it is made of.
fn served_labels() -> Vec<String> {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    };
    let own = ["self-hosted", "linux", architecture];
    UBUNTU.into_iter().chain(own).map(str::to_owned).collect()
}

fn default_parallel() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    (2 * cores).max(LEAST_PARALLEL)
}

fn absolute(folder: &std::path::Path) -> Result<PathBuf, Failure> {
    folder.canonicalize().map_err(|error| {
        Failure::new(Exit::Usage, error)
            .while_doing(format!("cannot use the action in `{}`", folder.display()))
    })
}

/// Whoever calls, without the variables that secrets come from: steps get those through the `secrets` context alone.
pub(in crate::verb) fn caller(secrets: &[SecretSource]) -> Caller {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    let is_secret = |variable: &str| {
        secrets.iter().any(|source| matches!(source, SecretSource::Environment(name) if name == variable))
    };
    let environment = std::env::vars_os().filter_map(text).filter(|(name, _)| !is_secret(name));
    Caller {
        home: std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default(),
        path: search_path(),
        environment: environment.collect(),
    }
}

/// This program is also the agent inside the machines.
pub(in crate::verb) fn agent() -> Result<AgentCommand, Failure> {
    let program = std::env::current_exe().map_err(|error| {
        Failure::new(Exit::Usage, error).while_doing("cannot find this program's own file")
    })?;
    Ok(AgentCommand { program, arguments: vec![GUEST_AGENT.to_owned()] })
}
