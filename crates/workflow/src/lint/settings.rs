//! What a repository says about the rules.

use std::collections::HashMap;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Severity};
use crate::model::Action;

/// What becomes of a rule's findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// They are not looked for.
    Off,
    /// They have this severity.
    As(Severity),
}

/// What the rules know beside the file, and how they are set.
#[derive(Clone, Copy)]
pub struct Settings<'a> {
    /// Levels by code. Findings of GitHub, of the severity error, keep it: the file is refused whatever is set here.
    pub levels: &'a HashMap<String, Level>,
    /// Labels of the repository's own runners, as patterns in which `*` stands for any text.
    pub runner_labels: &'a [String],
    /// Names of the configuration variables (`vars`), where they are known.
    pub variables: Option<&'a [String]>,
    /// Where the metadata of actions comes from.
    pub actions: &'a dyn ResolveAction,
}

impl std::fmt::Debug for Settings<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("levels", &self.levels)
            .field("runner_labels", &self.runner_labels)
            .field("variables", &self.variables)
            .finish_non_exhaustive()
    }
}

impl Settings<'_> {
    /// Whether findings of the rule are wanted at all.
    #[must_use]
    pub fn is_on(&self, code: &str) -> bool {
        self.levels.is_empty() || self.levels.get(code) != Some(&Level::Off)
    }

    /// The findings with the severities of the settings.
    pub(crate) fn apply(&self, mut found: Vec<Diagnostic>) -> Vec<Diagnostic> {
        if self.levels.is_empty() {
            return found;
        }
        found.retain(|finding| finding.is_error() || self.is_on(finding.code));
        for finding in found.iter_mut().filter(|finding| !finding.is_error()) {
            if let Some(Level::As(severity)) = self.levels.get(finding.code) {
                finding.severity = *severity;
            }
        }
        found
    }
}

/// What is known about an action.
#[derive(Clone, Debug)]
pub enum ActionResolution {
    /// Its metadata.
    Found(Arc<Action>),
    /// It does not exist: a mistake of the author.
    Missing,
    /// Nothing: its repository is out of reach here, or its metadata cannot be read.
    Unknown,
}

/// Knows the actions that steps use.
pub trait ResolveAction: Sync {
    /// The action of a step's `uses`, as it is written: `./path` or `owner/repository[/path]@ref`.
    fn resolve(&self, uses: &str) -> ActionResolution;

    /// The commit, 40 hexadecimal digits, that the version of `owner/repository[/path]@version` is, where a lock or a
    /// store knows it.
    fn commit(&self, _uses: &str) -> Option<String> {
        None
    }

    /// What there is to say of the metadata of an action of this repository.
    fn findings(&self, _uses: &str) -> Vec<Diagnostic> {
        Vec::new()
    }

    /// Whether an action whose metadata is the file `metadata` has a file or folder at `path`, relative to its own
    /// folder; `None` where that is not known.
    fn has_file(&self, _metadata: &str, _path: &str) -> Option<bool> {
        None
    }
}
