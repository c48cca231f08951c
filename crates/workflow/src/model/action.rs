//! `action.yml`.

use std::sync::Arc;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::job::Step;
use crate::expr::Expr;
use crate::template::Token;

/// An action's metadata file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Action {
    /// Name of the file as it was given.
    pub file: Arc<str>,
    /// `name`.
    pub name: Option<String>,
    /// `description`.
    pub description: Option<String>,
    /// `inputs`, in the order of the file.
    pub inputs: IndexMap<String, ActionInput>,
    /// `outputs`, in the order of the file.
    pub outputs: IndexMap<String, ActionOutput>,
    /// `runs`.
    pub runs: ActionRuns,
}

/// One entry of `inputs`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ActionInput {
    /// `description`.
    pub description: Option<String>,
    /// `required`.
    pub required: bool,
    /// `default`: a literal or an expression over the caller's contexts.
    pub default: Option<Token>,
    /// `deprecationMessage`.
    pub deprecation_message: Option<String>,
}

/// One entry of `outputs`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ActionOutput {
    /// `description`.
    pub description: Option<String>,
    /// `value` of a composite action.
    pub value: Option<Token>,
}

/// How an action runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum ActionRuns {
    /// `using: nodeNN`.
    Node {
        /// Such as `node20`.
        using: String,
        /// `main`, relative to the action's folder.
        main: String,
        /// `pre`.
        pre: Option<String>,
        /// `pre-if`; `always()` where none is given.
        pre_if: Expr,
        /// `post`.
        post: Option<String>,
        /// `post-if`; `always()` where none is given.
        post_if: Expr,
    },
    /// `using: composite`.
    Composite {
        /// `steps`.
        steps: Vec<Step>,
    },
    /// `using: docker`.
    Docker {
        /// `image`.
        image: String,
        /// `entrypoint`.
        entrypoint: Option<String>,
        /// `pre-entrypoint`.
        pre_entrypoint: Option<String>,
        /// `pre-if`; `always()` where none is given.
        pre_if: Expr,
        /// `post-entrypoint`.
        post_entrypoint: Option<String>,
        /// `post-if`; `always()` where none is given.
        post_if: Expr,
        /// `args`, each a literal or an expression over `inputs`.
        args: Vec<Token>,
        /// `env`.
        env: Option<Token>,
    },
    /// `using: plugin`, an old form that only GitHub's own actions had.
    Plugin {
        /// The plugin's name.
        plugin: String,
    },
}
