//! Steps with an action of the repository that is missing or whose metadata has mistakes.

use crate::diagnostic::{Diagnostic, Severity};
use crate::lint::used_action::{UsedAction, uses_of};
use crate::lint::{ActionResolution, Check, Findings, StepUnit};
use crate::rule::{Group, Rule};
use crate::source::Span;

pub(super) static RULE: Rule = Rule {
    code: "local-action",
    severity: Severity::Warning,
    group: Group::Correctness,
    summary: "an action of the repository that is missing or has mistakes",
    actionlint: Some("action"),
    page: include_str!("local_action.md"),
    check: Some(Check { step: Some(step), ..Check::NOTHING }),
};

/// Mistakes that one finding repeats.
const MAX_REPEATED: usize = 3;

fn step(unit: StepUnit<'_>, findings: &mut Findings<'_>) {
    let Some((uses, _)) = uses_of(&unit).filter(|(uses, _)| uses.value.starts_with("./")) else { return };
    // The steps of actions are looked at where the action is checked: one may use itself.
    if unit.job().is_none() {
        return;
    }
    let actions = findings.settings().actions;
    if matches!(actions.resolve(&uses.value), ActionResolution::Missing) {
        // It may be made, or checked out, by an earlier step.
        if unit.earlier().is_empty() {
            let message = format!("there is no action `{}`", uses.value);
            let help =
                "an action is a folder with a file `action.yml`; check the repository out before the step";
            let finding = findings.describe(uses.span, message).with_help(help);
            findings.push(Diagnostic { severity: Severity::Info, ..finding });
        }
        return;
    }
    let action = UsedAction::of(uses, findings);
    let mistakes = actions.findings(&uses.value);
    let mistakes: Vec<&Diagnostic> =
        mistakes.iter().filter(|mistake| hinders(mistake, action.as_ref())).collect();
    let Some(first) = mistakes.first() else { return };
    let texts: Vec<String> = mistakes.iter().take(MAX_REPEATED).map(|mistake| text(mistake)).collect();
    let more = mistakes.len().saturating_sub(MAX_REPEATED);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    let message = format!("the action `{}` has mistakes: {}{more}", uses.value, texts.join("; "));
    let help = format!("see `firedog check {}`", first.file);
    findings.push(findings.describe(uses.span, message).with_help(help));
}

/// Whether a finding is about more than the form of the metadata. What an action's steps do is said where its file is
/// checked; a runner reads values that GitHub's editor refuses.
fn hinders(mistake: &Diagnostic, action: Option<&UsedAction>) -> bool {
    let Some(action) = action else { return mistake.is_error() };
    let in_step = |span: Span| {
        action.steps().iter().any(|step| step.span.start <= span.start && span.end <= step.span.end)
    };
    let is_error = mistake.is_error() && mistake.code != "unexpected-value";
    (is_error || mistake.code == super::action_metadata::RULE.code) && !mistake.primary.is_some_and(in_step)
}

fn text(mistake: &Diagnostic) -> String {
    format!("{} (line {})", mistake.message, mistake.line)
}
