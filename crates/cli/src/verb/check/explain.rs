//! `firedog check --explain`: what a rule is about, why, and examples, from its page.

use serde_json::{Value, json};
use workflow::read::nearest;
use workflow::rule::{self, Group, Rule};

use super::CheckFormat;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::render::diagnostic::severity_name;
use crate::render::markdown;
use crate::render::style::Style;

/// The word that stands for all rules.
const ALL: &str = "all";

/// Explains the rule `code`, or with `all` every rule, or lists them without a code.
pub(super) fn run(code: Option<&str>, format: CheckFormat, config: &Config) -> Result<Exit, Failure> {
    let rules: Vec<&Rule> = match code {
        None | Some(ALL) => rule::all().collect(),
        Some(code) => vec![rule::find(code).ok_or_else(|| unknown(code))?],
    };
    let text = match format {
        CheckFormat::Json => {
            format!("{}\n", json!({ "rules": rules.iter().map(|rule| to_json(rule)).collect::<Vec<_>>() }))
        }
        CheckFormat::Ndjson => rules.iter().map(|rule| format!("{}\n", to_json(rule))).collect(),
        CheckFormat::Markdown => document(&rules),
        CheckFormat::Text if code.is_none() => list(&rules, config.stdout),
        CheckFormat::Text => {
            let pages: Vec<String> = rules.iter().map(|rule| page(rule, config.stdout)).collect();
            pages.join("\n\n")
        }
        CheckFormat::Sarif | CheckFormat::Github => {
            return Err(Failure::usage("`--explain` is written as text, json, ndjson or markdown"));
        }
    };
    output::to_stdout(&text)?;
    Ok(Exit::Success)
}

/// There is no such rule.
pub(super) fn unknown(code: &str) -> Failure {
    let failure = Failure::usage(format!("there is no rule `{code}`"));
    match nearest(code, rule::all().map(|rule| rule.code)) {
        Some(meant) => failure.with_help(format!("did you mean `{meant}`?")),
        None => failure.with_help("`firedog check --explain` lists the rules"),
    }
}

fn to_json(rule: &Rule) -> Value {
    json!({
        "code": rule.code,
        "severity": severity_name(rule.severity),
        "group": rule.group.name(),
        "summary": rule.summary,
        "actionlint_kind": rule.actionlint,
        "page": rule.page,
    })
}

fn of_group(rules: &[&'static Rule], group: Group) -> Vec<&'static Rule> {
    let mut rules: Vec<_> = rules.iter().copied().filter(|rule| rule.group == group).collect();
    rules.sort_by_key(|rule| rule.code);
    rules
}

fn list(rules: &[&'static Rule], style: Style) -> String {
    let width = rules.iter().map(|rule| rule.code.len()).max().unwrap_or_default();
    let mut text = String::new();
    for group in Group::ALL {
        text.push_str(&format!("{}\n", style.bold(group.name())));
        for rule in of_group(rules, group) {
            let code = style.cyan(&format!("{:width$}", rule.code));
            let severity = format!("{:7}", severity_name(rule.severity));
            text.push_str(&format!("  {code}  {severity}  {}\n", markdown::inline(rule.summary, style)));
        }
    }
    text.push_str("\n`firedog check --explain CODE` tells more of a rule.\n");
    text
}

fn page(rule: &Rule, style: Style) -> String {
    let severity = severity_name(rule.severity);
    let title = format!("{severity}[{}]", rule.code);
    let mut text = format!("{}: {}\n", style.bold(&title), markdown::inline(rule.summary, style));
    let mut origin = rule.group.name().to_owned();
    if let Some(kind) = rule.actionlint {
        origin.push_str(&format!(", `{kind}` in actionlint"));
    }
    text.push_str(&format!("{}\n\n", style.dim(&origin)));
    text.push_str(&markdown::to_terminal(rule.page, style));
    text
}

/// The page of all rules, `docs/rules.md`.
fn document(rules: &[&'static Rule]) -> String {
    let mut text = String::from(
        "# Rules of `firedog check`\n\n\
         <!-- Written by `script/rules` from the pages beside the rules. -->\n\n\
         What `firedog check` finds, by code. Errors are what GitHub refuses; warnings and advice (info) never stop a run. \
         `firedog check --explain CODE` shows a rule's page in the terminal, [check.md](check.md) tells how rules are set and \
         findings answered. A block of findings below an example has what is found in it: line, column and message.\n",
    );
    for group in Group::ALL {
        let rules = of_group(rules, group);
        if rules.is_empty() {
            continue;
        }
        text.push_str(&format!("\n## {}\n\n", capitalised(group.name())));
        text.push_str("| code | severity | what is found |\n| --- | --- | --- |\n");
        for rule in &rules {
            let (code, severity) = (rule.code, severity_name(rule.severity));
            text.push_str(&format!(
                "| [`{code}`](#{code}) | {severity} | {} |\n",
                rule.summary.replace('|', "\\|")
            ));
        }
        for rule in rules {
            text.push_str(&format!("\n### {}\n\n", rule.code));
            let origin = rule.actionlint.map(|kind| format!(" (`{kind}` in actionlint)")).unwrap_or_default();
            text.push_str(&format!("*{}*: {}{origin}.\n\n", severity_name(rule.severity), rule.summary));
            text.push_str(rule.page.trim_end());
            text.push('\n');
        }
    }
    text
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
