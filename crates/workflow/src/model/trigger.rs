//! `on`: which events start a workflow.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::source::{Span, Spanned};
use crate::template::Token;

/// The whole of `on`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Triggers {
    /// Event name to its configuration, in the order of the file.
    pub events: IndexMap<String, Trigger>,
}

/// The configuration of one event. A list that was not given is `None`; an empty one is `Some`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Trigger {
    /// Where the event's name stands.
    pub span: Span,
    /// `types`.
    pub types: Option<Vec<Spanned<String>>>,
    /// `branches`.
    pub branches: Option<Vec<Spanned<String>>>,
    /// `branches-ignore`.
    pub branches_ignore: Option<Vec<Spanned<String>>>,
    /// `tags`.
    pub tags: Option<Vec<Spanned<String>>>,
    /// `tags-ignore`.
    pub tags_ignore: Option<Vec<Spanned<String>>>,
    /// `paths`.
    pub paths: Option<Vec<Spanned<String>>>,
    /// `paths-ignore`.
    pub paths_ignore: Option<Vec<Spanned<String>>>,
    /// `workflows` of `workflow_run`.
    pub workflows: Option<Vec<Spanned<String>>>,
    /// `versions` of `image_version`.
    pub versions: Option<Vec<Spanned<String>>>,
    /// `names` of `image_version`.
    pub names: Option<Vec<Spanned<String>>>,
    /// The entries of `schedule`.
    pub schedule: Vec<ScheduleEntry>,
    /// `inputs` of `workflow_dispatch`.
    pub dispatch_inputs: IndexMap<String, DispatchInput>,
    /// `inputs` of `workflow_call`.
    pub call_inputs: IndexMap<String, CallInput>,
    /// Whether `workflow_call` has the key `secrets`, be it empty.
    pub declares_secrets: bool,
    /// `secrets` of `workflow_call`.
    pub call_secrets: IndexMap<String, CallSecret>,
    /// `outputs` of `workflow_call`.
    pub call_outputs: IndexMap<String, CallOutput>,
}

impl Trigger {
    /// The lists of texts by their keys, those that were not given included.
    #[must_use]
    pub fn lists(&self) -> [(&'static str, Option<&[Spanned<String>]>); 10] {
        [
            ("types", self.types.as_deref()),
            ("branches", self.branches.as_deref()),
            ("branches-ignore", self.branches_ignore.as_deref()),
            ("tags", self.tags.as_deref()),
            ("tags-ignore", self.tags_ignore.as_deref()),
            ("paths", self.paths.as_deref()),
            ("paths-ignore", self.paths_ignore.as_deref()),
            ("workflows", self.workflows.as_deref()),
            ("versions", self.versions.as_deref()),
            ("names", self.names.as_deref()),
        ]
    }
}

/// One entry of `schedule`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ScheduleEntry {
    /// `cron`.
    pub cron: Spanned<String>,
    /// `timezone`: an IANA name.
    pub timezone: Option<Spanned<String>>,
}

/// The type of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InputType {
    /// Text.
    String,
    /// `true` or `false`.
    Boolean,
    /// A number.
    Number,
    /// One of the options.
    Choice,
    /// The name of an environment.
    Environment,
}

/// An input of `workflow_dispatch`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DispatchInput {
    /// `type`; a string without one.
    pub kind: InputType,
    /// `description`.
    pub description: Option<String>,
    /// `required`.
    pub required: bool,
    /// `default`: a literal.
    pub default: Option<Token>,
    /// `options` of a choice.
    pub options: Vec<String>,
}

/// An input of `workflow_call`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CallInput {
    /// `type`: string, boolean or number.
    pub kind: InputType,
    /// `description`.
    pub description: Option<String>,
    /// `required`.
    pub required: bool,
    /// `default`: a literal or an expression over `github`, `inputs` and `vars`.
    pub default: Option<Token>,
}

/// A secret of `workflow_call`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CallSecret {
    /// Whether nothing stands behind the name.
    pub is_bare: bool,
    /// `description`.
    pub description: Option<String>,
    /// `required`.
    pub required: bool,
}

/// An output of `workflow_call`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CallOutput {
    /// `description`.
    pub description: Option<String>,
    /// `value`, over `github`, `inputs`, `vars` and `jobs`.
    pub value: Token,
}
