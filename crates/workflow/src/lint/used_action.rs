//! The action that a step uses, as far as its metadata is known: from the repository or from the table of public ones.

use std::sync::Arc;

use super::known_actions::{self, KnownAction};
use super::unit::StepUnit;
use super::uses::version_comment;
use super::{ActionResolution, Findings};
use crate::model::{Action, ActionRuns, Step, StepKind};
use crate::source::Spanned;
use crate::template::Token;

/// The metadata of a used action.
#[derive(Clone, Debug)]
pub(crate) enum UsedAction {
    /// An action of the repository.
    Local(Arc<Action>),
    /// A public one.
    Public(KnownAction),
}

/// An input of a used action.
#[derive(Clone, Copy)]
pub(crate) struct UsedInput<'a> {
    pub(crate) name: &'a str,
    /// Whether it must be given.
    pub(crate) required: bool,
    /// What its author says where it is deprecated; empty where that is not known.
    pub(crate) deprecated: Option<&'a str>,
}

impl UsedAction {
    /// The action at a reference that is written in the file. It is looked for once for all rules.
    pub(crate) fn of(uses: &Spanned<String>, findings: &mut Findings<'_>) -> Option<Self> {
        let (file, settings) = (findings.file(), findings.settings());
        findings.used_action(uses.span, || {
            let text = uses.value.as_str();
            if text.starts_with("./") {
                return match settings.actions.resolve(text) {
                    ActionResolution::Found(action) => Some(Self::Local(action)),
                    ActionResolution::Missing | ActionResolution::Unknown => None,
                };
            }
            let version = || version_comment(file, uses.span).map(|(version, _)| version);
            known_actions::find_with(text, version).map(Self::Public)
        })
    }

    /// Calls `each` with the inputs.
    pub(crate) fn inputs(&self, mut each: impl FnMut(UsedInput<'_>)) {
        match self {
            Self::Local(action) => {
                for (name, input) in &action.inputs {
                    let required = input.required && input.default.is_none();
                    each(UsedInput { name, required, deprecated: input.deprecation_message.as_deref() });
                }
            }
            Self::Public(action) => {
                for input in action.inputs() {
                    let deprecated = input.deprecated.then_some("");
                    each(UsedInput { name: input.name, required: input.required, deprecated });
                }
            }
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

/// The action reference of a step and its inputs.
pub(crate) fn uses_of<'a>(unit: &StepUnit<'a>) -> Option<(&'a Spanned<String>, Option<&'a Token>)> {
    match &unit.step().kind {
        StepKind::Uses { uses, with } => Some((uses, with.as_ref())),
        _ => None,
    }
}
