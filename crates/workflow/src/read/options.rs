//! How files are read.

use super::call::CalledFiles;
use crate::permissions::PermissionsPolicy;
use crate::resolve::{CallRules, ResolveNothing, ResolveWorkflow};
use crate::yaml;

/// Levels of called workflows below the first file.
pub const DEFAULT_MAX_CALL_DEPTH: usize = 9;
/// Files that one workflow may consist of: itself and the called ones.
pub const MAX_FILES: usize = 51;

/// How a workflow or action is read.
#[derive(Clone, Copy)]
pub struct ReadOptions<'a> {
    /// Bounds of each file's YAML.
    pub yaml: yaml::Limits,
    /// Jobs of a workflow and all workflows that it calls; `None` for any number.
    pub max_jobs: Option<usize>,
    /// Levels of called workflows below the first file.
    pub max_call_depth: usize,
    /// Whether steps may run in the background.
    pub background_steps: bool,
    /// What the token may do at most where a workflow does not say. Without one, what a called workflow asks for is
    /// not held against that.
    pub permissions_policy: Option<PermissionsPolicy>,
    /// How thoroughly a file is checked.
    pub strictness: Strictness,
    /// Which calls of workflows are allowed.
    pub call_rules: CallRules,
    /// Where called workflows come from.
    pub resolver: &'a dyn ResolveWorkflow,
    /// Called workflows that were read already, with the same options but for this one.
    pub called: Option<&'a CalledFiles>,
}

impl Default for ReadOptions<'_> {
    fn default() -> Self {
        Self {
            yaml: yaml::Limits::default(),
            max_jobs: None,
            max_call_depth: DEFAULT_MAX_CALL_DEPTH,
            background_steps: false,
            permissions_policy: None,
            strictness: Strictness::Author,
            call_rules: CallRules::GitHub,
            resolver: &ResolveNothing,
            called: None,
        }
    }
}

impl std::fmt::Debug for ReadOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadOptions")
            .field("yaml", &self.yaml)
            .field("max_jobs", &self.max_jobs)
            .field("max_call_depth", &self.max_call_depth)
            .field("background_steps", &self.background_steps)
            .field("permissions_policy", &self.permissions_policy)
            .field("strictness", &self.strictness)
            .field("call_rules", &self.call_rules)
            .finish_non_exhaustive()
    }
}

/// How thoroughly a file is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// As GitHub checks a file for its author: triggers, and the metadata of actions, too.
    Author,
    /// As GitHub's parser and runner read a file that is about to run: what does not matter to jobs is not looked at.
    Runner,
}
