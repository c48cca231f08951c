//! Nodes to template tokens, checked against a schema as GitHub's template reader checks them.
//!
//! What is refused is reported and left out of the result, so that the model of the rest can still be made and checked.

use std::collections::HashSet;
use std::sync::Arc;

use super::expression::{self, Scalar};
use super::report::{Report, quoted};
use super::suggest::nearest;
use crate::diagnostic::Edit;
use crate::expr::Value;
use crate::schema::{Allowed, DefinitionId, Kind, Mapping, Property, Schema};
use crate::source::Span;
use crate::template::{Entry, Key, Token, TokenKind};
use crate::yaml::{Node, NodeKind};

/// Keys of steps that only exist with background steps. GitHub knows `parallel` without them.
const BACKGROUND_KEYS: [&str; 4] = ["background", "wait", "wait-all", "cancel"];

/// Reads one file's nodes against one schema.
#[derive(Debug)]
pub(crate) struct TemplateReader<'r, 'f> {
    pub(crate) schema: &'static Schema,
    /// The definition that admits anything.
    pub(crate) any: DefinitionId,
    /// Whether the keys of background steps exist.
    pub(crate) background_steps: bool,
    pub(crate) report: &'r mut Report<'f>,
}

/// What a node must be, and what its expressions may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    definition: DefinitionId,
    allowed: Allowed,
}

impl TemplateReader<'_, '_> {
    /// Reads a whole document.
    pub(crate) fn read(&mut self, node: &Node, root: DefinitionId) -> Option<Token> {
        let place = self.inside(Allowed::NOTHING, root);
        self.value(node, place)
    }

    fn inside(&self, around: Allowed, definition: DefinitionId) -> Place {
        Place { definition, allowed: around.with(self.schema.definition(definition).allowed) }
    }

    fn value(&mut self, node: &Node, place: Place) -> Option<Token> {
        match &node.kind {
            NodeKind::Sequence(items) => self.sequence(items, node.span, place),
            NodeKind::Mapping(entries) => self.mapping(entries, node.span, place),
            _ => self.scalar(node, place),
        }
    }

    fn sequence(&mut self, items: &[Node], span: Span, place: Place) -> Option<Token> {
        let Some(item) = self.schema.sequence_item(place.definition) else {
            self.report.error(span, "unexpected-sequence", "A sequence was not expected");
            return None;
        };
        let place = self.inside(place.allowed, item);
        let items = items.iter().filter_map(|item| self.value(item, place)).collect();
        Some(Token { kind: TokenKind::Sequence(items), span })
    }

    fn mapping(&mut self, entries: &[(Node, Node)], span: Span, place: Place) -> Option<Token> {
        let mut choices = self.schema.mappings(place.definition);
        if choices.is_empty() {
            self.report.error(span, "unexpected-mapping", "A mapping was not expected");
            return None;
        }
        let loose = choices[0]
            .loose
            .map(|(key, value)| (self.inside(place.allowed, key), self.inside(place.allowed, value)));
        let only_loose = choices.len() == 1 && choices[0].properties.is_empty();
        let mut seen = HashSet::new();
        let mut has_expression_key = false;
        let mut read = Vec::with_capacity(entries.len());
        for (key_node, value_node) in entries {
            let Some(key) = self.key(key_node, place.allowed) else { continue };
            let value_place = match &key {
                Key::Literal(name) => {
                    if !seen.insert(name.to_lowercase()) {
                        let message = format!("{} is already defined", quoted(name));
                        self.report.error(key_node.span, "duplicate-key", message);
                        continue;
                    }
                    let property = self.property(&mut choices, name).map(|property| property.definition);
                    match (property, loose) {
                        (Some(definition), _) => self.inside(place.allowed, definition),
                        (None, Some((loose_key, loose_value))) => {
                            self.check_loose_key(name, key_node.span, loose_key);
                            loose_value
                        }
                        (None, None) => {
                            self.unknown_key(name, key_node.span, &choices, entries);
                            continue;
                        }
                    }
                }
                Key::Expression(_) | Key::Insert => {
                    has_expression_key = true;
                    match loose {
                        Some((_, loose_value)) if only_loose => loose_value,
                        _ => self.inside(place.allowed, self.any),
                    }
                }
            };
            if let Some(value) = self.value(value_node, value_place) {
                read.push(Entry { key, key_span: key_node.span, value });
            }
        }
        self.check_choice(&choices, &seen, has_expression_key, span);
        Some(Token { kind: TokenKind::Mapping(read), span })
    }

