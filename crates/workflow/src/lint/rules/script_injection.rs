//! Values that others choose and that become part of a script.

use crate::diagnostic::{Diagnostic, Severity};
use crate::lint::move_to_env::{self, Move};
use crate::lint::taint::{Scope, Taint};
use crate::lint::untrusted::Origin;
use crate::lint::{ActionResolution, Check, Findings, JobUnit, StepUnit, raw, reach};
use crate::model::{JobKind, StepKind};
use crate::rule::{Group, Rule};
use crate::source::Span;
use crate::template::{Token, TokenKind};

pub(super) static RULE: Rule = Rule {
    code: "script-injection",
    severity: Severity::Warning,
    group: Group::Security,
    summary: "a value that others choose becomes part of a script",
    actionlint: Some("expression"),
    page: include_str!("script_injection.md"),
    check: Some(Check { job: Some(job), step: Some(step), ..Check::NOTHING }),
};

fn job(unit: JobUnit<'_>, findings: &mut Findings<'_>) {
    let JobKind::Call(call) = &unit.job.kind else { return };
    let (Some(with), Some(workflow)) = (&call.with, &call.workflow) else { return };
    let scope = Scope::of_job(unit, findings.file(), findings.budget());
    let reaches = |input: &str| reach::in_workflow(workflow, input, findings.budget());
    let found = passed_on(with, &call.uses.value, scope, findings, reaches);
    found.into_iter().for_each(|finding| findings.push(finding));
}

fn step(unit: StepUnit<'_>, findings: &mut Findings<'_>) {
    let step = unit.step();
    reach::code(step).for_each(|script| check(unit, script, "script", findings));
    match &step.kind {
        StepKind::Run { shell: Some(shell), .. } => {
            check(unit, shell, "command that runs the script", findings);
        }
        StepKind::Uses { uses, with: Some(with) } if uses.value.starts_with("./") => {
            let scope = Scope::of_step(unit, findings.file(), findings.budget());
            let reaches = |input: &str| match findings.settings().actions.resolve(&uses.value) {
                ActionResolution::Found(action) => reach::in_action(&action, input, findings.budget()),
                _ => false,
            };
            let found = passed_on(with, &uses.value, scope, findings, reaches);
            found.into_iter().for_each(|finding| findings.push(finding));
        }
        _ => {}
    }
}

/// Findings for inputs by which a value of strangers reaches a script in what is called.
fn passed_on(
    with: &Token,
    called: &str,
    scope: Scope<'_>,
    findings: &Findings<'_>,
    reaches: impl Fn(&str) -> bool,
) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for entry in with.entries() {
        let (TokenKind::Expression(expression), Some(input)) = (&entry.value.kind, entry.name()) else {
            continue;
        };
        let taints = scope.trace(expression).into_iter();
        let mut strangers = taints.filter(|taint| taint.value.origin == Origin::Strangers).peekable();
        if strangers.peek().is_none() || !reaches(input) {
            continue;
        }
        for taint in strangers {
            let message = format!(
                "`{}`, which anyone can choose, becomes part of a script in `{called}`, by its input `{input}`",
                taint.source
            );
            let reached = Reached { taint, places: Vec::new() };
            let finding = label(findings.describe(entry.value.span, message), &reached);
            found.push(
                finding
                    .with_label(entry.value.span, format!("passes into `inputs.{input}` of `{called}` here"))
                    .with_help(
                        "hand the input to the script there in `env`, and expand the variable in quotes",
                    ),
            );
        }
    }
    found
}

/// A value of others with the places in the script that it reaches.
struct Reached {
    taint: Taint,
    places: Vec<Span>,
}

