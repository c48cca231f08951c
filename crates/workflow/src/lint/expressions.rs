//! What the types say of a file's expressions, for the rules that tell of it.

use std::sync::Arc;

use super::{ActionResolution, ActionUnit, Findings, ResolveAction, WorkflowUnit};
use crate::model::ActionRuns;
use crate::read::MAX_DIAGNOSTICS;
use crate::source::Span;
use crate::types::{
    ActionOutputs, FileTypes, KnownActions, Mistake, MistakeKind, mistakes_of_action, mistakes_of_workflow,
};

/// A mistake in an expression, with its place in the file.
#[derive(Clone, Debug)]
pub(super) struct ExpressionFinding {
    span: Span,
    mistake: Mistake,
}

/// The actions that the settings know.
struct SettingsActions<'a>(&'a dyn ResolveAction);

impl KnownActions for SettingsActions<'_> {
    fn outputs(&self, uses: &str) -> Option<ActionOutputs> {
        let ActionResolution::Found(action) = self.0.resolve(uses) else { return None };
        let is_complete = matches!(action.runs, ActionRuns::Composite { .. });
        // Well-known actions set outputs whose names their inputs say; those of the repository seldom do.
        let is_telling = is_complete || uses.starts_with("./");
        let names = action.outputs.keys().map(|name| Arc::from(name.as_str())).collect();
        is_telling.then_some(ActionOutputs { names, is_complete })
    }
}

/// Adds the mistakes in a workflow's expressions that are of the rule's kind.
pub(super) fn report_workflow(
    unit: WorkflowUnit<'_>,
    findings: &mut Findings<'_>,
    is_meant: fn(&MistakeKind) -> bool,
) {
    let found = findings.expressions(|| {
        let mut found = Vec::new();
        let actions = SettingsActions(unit.settings.actions);
        let types = FileTypes::of_workflow(unit.workflow, &actions).with_variables(unit.settings.variables);
        mistakes_of_workflow(unit.workflow, &types, &mut |site, mistake| {
            if found.len() < MAX_DIAGNOSTICS {
                let span = site.span_of(unit.file, mistake.offset, mistake.length);
                found.push(ExpressionFinding { span, mistake });
            }
        });
        found
    });
    report(&found, findings, is_meant);
}

/// Adds the mistakes in an action's expressions that are of the rule's kind.
pub(super) fn report_action(
    unit: ActionUnit<'_>,
    findings: &mut Findings<'_>,
    is_meant: fn(&MistakeKind) -> bool,
) {
    let found = findings.expressions(|| {
        let mut found = Vec::new();
        let actions = SettingsActions(unit.settings.actions);
        let types = FileTypes::of_action(unit.action, &actions);
        mistakes_of_action(unit.action, &types, &mut |site, mistake| {
            if found.len() < MAX_DIAGNOSTICS {
                let span = site.span_of(unit.file, mistake.offset, mistake.length);
                found.push(ExpressionFinding { span, mistake });
            }
        });
        found
    });
    report(&found, findings, is_meant);
}

fn report(found: &[ExpressionFinding], findings: &mut Findings<'_>, is_meant: fn(&MistakeKind) -> bool) {
    for ExpressionFinding { span, mistake } in found.iter().filter(|found| is_meant(&found.mistake.kind)) {
        let mut finding = findings.describe(*span, mistake.to_string());
        finding.help = mistake.help();
        findings.push(finding);
    }
}