    /// A mapping's key; `None` if it is refused.
    fn key(&mut self, node: &Node, allowed: Allowed) -> Option<Key> {
        let NodeKind::String(text) = &node.kind else { return Some(Key::Literal(scalar_text(node))) };
        match self.expressions(text, node.span, allowed)? {
            Scalar::Literal(text) => Some(Key::Literal(text)),
            Scalar::Expression(expr) => Some(Key::Expression(expr)),
            Scalar::Insert => Some(Key::Insert),
        }
    }

    /// The text with its expressions read; `None` if one of them is refused.
    fn expressions(&mut self, text: &Arc<str>, span: Span, allowed: Allowed) -> Option<Scalar> {
        if !text.contains("${{") {
            return Some(Scalar::Literal(text.clone()));
        }
        if allowed.is_nothing() {
            let message = "A template expression is not allowed in this context";
            self.report.error(span, "expression-not-allowed", message);
            return None;
        }
        match expression::scan(text, allowed) {
            Ok(scalar) => {
                if self.report.is_for_author() {
                    self.check_formats(text, span, allowed);
                }
                Some(scalar)
            }
            Err(failure) => {
                self.report.push(expression::describe(self.report, span, text, &failure));
                None
            }
        }
    }

    /// Calls of `format` whose template does not fit its arguments have no value.
    fn check_formats(&mut self, text: &str, span: Span, allowed: Allowed) {
        for message in expression::format_mistakes(text, allowed) {
            self.report.error(span, "format", message);
        }
    }

