//! Nodes to template tokens, checked against a schema as GitHub's template reader checks them.
//!
//! What is refused is reported and left out of the result, so that the model of the rest can still be made and checked.

use std::sync::Arc;

use super::expression::{self, Scalar};
use super::keys::Keys;
use super::report::{Report, quoted};
use super::suggest::nearest;
use crate::diagnostic::Edit;
use crate::expr::text::has_expression;
use crate::expr::{Expr, Value};
use crate::schema::{Allowed, Choices, DefinitionId, Kind, Mapping, Property, Schema};
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
    pub(crate) fn read(&mut self, node: Node, root: DefinitionId) -> Option<Token> {
        let place = self.inside(Allowed::NOTHING, root);
        self.value(node, place)
    }

    fn inside(&self, around: Allowed, definition: DefinitionId) -> Place {
        Place { definition, allowed: around.with(self.schema.definition(definition).allowed) }
    }

    fn value(&mut self, node: Node, place: Place) -> Option<Token> {
        match node.kind {
            NodeKind::Sequence(items) => self.sequence(items, node.span, place),
            NodeKind::Mapping(entries) => self.mapping(entries, node.span, place),
            _ => self.scalar(node, place),
        }
    }

    fn sequence(&mut self, items: Vec<Node>, span: Span, place: Place) -> Option<Token> {
        let Some(item) = self.schema.sequence_item(place.definition) else {
            self.report.error(span, "unexpected-sequence", "A sequence was not expected");
            return None;
        };
        let place = self.inside(place.allowed, item);
        let mut read = Vec::with_capacity(items.len());
        read.extend(items.into_iter().filter_map(|item| self.value(item, place)));
        Some(Token { kind: TokenKind::Sequence(read.into()), span })
    }

    fn mapping(&mut self, entries: Vec<(Node, Node)>, span: Span, place: Place) -> Option<Token> {
        let mut choices = self.schema.mappings(place.definition);
        let Some(first) = choices.left().first() else {
            self.report.error(span, "unexpected-mapping", "A mapping was not expected");
            return None;
        };
        let loose = first
            .loose
            .map(|(key, value)| (self.inside(place.allowed, key), self.inside(place.allowed, value)));
        let only_loose = choices.left().len() == 1 && first.properties.is_empty();
        let mut keys = Keys::with_capacity(entries.len());
        let mut has_expression_key = false;
        let mut entries = entries.into_iter();
        while let Some((key_node, value_node)) = entries.next() {
            let key_span = key_node.span;
            let Some(key) = self.key(key_node, place.allowed) else { continue };
            let value_place = match &key {
                Key::Literal(name) => {
                    if !keys.take(name) {
                        let message = format!("{} is already defined", quoted(name));
                        self.report.error(key_span, "duplicate-key", message);
                        self.repeated(&choices, name, value_node, place.allowed);
                        continue;
                    }
                    match (self.property(&mut choices, name), loose) {
                        (Some(property), _) => self.inside(place.allowed, property.definition),
                        (None, Some((loose_key, loose_value))) => {
                            self.check_loose_key(name, key_span, loose_key);
                            loose_value
                        }
                        (None, None) => {
                            let later = entries.as_slice();
                            let is_there =
                                |name: &str| keys.has(name) || later.iter().any(|(key, _)| is_key(key, name));
                            self.unknown_key(name, key_span, choices.left(), &is_there);
                            keys.refuse(key);
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
            let is_merge = matches!(&key, Key::Literal(name) if &**name == "<<")
                && matches!(value_node.kind, NodeKind::Mapping(_));
            let before = self.report.len();
            let value = self.value(value_node, value_place);
            if is_merge && self.report.len() > before {
                self.no_merge(key_span);
            }
            match value {
                Some(value) => keys.add(Entry { key, key_span, value }),
                None => keys.refuse(key),
            }
        }
        self.check_choice(choices.left(), &keys, has_expression_key, span);
        Some(Token { kind: TokenKind::Mapping(keys.into_entries()), span })
    }

    /// The value of a key that is there a second time, only to find the mistakes in it.
    fn repeated(&mut self, choices: &Choices, name: &str, value: Node, allowed: Allowed) {
        if let Some(property) = choices.left().iter().find_map(|mapping| mapping.property(name)) {
            let place = self.inside(allowed, property.definition);
            self.value(value, place);
        }
    }

    /// Whoever writes `<<` wants to merge a mapping, which here is the value of a key like others, and does not fit.
    fn no_merge(&mut self, span: Span) {
        let diagnostic = self.report.describe(span, "unexpected-key", "Unexpected value '<<'");
        self.report.push(diagnostic.with_help("GitHub does not merge mappings; repeat the keys"));
    }

    /// A mapping's key; `None` if it is refused.
    fn key(&mut self, node: Node, allowed: Allowed) -> Option<Key> {
        let text = match node.kind {
            NodeKind::String(text) => text,
            kind => return Some(Key::Literal(scalar_text(kind))),
        };
        match self.expressions(text, node.span, allowed)? {
            Scalar::Literal(text) => Some(Key::Literal(text)),
            Scalar::Expression(expr) => Some(Key::Expression(expr)),
            Scalar::Insert => Some(Key::Insert),
        }
    }

    /// The text with its expressions read; `None` if one of them is refused.
    fn expressions(&mut self, text: Arc<str>, span: Span, allowed: Allowed) -> Option<Scalar> {
        if !has_expression(&text) {
            return Some(Scalar::Literal(text));
        }
        if allowed.is_nothing() {
            // One literal text is that text, also where no expression may stand.
            if let Ok(Scalar::Literal(text)) = expression::scan(&text, allowed) {
                return Some(Scalar::Literal(text));
            }
            let message = "A template expression is not allowed in this context";
            self.report.error(span, "expression-not-allowed", message);
            return None;
        }
        match expression::scan(&text, allowed) {
            Ok(scalar) => {
                if let Scalar::Expression(expr) = &scalar {
                    self.check_formats(expr, span);
                }
                Some(scalar)
            }
            Err(failure) => {
                self.report.push(expression::describe(self.report, span, &text, &failure));
                None
            }
        }
    }

    /// Calls of `format` whose template does not fit its arguments have no value.
    fn check_formats(&mut self, expr: &Expr, span: Span) {
        if self.report.is_for_author() {
            for message in expression::mistakes_of_format(expr) {
                self.report.error(span, "format", message);
            }
        }
    }

    /// The property of this name. Choices that do not have it are dropped when another does.
    fn property(&self, choices: &mut Choices, name: &str) -> Option<&'static Property> {
        if !self.background_steps && BACKGROUND_KEYS.contains(&name) {
            return None;
        }
        choices.narrow(name)
    }

    fn check_loose_key(&mut self, name: &str, span: Span, place: Place) {
        if !self.schema.any_scalar(place.definition, &|kind| admits_text(kind, name)) {
            self.report.error(span, "unexpected-value", format!("Unexpected value {}", quoted(name)));
        }
    }

    fn unknown_key(
        &mut self,
        name: &str,
        span: Span,
        choices: &[&'static Mapping],
        is_there: &dyn Fn(&str) -> bool,
    ) {
        let known: Vec<&str> = self.known_keys(choices);
        let mut diagnostic =
            self.report.describe(span, "unexpected-key", format!("Unexpected value {}", quoted(name)));
        if name == "<<" {
            diagnostic = diagnostic.with_help("GitHub does not merge mappings; repeat the keys");
        } else if let Some(meant) = nearest(name, known.iter().copied()) {
            diagnostic = diagnostic.with_help(format!("did you mean `{meant}`?"));
            if !is_there(meant) && self.report.file().slice(span) == name && is_only_near(meant, name, &known)
            {
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
        keys: &Keys,
        has_expression_key: bool,
        span: Span,
    ) {
        if let [mapping] = choices {
            let required =
                mapping.properties.iter().filter(|property| property.required && !has_expression_key);
            for property in required.filter(|property| !keys.has(property.name)) {
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

    fn scalar(&mut self, node: Node, place: Place) -> Option<Token> {
        let span = node.span;
        let kind = match node.kind {
            NodeKind::Null => TokenKind::Null,
            NodeKind::Bool(value) => TokenKind::Bool(value),
            NodeKind::Number(value) => TokenKind::Number(value),
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

/// Whether the node is a key of this name.
fn is_key(node: &Node, name: &str) -> bool {
    matches!(&node.kind, NodeKind::String(text) if text.eq_ignore_ascii_case(name))
}

/// The text of a scalar, numbers written as GitHub writes them.
fn scalar_text(kind: NodeKind) -> Arc<str> {
    match kind {
        NodeKind::Bool(value) => Value::Bool(value).into_text(),
        NodeKind::Number(value) => Value::Number(value).into_text(),
        NodeKind::String(text) => text,
        NodeKind::Null | NodeKind::Sequence(_) | NodeKind::Mapping(_) => Arc::from(""),
    }
}

/// A literal as a definition admits it: as it is, or else as text. The error is its text.
pub(crate) fn typed(
    schema: &Schema,
    definition: DefinitionId,
    kind: TokenKind,
) -> Result<TokenKind, Arc<str>> {
    if schema.any_scalar(definition, &|admitted| admits(admitted, &kind)) {
        return Ok(kind);
    }
    let text = match kind {
        TokenKind::Null => Value::Null.into_text(),
        TokenKind::Bool(value) => Value::Bool(value).into_text(),
        TokenKind::Number(value) => Value::Number(value).into_text(),
        TokenKind::String(text) => return Err(text),
        TokenKind::Expression(_) | TokenKind::Sequence(_) | TokenKind::Mapping(_) => return Ok(kind),
    };
    if schema.any_scalar(definition, &|admitted| admits_text(admitted, &text)) {
        Ok(TokenKind::String(text))
    } else {
        Err(text)
    }
}

fn admits(kind: &Kind, token: &TokenKind) -> bool {
    match (kind, token) {
        (Kind::Null, TokenKind::Null)
        | (Kind::Boolean, TokenKind::Bool(_))
        | (Kind::Number, TokenKind::Number(_)) => true,
        (_, TokenKind::String(text)) => admits_text(kind, text),
        _ => false,
    }
}

fn admits_text(kind: &Kind, text: &str) -> bool {
    match kind {
        Kind::String => true,
        Kind::NonEmptyString => !text.is_empty(),
        Kind::Constant(constant) => *constant == text,
        Kind::AllowedValues(values) => values.contains(&text),
        _ => false,
    }
}
