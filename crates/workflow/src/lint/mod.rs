//! What a careful reviewer would say of a file that GitHub takes: one file a rule in [`rules`], found through [`RULES`].
//!
//! A rule is a static [`Rule`] with a [`Check`], whose functions are called for each part of a file. Beside it lies its
//! page, `NAME.md`: why it matters, then examples. A block ```` ```yaml ```` is a file (its path after the word `yaml`, a
//! workflow without one); several before a block ```` ```findings ```` are one repository. That block has the findings
//! of the rule, `LINE:COLUMN part of the message` each, with `FILE:` before it where there are several files; an
//! example without such a block must have none. Where the rule has a fix, a block ```` ```fixed ```` is the first file
//! afterwards. The tests of this module run all pages.
//!
//! Invariants: rules are pure; a rule finds nothing in what could not be read; no rule but those of reading has the
//! severity error.

mod code_inputs;
mod events;
mod expressions;
mod findings;
mod guard;
mod head;
mod ignore;
pub mod known_actions;
mod matrix_values;
mod move_to_env;
mod nodes;
mod outputs;
mod quoting;
mod raw;
mod reach;
mod rules;
mod runner_labels;
mod script;
mod settings;
mod taint;
pub mod tools;
mod unit;
mod untrusted;
mod used_action;
mod uses;
mod walk;

#[cfg(test)]
mod tests;

use crate::diagnostic::{Diagnostic, Parsed};
use crate::model::{Action, Workflow};
use crate::read::{self, ReadOptions};
use crate::source::{SourceFile, Spanned};

pub use findings::Findings;
pub(crate) use rules::RULES;
pub use settings::{ActionResolution, Level, ResolveAction, Settings};
pub(crate) use tools::RULES as TOOL_RULES;
pub use unit::{ActionUnit, ExpressionSite, JobUnit, StepOwner, StepUnit, WorkflowUnit};

/// Looks for one kind of finding: functions that are called for each part of their kind, in the order of the file.
#[derive(Clone, Copy)]
pub(crate) struct Check {
    /// The text of a file, also of one that cannot be read.
    pub(crate) text: Option<fn(&mut Findings<'_>)>,
    /// A whole workflow.
    pub(crate) workflow: Option<fn(WorkflowUnit<'_>, &mut Findings<'_>)>,
    /// A job.
    pub(crate) job: Option<fn(JobUnit<'_>, &mut Findings<'_>)>,
    /// A step of a job or of a composite action.
    pub(crate) step: Option<fn(StepUnit<'_>, &mut Findings<'_>)>,
    /// The `uses` of a step or of a job.
    pub(crate) reference: Option<fn(&Spanned<String>, &mut Findings<'_>)>,
    /// The metadata of an action.
    pub(crate) action: Option<fn(ActionUnit<'_>, &mut Findings<'_>)>,
    /// An expression anywhere in a file.
    pub(crate) expression: Option<fn(ExpressionSite<'_>, &mut Findings<'_>)>,
}

impl Check {
    /// Looks at nothing: what a rule does not name.
    pub(crate) const NOTHING: Self = Self {
        text: None,
        workflow: None,
        job: None,
        step: None,
        reference: None,
        action: None,
        expression: None,
    };
}

/// Reads a workflow and says all that there is to say of it, in the order of the file: what GitHub refuses and what the
/// rules find, after the settings and the file's own comments.
#[must_use]
pub fn check_workflow(
    file: &SourceFile,
    options: &ReadOptions<'_>,
    settings: &Settings<'_>,
) -> Parsed<Workflow> {
    let Parsed { value, diagnostics } = examine_workflow(file, options, settings);
    Parsed { value, diagnostics: settle(file, diagnostics, settings) }
}

/// Reads the metadata of an action and says all that there is to say of it, like [`check_workflow`].
#[must_use]
pub fn check_action(file: &SourceFile, options: &ReadOptions<'_>, settings: &Settings<'_>) -> Parsed<Action> {
    let Parsed { value, diagnostics } = examine_action(file, options, settings);
    Parsed { value, diagnostics: settle(file, diagnostics, settings) }
}

/// The findings of [`check_workflow`] before [`settle`]: for callers that add findings of their own.
#[must_use]
pub fn examine_workflow(
    file: &SourceFile,
    options: &ReadOptions<'_>,
    settings: &Settings<'_>,
) -> Parsed<Workflow> {
    let Parsed { value, diagnostics } = read::parse_with_root(file, options);
    let mut findings = Findings::new(file, settings, diagnostics);
    walk::text(settings, &mut findings);
    if let Some((workflow, root)) = &value {
        walk::workflow(WorkflowUnit { file, workflow, root, settings }, &mut findings);
    }
    let value = value.map(|(workflow, _)| workflow);
    Parsed { value, diagnostics: findings.into_diagnostics() }
}

/// The findings of [`check_action`] before [`settle`].
#[must_use]
pub fn examine_action(
    file: &SourceFile,
    options: &ReadOptions<'_>,
    settings: &Settings<'_>,
) -> Parsed<Action> {
    let (value, Parsed { value: root, diagnostics }) = read::parse_action_with_root(file, options);
    let mut findings = Findings::new(file, settings, diagnostics);
    walk::text(settings, &mut findings);
    if let (Some(action), Some(root)) = (&value, &root) {
        walk::action(ActionUnit { file, action, root, settings }, &mut findings);
    }
    Parsed { value, diagnostics: findings.into_diagnostics() }
}

/// What is left of all findings in a file after its comments and the settings, in the order of the file.
#[must_use]
pub fn settle(file: &SourceFile, found: Vec<Diagnostic>, settings: &Settings<'_>) -> Vec<Diagnostic> {
    settings.apply(ignore::apply(file, found, settings))
}
