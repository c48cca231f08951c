//! `action.yml`.

use indexmap::IndexMap;

use super::condition::{self, Condition};
use super::report::{Report, quoted};
use super::{is_true, step, text_of};
use crate::expr::Expr;
use crate::model::{Action, ActionInput, ActionOutput, ActionRuns};
use crate::schema::action::{RUNS_IF, SCHEMA, STEP_IF};
use crate::source::Span;
use crate::template::{Token, TokenKind};

/// Runtimes of JavaScript actions.
const NODE_RUNTIMES: [&str; 5] = ["node12", "node14", "node16", "node20", "node24"];

/// Reads the mapping of a whole file; `None` where `runs` cannot be told.
pub(crate) fn read(root: &Token, report: &mut Report<'_>) -> Option<Action> {
    let text = |name| root.entry(name).and_then(|entry| text_of(&entry.value)).map(|text| text.value);
    let runs = match root.entry("runs") {
        Some(entry) => runs(&entry.value, report),
        None => {
            if !report.is_for_author() {
                report.error(root.span, "missing-key", "Required property is missing: runs");
            }
            None
        }
    };
    Some(Action {
        file: report.file().name().clone(),
        name: text("name"),
        description: text("description"),
        inputs: named(root, "inputs", input),
        outputs: named(root, "outputs", output),
        runs: runs?,
    })
}

fn named<T>(root: &Token, key: &str, read: impl Fn(&Token) -> T) -> IndexMap<String, T> {
    let entries = root.entry(key).map(|entry| entry.value.entries()).unwrap_or_default();
    entries.iter().filter_map(|entry| Some((entry.name()?.to_owned(), read(&entry.value)))).collect()
}

fn input(token: &Token) -> ActionInput {
    let text = |name| token.entry(name).and_then(|entry| text_of(&entry.value)).map(|text| text.value);
    ActionInput {
        description: text("description"),
        required: token.entry("required").is_some_and(|entry| is_true(&entry.value)),
        default: token.entry("default").map(|entry| entry.value.clone()),
        deprecation_message: text("deprecationMessage"),
    }
}

fn output(token: &Token) -> ActionOutput {
    ActionOutput {
        description: token
            .entry("description")
            .and_then(|entry| text_of(&entry.value))
            .map(|text| text.value),
        value: token.entry("value").map(|entry| entry.value.clone()),
    }
}

fn runs(token: &Token, report: &mut Report<'_>) -> Option<ActionRuns> {
    let text = |name| token.entry(name).and_then(|entry| text_of(&entry.value)).map(|text| text.value);
    if let Some(plugin) = text("plugin") {
        return Some(ActionRuns::Plugin { plugin });
    }
    let Some(using) = token.entry("using").and_then(|entry| text_of(&entry.value)) else {
        if !report.is_for_author() {
            report.error(token.span, "missing-key", "Required property is missing: using");
        }
        return None;
    };
    let kind = using.value.to_ascii_lowercase();
    if kind == "docker" {
        return docker(token, report);
    }
    if kind == "composite" {
        let Some(steps) = token.entry("steps") else {
            missing(token, "steps", report);
            return None;
        };
        let allowed = SCHEMA.definition(STEP_IF).allowed;
        return Some(ActionRuns::Composite { steps: step::read(&steps.value, allowed, report) });
    }
    if NODE_RUNTIMES.contains(&kind.as_str()) {
        let Some(main) = text("main") else {
            missing(token, "main", report);
            return None;
        };
        let pre_if = hook_condition(token, "pre-if", report);
        let post_if = hook_condition(token, "post-if", report);
        return Some(ActionRuns::Node {
            using: kind,
            main,
            pre: text("pre"),
            pre_if,
            post: text("post"),
            post_if,
        });
    }
    unknown_runtime(&using.value, using.span, report);
    None
}

fn docker(token: &Token, report: &mut Report<'_>) -> Option<ActionRuns> {
    let text = |name| token.entry(name).and_then(|entry| text_of(&entry.value)).map(|text| text.value);
    let Some(image) = text("image") else {
        missing(token, "image", report);
        return None;
    };
    Some(ActionRuns::Docker {
        image,
        entrypoint: text("entrypoint"),
        pre_entrypoint: text("pre-entrypoint"),
        pre_if: hook_condition(token, "pre-if", report),
        post_entrypoint: text("post-entrypoint"),
        post_if: hook_condition(token, "post-if", report),
        args: token.entry("args").map(|entry| entry.value.items().to_vec()).unwrap_or_default(),
        env: token.entry("env").map(|entry| entry.value.clone()),
    })
}

/// The schema of authors demands the key itself.
fn missing(token: &Token, key: &str, report: &mut Report<'_>) {
    if !report.is_for_author() {
        report.error(token.span, "missing-key", format!("Required property is missing: {key}"));
    }
}

/// `pre-if` or `post-if`: text that is an expression, `always()` where there is none.
fn hook_condition(token: &Token, name: &str, report: &mut Report<'_>) -> Expr {
    match token.entry(name).map(|entry| &entry.value) {
        Some(value) if matches!(value.kind, TokenKind::String(_) | TokenKind::Expression(_)) => {
            if value.is_expression() {
                let message = format!("Explicit expression syntax ${{{{ }}}} is not supported for '{name}'");
                let diagnostic = report.describe(value.span, "explicit-expression", message);
                report.push(diagnostic.with_help("write the expression without `${{` and `}}`"));
            }
            condition::read(value, SCHEMA.definition(RUNS_IF).allowed, Condition::Plain, report)
        }
        _ => condition::always(),
    }
}

fn unknown_runtime(using: &str, span: Span, report: &mut Report<'_>) {
    let message = format!("'using: {using}' is not supported");
    let diagnostic = report.describe(span, "action-using", message);
    let known = "`docker`, `composite`, `node20` or `node24`";
    report.push(diagnostic.with_help(format!("use {known} instead of {}", quoted(using))));
}
