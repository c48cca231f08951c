//! Secrets that become part of the text of a script.

use crate::diagnostic::Severity;
use crate::expr::{Expr, Segment};
use crate::lint::move_to_env::{self, Move};
use crate::lint::taint::Scope;
use crate::lint::{Check, Findings, StepUnit, raw};
use crate::model::StepKind;
use crate::rule::{Group, Rule};
use crate::template::TokenKind;

pub(super) static RULE: Rule = Rule {
    code: "secret-in-script",
    severity: Severity::Info,
    group: Group::Security,
    summary: "a secret that becomes part of the text of a script",
    actionlint: None,
    page: include_str!("secret_in_script.md"),
    check: Some(Check { step: Some(step), ..Check::NOTHING }),
};

fn step(unit: StepUnit<'_>, findings: &mut Findings<'_>) {
    let StepKind::Run { run, .. } = &unit.step().kind else { return };
    let TokenKind::Expression(expression) = &run.kind else { return };
    let Some(first) = secret(expression) else { return };
    let mut moves = Vec::new();
    for place in raw::expressions(findings.file(), run.span) {
        if let Some(source) = secret(&place.expression) {
            moves.push(Move { span: place.span, source, is_one_word: true });
        }
    }
    let message = match moves.len() {
        0 | 1 => format!("`{first}` becomes part of the text of the script"),
        count => {
            format!("`{first}` and {} more secrets become part of the text of the script", count - 1)
        }
    };
    let help =
        "set a variable in the step's `env` to the secret, and let the script expand that: `\"$NAME\"`";
    let mut finding = findings.describe(run.span, message).with_help(help);
    for entry in &moves {
        finding = finding.with_label(entry.span, format!("`{}` is expanded here", entry.source));
    }
    // A step has one `env`, which the fix of another rule may write.
    let scope = Scope::of_step(unit, findings.file(), findings.budget());
    let edits = match scope.trace(expression).is_empty() {
        true => move_to_env::edits(unit, findings.file(), &moves),
        false => Vec::new(),
    };
    findings.push(match edits.is_empty() {
        true => finding,
        false => finding.with_fix("hand the secret over in `env`", edits),
    });
}

/// The first secret that an expression names.
fn secret(expression: &Expr) -> Option<String> {
    expression.contexts().find_map(|reference| {
        let Some(Segment::Name(name)) = reference.path.first() else { return None };
        let is = |context: &str| reference.context.eq_ignore_ascii_case(context);
        let is_secret = is("secrets") || is("github") && name.eq_ignore_ascii_case("token");
        is_secret.then(|| format!("{}.{name}", reference.context))
    })
}
