//! What a runner is told when it starts; the same for all of its jobs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use machine::{AgentCommand, Backend, Caller, Network};
use run::id::RunnerId;

use crate::checkpoint::Checkpoints;
use crate::workspace::WorkingTree;

/// A runner's settings.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who it is.
    pub runner: RunnerId,
    /// The labels that it serves, in lower case; `*` serves every job.
    pub labels: Vec<String>,
    /// How many jobs run at a time; at least one.
    pub capacity: usize,
    /// What makes the machines of jobs that no platform names.
    pub backend: Arc<dyn Backend>,
    /// Labels whose jobs run in machines of another kind.
    pub platforms: Vec<Platform>,
    /// The working tree that jobs find in their workspace.
    pub tree: WorkingTree,
    /// Where actions of other repositories are.
    pub actions: ActionSources,
    /// Whose tools the machines offer.
    pub caller: Caller,
    /// What the machines reach.
    pub network: Network,
    /// The host folder for the machines' private files.
    pub scratch: PathBuf,
    /// The program that becomes the guest agent.
    pub agent: AgentCommand,
    /// What is kept before steps, and where; nothing without it.
    pub checkpoints: Option<Checkpoints>,
    /// Variables for JavaScript actions, such as `ACTIONS_RESULTS_URL`: where the services of the run are.
    pub services: Vec<(String, String)>,
}

/// A label and what makes the machines of its jobs.
#[derive(Clone, Debug)]
pub struct Platform {
    /// The label, compared without regard to case; `*` is every label, and none.
    pub label: String,
    /// What makes the machines.
    pub backend: Arc<dyn Backend>,
}

impl Options {
    /// What makes the machine of a job with these labels, and whether a platform names them.
    pub(crate) fn backend(&self, labels: &[String]) -> (&dyn Backend, bool) {
        let serves = |platform: &&Platform| {
            platform.label == "*" || labels.iter().any(|label| label.eq_ignore_ascii_case(&platform.label))
        };
        match self.platforms.iter().find(serves) {
            Some(platform) => (platform.backend.as_ref(), true),
            None => (self.backend.as_ref(), false),
        }
    }
}

/// Folders on the host that stand for repositories of actions.
#[derive(Clone, Debug, Default)]
pub struct ActionSources {
    folders: Vec<(String, PathBuf)>,
}

impl ActionSources {
    /// Adds the repository `OWNER/REPO@REF`, whose files are in `folder`. A later one of the same name wins.
    pub fn add(&mut self, reference: &str, folder: PathBuf) {
        self.folders.push((reference.to_owned(), folder));
    }

    /// Every repository with its folder.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.folders.iter().map(|(reference, folder)| (reference.as_str(), folder.as_path()))
    }

    /// The folder of `OWNER/REPO@REF`; owner and repository are compared without regard to case.
    pub(crate) fn folder(&self, repository: &str, version: &str) -> Option<&PathBuf> {
        let names = |reference: &str| {
            reference
                .rsplit_once('@')
                .is_some_and(|(name, at)| name.eq_ignore_ascii_case(repository) && at == version)
        };
        self.folders.iter().rev().find(|(reference, _)| names(reference)).map(|(_, folder)| folder)
    }
}

#[cfg(test)]
mod tests {
    use super::ActionSources;

    #[test]
    fn sources_are_found_by_name_and_version() {
        let mut sources = ActionSources::default();
        sources.add("Owner/Repo@v1", "/one".into());
        sources.add("owner/repo@v2", "/two".into());
        assert_eq!(sources.folder("owner/repo", "v1"), Some(&"/one".into()));
        assert_eq!(sources.folder("OWNER/REPO", "v2"), Some(&"/two".into()));
        assert_eq!(sources.folder("owner/repo", "V1"), None);
        assert_eq!(sources.folder("owner/other", "v1"), None);
    }
}