fn check(unit: StepUnit<'_>, script: &Token, noun: &str, findings: &mut Findings<'_>) {
    let TokenKind::Expression(expression) = &script.kind else { return };
    let scope = Scope::of_step(unit, findings.file(), findings.budget());
    let whole = scope.trace(expression);
    if whole.is_empty() {
        return;
    }
    let (mut reached, mut moves): (Vec<Reached>, Vec<Move>) = (Vec::new(), Vec::new());
    for place in raw::expressions(findings.file(), script.span) {
        let taints = scope.trace(&place.expression);
        if let Some(taint) = taints.first() {
            let name = taint.way.last().map_or(&taint.source, |hop| &hop.name);
            // The callers of a workflow may hand over several words; strangers have no such wishes.
            let is_one_word = taints.iter().all(|taint| taint.value.origin == Origin::Strangers);
            moves.push(Move { span: place.span, source: name.clone(), is_one_word });
        }
        for taint in taints {
            match reached.iter_mut().find(|known| known.taint.source == taint.source) {
                Some(known) => known.places.push(place.span),
                None => reached.push(Reached { taint, places: vec![place.span] }),
            }
        }
    }
    if reached.is_empty() {
        reached = whole.into_iter().map(|taint| Reached { taint, places: Vec::new() }).collect();
    }
    let mut found: Vec<Diagnostic> = Vec::new();
    let (strangers, others): (Vec<_>, Vec<_>) =
        reached.into_iter().partition(|reached| reached.taint.value.origin == Origin::Strangers);
    found.extend(strangers.iter().map(|reached| of_strangers(script.span, reached, noun, findings)));
    found.extend(of_others(script.span, &others, noun, findings));
    let edits = move_to_env::edits(unit, findings.file(), &moves);
    for (index, mut finding) in found.into_iter().enumerate() {
        // One fix moves all, since a step has one `env`.
        if index == 0 && !edits.is_empty() {
            finding = finding.with_fix("hand the value over in `env`", edits.clone());
        }
        findings.push(finding);
    }
}

fn of_strangers(script: Span, reached: &Reached, noun: &str, findings: &Findings<'_>) -> Diagnostic {
    let taint = &reached.taint;
    let message = match taint.way.last() {
        None => format!("`{}`, which anyone can choose, becomes part of the {noun}", taint.source),
        Some(hop) if hop.name == taint.source => {
            format!("`{}`, which holds what anyone can choose, becomes part of the {noun}", taint.source)
        }
        Some(hop) => format!(
            "`{}` holds `{}`, which anyone can choose, and becomes part of the {noun}",
            hop.name, taint.source
        ),
    };
    label(findings.describe(script, message), reached).with_help(HELP)
}

const HELP: &str =
    "set a variable in the step's `env` to the value, and let the script expand that in quotes: `\"$NAME\"`";

/// One piece of advice for all values that are chosen by people who are known.
fn of_others(script: Span, others: &[Reached], noun: &str, findings: &Findings<'_>) -> Option<Diagnostic> {
    let first = others.first()?;
    let name = first.taint.way.last().map_or(&first.taint.source, |hop| &hop.name);
    let who = match first.taint.value.origin {
        Origin::Callers => "whoever calls this",
        Origin::Writers | Origin::Strangers => "whoever may write to the repository",
    };
    let message = match others.len() {
        1 => format!("`{name}`, which {who} chooses, becomes part of the {noun}"),
        count => format!("`{name}` and {} more, which {who} chooses, become part of the {noun}", count - 1),
    };
    let mut finding = findings.describe(script, message).with_help(HELP);
    finding.severity = Severity::Info;
    Some(others.iter().fold(finding, label))
}

/// The finding with the way that the value takes.
fn label(mut finding: Diagnostic, reached: &Reached) -> Diagnostic {
    let mut name = &reached.taint.source;
    for hop in &reached.taint.way {
        if let Some(span) = hop.span {
            let message = match *name == hop.name {
                true => format!("`{name}` is set here"),
                false => format!("`{name}` passes into `{}` here", hop.name),
            };
            finding = finding.with_label(span, message);
        }
        name = &hop.name;
    }
    for place in &reached.places {
        finding = finding.with_label(*place, format!("`{name}` is expanded here"));
    }
    finding
}
