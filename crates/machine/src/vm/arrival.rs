//! What a virtual machine is told and given once its agent answers.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use guest::protocol::{Configuration, NetworkConfiguration};

use super::Image;
use crate::backend::{Arrival, BootError, Copied};
use crate::network::seen_from_machine;
use crate::spec::{Content, MachineSpec, Network, Place};

/// Random bytes that a machine is given.
const ENTROPY: usize = 64;

/// Longest host name.
const MAX_HOSTNAME: usize = 63;

/// Variables that lead to the network.
const PROXIES: [&str; 8] = [
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
];

/// Where the folders of a machine are inside, which its repository's name tells.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    paths: Vec<(Place, String)>,
}

impl Paths {
    pub(crate) fn new(spec: &MachineSpec, repository: &str, home: &str) -> Self {
        let repository = folder_name(repository);
        let path = |place| match (place, spec.content(place)) {
            (_, Content::ReadOnly(root)) => root.to_string_lossy().into_owned(),
            (Place::Workspace, _) => format!("{home}/work/{repository}/{repository}"),
            (Place::Temp, _) => format!("{home}/work/_temp"),
            (Place::Actions, _) => format!("{home}/work/_actions"),
            (Place::Home, _) => home.to_owned(),
            (Place::ToolCache, _) => "/opt/hostedtoolcache".to_owned(),
        };
        Self { paths: Place::ALL.into_iter().map(|place| (place, path(place))).collect() }
    }

    pub(crate) fn of(&self, place: Place) -> String {
        let found = self.paths.iter().find(|(known, _)| *known == place);
        found.expect("every place has a path").1.clone()
    }
}

/// The folder that a repository's name gives; a name that is no single folder's gets another.
fn folder_name(repository: &str) -> &str {
    if repository.contains('/') || matches!(repository, "" | "." | "..") { "repository" } else { repository }
}

/// What processes in the machine start from.
pub(crate) fn environment(spec: &MachineSpec, image: &Image, paths: &Paths) -> Vec<(String, String)> {
    let mut environment = image.environment.clone();
    let own = [
        ("HOME", image.user.home.clone()),
        ("USER", image.user.name.clone()),
        ("LOGNAME", image.user.name.clone()),
        ("RUNNER_TOOL_CACHE", paths.of(Place::ToolCache)),
    ];
    for (name, value) in own {
        environment.retain(|(known, _)| known != name);
        environment.push((name.to_owned(), value));
    }
    if spec.network != Network::None {
        environment.extend(proxies(spec));
    }
    environment
}

/// The caller's proxies, as they are seen from a network of the machine's own.
fn proxies(spec: &MachineSpec) -> impl Iterator<Item = (String, String)> {
    PROXIES
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), seen_from_machine(spec.caller.variable(name)?))))
}

/// Whether the machine's folders are to be filled, or are as a snapshot has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Folders {
    Fill,
    Keep,
}

/// What is to be done in the machine, with a new identity.
pub(crate) fn arrival(
    spec: &MachineSpec,
    image: &Image,
    paths: &Paths,
    folders: Folders,
    network: Option<NetworkConfiguration>,
) -> Result<Arrival, BootError> {
    let random = |length| {
        random(length).map_err(|source| BootError::Scratch { path: PathBuf::from("/dev/urandom"), source })
    };
    let machine_id: String = random(16)?.iter().map(|byte| format!("{byte:02x}")).collect();
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let configuration = Configuration {
        hostname: hostname(&spec.name),
        machine_id,
        time: u64::try_from(time).unwrap_or(u64::MAX),
        entropy: random(ENTROPY)?.into(),
        user: image.user.clone(),
        folders: match folders {
            Folders::Fill => Place::ALL.into_iter().map(|place| paths.of(place)).collect(),
            Folders::Keep => Vec::new(),
        },
        network,
    };
    let contents = match folders {
        Folders::Fill => contents(spec, paths),
        Folders::Keep => Vec::new(),
    };
    Ok(Arrival { configuration, contents })
}

fn contents(spec: &MachineSpec, paths: &Paths) -> Vec<(Copied, String)> {
    let of_place = |place| match spec.content(place) {
        Content::Empty => None,
        Content::Copy { root, entries } => {
            let entries = Some(Arc::clone(entries));
            Some((Copied { root: root.clone(), entries }, paths.of(place)))
        }
        Content::ReadOnly(root) => Some((whole(root), paths.of(place))),
    };
    let of_host = spec.read_only.iter().map(|path| (whole(path), beside(path)));
    Place::ALL.into_iter().filter_map(of_place).chain(of_host).collect()
}

/// All of a folder, or one file.
fn whole(path: &Path) -> Copied {
    match (path.is_file(), path.parent(), path.file_name()) {
        (true, Some(parent), Some(name)) => {
            Copied { root: parent.to_owned(), entries: Some(Arc::new(vec![PathBuf::from(name)])) }
        }
        _ => Copied { root: path.to_owned(), entries: None },
    }
}

/// Where [`whole`] is unpacked, to be at the same path.
fn beside(path: &Path) -> String {
    let folder = if path.is_file() { path.parent().unwrap_or(path) } else { path };
    folder.to_string_lossy().into_owned()
}

/// A host name from a machine's.
fn hostname(name: &str) -> String {
    let allowed = |character: char| if character.is_ascii_alphanumeric() { character } else { '-' };
    let name: String = name.chars().map(allowed).take(MAX_HOSTNAME).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "machine".to_owned() } else { name.to_ascii_lowercase() }
}

fn random(length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::{folder_name, hostname};

    #[test]
    fn a_machines_name_makes_a_host_name() {
        for (name, expected) in [
            ("run-1-build", "run-1-build"),
            ("Test machine/1", "test-machine-1"),
            ("--", "machine"),
            ("", "machine"),
        ] {
            assert_eq!(hostname(name), expected);
        }
        assert_eq!(hostname(&"a".repeat(100)).len(), 63);
    }

    #[test]
    fn a_repositorys_name_is_one_folder() {
        assert_eq!(
            ["demo", "..", "a/b", ""].map(folder_name),
            ["demo", "repository", "repository", "repository"]
        );
    }
}