    /// The property of this name. Choices that do not have it are dropped when another does.
    fn property(&self, choices: &mut Vec<&'static Mapping>, name: &str) -> Option<&'static Property> {
        if !self.background_steps && BACKGROUND_KEYS.contains(&name) {
            return None;
        }
        let property = choices.iter().rev().find_map(|mapping| mapping.property(name))?;
        choices.retain(|mapping| mapping.property(name).is_some());
        Some(property)
    }

    fn check_loose_key(&mut self, name: &str, span: Span, place: Place) {
        let value = Value::from(name);
        if !self.schema.any_scalar(place.definition, &|kind| matches(kind, &value)) {
            self.report.error(span, "unexpected-value", format!("Unexpected value {}", quoted(name)));
        }
    }

    fn unknown_key(
        &mut self,
        name: &str,
        span: Span,
        choices: &[&'static Mapping],
        entries: &[(Node, Node)],
    ) {
        let known: Vec<&str> = self.known_keys(choices);
        let mut diagnostic =
            self.report.describe(span, "unexpected-key", format!("Unexpected value {}", quoted(name)));
        if name == "<<" {
            diagnostic = diagnostic.with_help("GitHub does not merge mappings; repeat the keys");
        } else if let Some(meant) = nearest(name, known.iter().copied()) {
            diagnostic = diagnostic.with_help(format!("did you mean `{meant}`?"));
            let taken = entries.iter().any(|(key, _)| scalar_text(key).eq_ignore_ascii_case(meant));
            if !taken && self.report.file().slice(span) == name && is_only_near(meant, name, &known) {
                let edit = Edit { span, text: meant.to_owned() };
                diagnostic = diagnostic.with_fix(format!("write `{meant}`"), vec![edit]);
            }
        } else if !known.is_empty() {
            diagnostic = diagnostic.with_help(format!("the keys here are {}", list(&known)));
        }
        self.report.push(diagnostic);
    }

    fn known_keys(&self, choices: &[&'static Mapping]) -> Vec<&'static str> {
        let mut known: Vec<&str> =
            choices.iter().flat_map(|mapping| mapping.properties).map(|property| property.name).collect();
        known.retain(|name| self.background_steps || !BACKGROUND_KEYS.contains(name));
        known.sort_unstable();
        known.dedup();
        known
    }

    fn check_choice(
        &mut self,
        choices: &[&'static Mapping],
        seen: &HashSet<String>,
        has_expression_key: bool,
        span: Span,
    ) {
        if let [mapping] = choices {
            let required =
                mapping.properties.iter().filter(|property| property.required && !has_expression_key);
            for property in required.filter(|property| !seen.contains(property.name)) {
                let message = format!("Required property is missing: {}", property.name);
                self.report.error(span, "missing-key", message);
            }
            return;
        }
        let mut unique = self.known_keys(choices);
        unique.retain(|name| choices.iter().filter(|mapping| mapping.property(name).is_some()).count() == 1);
        let message = format!(
            "There's not enough info to determine what you meant. Add one of these properties: {}",
            unique.join(", ")
        );
        self.report.error(span, "ambiguous-mapping", message);
    }

    fn scalar(&mut self, node: &Node, place: Place) -> Option<Token> {
        let span = node.span;
        let kind = match &node.kind {
            NodeKind::Null => TokenKind::Null,
            NodeKind::Bool(value) => TokenKind::Bool(*value),
            NodeKind::Number(value) => TokenKind::Number(*value),
            NodeKind::String(text) => match self.expressions(text, span, place.allowed)? {
                Scalar::Literal(text) => TokenKind::String(text),
                Scalar::Expression(expr) => return Some(Token { kind: TokenKind::Expression(expr), span }),
                Scalar::Insert => {
                    self.report.error(span, "unexpected-value", "Unexpected value '${{ insert }}'");
                    return None;
                }
            },
            NodeKind::Sequence(_) | NodeKind::Mapping(_) => unreachable!("collections are read elsewhere"),
        };
        match typed(self.schema, place.definition, kind) {
            Ok(kind) => Some(Token { kind, span }),
            Err(text) => {
                self.unexpected_value(&text, span, place.definition);
                None
            }
        }
    }

    fn unexpected_value(&mut self, text: &str, span: Span, definition: DefinitionId) {
        let mut diagnostic =
            self.report.describe(span, "unexpected-value", format!("Unexpected value {}", quoted(text)));
        let mut known = Vec::new();
        self.allowed_values(definition, &mut known);
        if let Some(meant) = nearest(text, known.iter().copied()) {
            diagnostic = diagnostic.with_help(format!("did you mean `{meant}`?"));
        } else if !known.is_empty() {
            diagnostic = diagnostic.with_help(format!("the values here are {}", list(&known)));
        } else if let Some(expected) = self.expected(definition) {
            diagnostic = diagnostic.with_help(format!("expected {expected}"));
        }
        self.report.push(diagnostic);
    }

    fn allowed_values(&self, definition: DefinitionId, known: &mut Vec<&'static str>) {
        match &self.schema.definition(definition).kind {
            Kind::Constant(value) => known.push(value),
            Kind::AllowedValues(values) => known.extend(*values),
            Kind::OneOf(choices) => choices.iter().for_each(|choice| self.allowed_values(*choice, known)),
            _ => {}
        }
    }

    fn expected(&self, definition: DefinitionId) -> Option<&'static str> {
        match &self.schema.definition(definition).kind {
            Kind::Boolean => Some("a boolean, `true` or `false`"),
            Kind::Number => Some("a number"),
            Kind::NonEmptyString => Some("text that is not empty"),
            Kind::Mapping(_) => Some("a mapping"),
            Kind::Sequence(_) => Some("a sequence"),
            _ => None,
        }
    }
}

/// Whether no other known word could have been meant.
fn is_only_near(meant: &str, name: &str, known: &[&str]) -> bool {
    nearest(name, known.iter().copied().filter(|word| *word != meant)).is_none()
}

fn list(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    words.join(", ")
}

/// The text of a scalar node, numbers written as GitHub writes them.
fn scalar_text(node: &Node) -> Arc<str> {
    match &node.kind {
        NodeKind::Bool(value) => Value::Bool(*value).into_text(),
        NodeKind::Number(value) => Value::Number(*value).into_text(),
        NodeKind::String(text) => text.clone(),
        NodeKind::Null | NodeKind::Sequence(_) | NodeKind::Mapping(_) => Arc::from(""),
    }
}

/// A literal as a definition admits it: as it is, or else as text. The error is its text.
pub(crate) fn typed(
    schema: &Schema,
    definition: DefinitionId,
    kind: TokenKind,
) -> Result<TokenKind, Arc<str>> {
    let value = match &kind {
        TokenKind::Null => Value::Null,
        TokenKind::Bool(value) => Value::Bool(*value),
        TokenKind::Number(value) => Value::Number(*value),
        TokenKind::String(text) => Value::String(text.clone()),
        TokenKind::Expression(_) | TokenKind::Sequence(_) | TokenKind::Mapping(_) => return Ok(kind),
    };
    if schema.any_scalar(definition, &|kind| matches(kind, &value)) {
        return Ok(kind);
    }
    let text = value.into_text();
    let value = Value::String(text.clone());
    if schema.any_scalar(definition, &|kind| matches(kind, &value)) {
        Ok(TokenKind::String(text))
    } else {
        Err(text)
    }
}

fn matches(kind: &Kind, value: &Value) -> bool {
    match (kind, value) {
        (Kind::Null, Value::Null)
        | (Kind::Boolean, Value::Bool(_))
        | (Kind::Number, Value::Number(_))
        | (Kind::String, Value::String(_)) => true,
        (Kind::NonEmptyString, Value::String(text)) => !text.is_empty(),
        (Kind::Constant(constant), Value::String(text)) => **constant == **text,
        (Kind::AllowedValues(values), Value::String(text)) => values.contains(&&**text),
        _ => false,
    }
}
