//! The action that a step uses, as far as its metadata is known: from the repository or from the table of public ones.

use std::borrow::Cow;
use std::sync::Arc;

use super::known_actions::{self, KnownAction};
use super::unit::StepUnit;
use super::uses::version_comment;
use super::{ActionResolution, Findings};
use crate::model::{Action, ActionRuns, Step, StepKind};
use crate::source::Spanned;
use crate::template::Token;

/// The metadata of a used action.
pub(crate) enum UsedAction {
    /// An action of the repository.
    Local(Arc<Action>),
    /// A public one.
    Public(KnownAction),
}

/// An input of a used action.
pub(crate) struct UsedInput {
    pub(crate) name: Cow<'static, str>,
    /// Whether it must be given.
    pub(crate) required: bool,
    /// What its author says where it is deprecated; empty where that is not known.
    pub(crate) deprecated: Option<String>,
}

impl UsedAction {
    /// The action at a reference that is written in `file`.
    pub(crate) fn of(uses: &Spanned<String>, findings: &Findings<'_>) -> Option<Self> {
        let text = uses.value.as_str();
        if text.starts_with("./") {
            return match findings.settings().actions.resolve(text) {
                ActionResolution::Found(action) => Some(Self::Local(action)),
                ActionResolution::Missing | ActionResolution::Unknown => None,
            };
        }
        let version = version_comment(findings.file(), uses.span).map(|(version, _)| version);
        known_actions::find(text, version).map(Self::Public)
    }

    pub(crate) fn inputs(&self) -> Vec<UsedInput> {
        match self {
            Self::Local(action) => local_inputs(action),
            Self::Public(action) => public_inputs(*action),
        }
    }

    /// Whether it may be a newer version than what is known of it.
    pub(crate) fn may_be_newer(&self) -> bool {
        matches!(self, Self::Public(action) if action.may_be_newer())
    }

    /// The steps of a composite action of the repository.
    pub(crate) fn steps(&self) -> &[Step] {
        match self {
            Self::Local(action) => match &action.runs {
                ActionRuns::Composite { steps } => steps,
                _ => &[],
            },
            Self::Public(_) => &[],
        }
    }

    /// What runs it: `node20`, `composite`, `docker`, …
    pub(crate) fn using(&self) -> &str {
        match self {
            Self::Public(action) => action.using(),
            Self::Local(action) => match &action.runs {
                ActionRuns::Node { using, .. } => using,
                ActionRuns::Composite { .. } => "composite",
                ActionRuns::Docker { .. } => "docker",
                ActionRuns::Plugin { .. } => "plugin",
            },
        }
    }
}

fn local_inputs(action: &Action) -> Vec<UsedInput> {
    let inputs = action.inputs.iter().map(|(name, input)| UsedInput {
        name: name.clone().into(),
        required: input.required && input.default.is_none(),
        deprecated: input.deprecation_message.as_deref().map(in_one_line),
    });
    inputs.collect()
}

fn public_inputs(action: KnownAction) -> Vec<UsedInput> {
    let inputs = action.inputs().map(|input| UsedInput {
        name: input.name.into(),
        required: input.required,
        deprecated: input.deprecated.then(String::new),
    });
    inputs.collect()
}

fn in_one_line(message: &str) -> String {
    let words: Vec<&str> = message.split_whitespace().collect();
    words.join(" ").trim_end_matches('.').to_owned()
}

/// The action reference of a step and its inputs.
pub(crate) fn uses_of<'a>(unit: &StepUnit<'a>) -> Option<(&'a Spanned<String>, Option<&'a Token>)> {
    match &unit.step().kind {
        StepKind::Uses { uses, with } => Some((uses, with.as_ref())),
        _ => None,
    }
}
