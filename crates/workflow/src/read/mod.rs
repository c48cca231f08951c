//! Files to the model: YAML nodes, checked against GitHub's schema, become template tokens ([`template`]) and these the
//! model, one module per part of it. What is refused is reported, and reading goes on with the rest.

mod action;
mod call;
mod condition;
mod expression;
mod identifier;
mod job;
mod keys;
mod needs;
mod options;
mod recent;
mod report;
mod rules;
mod step;
mod strategy;
pub(crate) mod suggest;
mod template;
mod trigger;
mod workflow;

use crate::diagnostic::Parsed;
use crate::expr::Value;
use crate::model::{Action, Workflow};
use crate::schema;
use crate::source::{SourceFile, Spanned};
use crate::template::{Token, TokenKind};
use crate::yaml;
use report::Report;
use template::TemplateReader;

pub use call::CalledFiles;
pub use options::{DEFAULT_MAX_CALL_DEPTH, MAX_FILES, ReadOptions, Strictness};
pub(crate) use report::MAX_DIAGNOSTICS;
pub(crate) use rules::RULES;
pub use suggest::nearest;

/// Reads a workflow file and the workflows that it calls, as far as they can be found. Never fails: the value is as much
/// of the model as could be read, which may be run only when there is no error.
#[must_use]
pub fn parse(file: &SourceFile, options: &ReadOptions<'_>) -> Parsed<Workflow> {
    let Parsed { value, diagnostics } = parse_with_root(file, options);
    Parsed { value: value.map(|(workflow, _)| workflow), diagnostics }
}

/// Reads like [`parse`]; beside the model the tokens of the whole file.
pub(crate) fn parse_with_root(file: &SourceFile, options: &ReadOptions<'_>) -> Parsed<(Workflow, Token)> {
    let mut report = Report::new(file, options.strictness);
    let mut value = workflow::tokens(options, &mut report).map(|root| {
        let workflow = workflow::read_tokens(&root, options, None, &mut report);
        (workflow, root)
    });
    if let Some((workflow, _)) = value.as_mut().filter(|_| report.is_for_author() || !report.has_errors()) {
        call::read_all(workflow, options, &mut report);
    }
    Parsed { value, diagnostics: report.finish() }
}

/// Reads an action's metadata file. Never fails, like [`parse`].
#[must_use]
pub fn parse_action(file: &SourceFile, options: &ReadOptions<'_>) -> Parsed<Action> {
    let (value, Parsed { diagnostics, .. }) = parse_action_with_root(file, options);
    Parsed { value, diagnostics }
}

/// Reads like [`parse_action`]; beside the model the tokens of the whole file, which there may be without a model.
pub(crate) fn parse_action_with_root(
    file: &SourceFile,
    options: &ReadOptions<'_>,
) -> (Option<Action>, Parsed<Token>) {
    let mut report = Report::new(file, options.strictness);
    let root = match options.strictness {
        Strictness::Author => schema::action::ROOT_STRICT,
        Strictness::Runner => schema::action::ROOT,
    };
    let token = match yaml::parse(file, options.yaml) {
        Err(diagnostic) => {
            report.push(*diagnostic);
            None
        }
        Ok(node) => {
            let mut reader = TemplateReader {
                schema: &schema::action::SCHEMA,
                any: schema::action::ANY,
                background_steps: false,
                report: &mut report,
            };
            reader.read(node, root)
        }
    };
    let value = token.as_ref().and_then(|token| action::read(token, &mut report));
    (value, Parsed { value: token, diagnostics: report.finish() })
}

/// The text of a literal, numbers written as GitHub writes them; none of expressions and collections.
fn text_of(token: &Token) -> Option<Spanned<String>> {
    let value = match &token.kind {
        TokenKind::Null => String::new(),
        TokenKind::Bool(value) => value.to_string(),
        TokenKind::Number(value) => Value::Number(*value).to_text().into_owned(),
        TokenKind::String(text) => text.to_string(),
        TokenKind::Expression(_) | TokenKind::Sequence(_) | TokenKind::Mapping(_) => return None,
    };
    Some(Spanned { value, span: token.span })
}

/// The texts of a sequence of literals, or of one literal.
fn texts_of(token: &Token) -> Vec<Spanned<String>> {
    match &token.kind {
        TokenKind::Sequence(items) => items.iter().filter_map(text_of).collect(),
        TokenKind::Null => Vec::new(),
        _ => text_of(token).into_iter().collect(),
    }
}

/// Whether the token is the literal `true`, as a boolean or, as the runner reads it, as text.
fn is_true(token: &Token) -> bool {
    match &token.kind {
        TokenKind::Bool(value) => *value,
        TokenKind::String(text) => text.eq_ignore_ascii_case("true"),
        _ => false,
    }
}
