//! Tokens to values, once the contexts are known.

use std::sync::Arc;

use indexmap::IndexMap;

use super::{Entry, Key, Token, TokenKind};
use crate::expr::{Contexts, Expr, ExprError, HostFunctions, Object, Value, eval};
use crate::source::Span;

/// Bytes that the values of one template may take, as GitHub bounds them.
pub const MAX_RESULT_SIZE: usize = 10 * 1024 * 1024;
/// Bytes that each value counts beside its text.
const VALUE_SIZE: usize = 24;

/// A template that cannot be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{mistake}")]
pub struct TemplateError {
    /// The token at fault.
    pub span: Span,
    /// What is wrong with it.
    #[source]
    pub mistake: TemplateMistake,
}

impl TemplateError {
    /// The patterns of a `hashFiles` whose answer is not known yet: fetch it, then evaluate again.
    #[must_use]
    pub fn pending(&self) -> Option<&[String]> {
        if let TemplateMistake::Expression(error) = &self.mistake { error.pending() } else { None }
    }
}

/// What is wrong with a token; the messages are GitHub's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateMistake {
    /// An expression has no value.
    #[error("{0}")]
    Expression(#[source] ExprError),
    /// Two keys of a mapping are equal without regard to case.
    #[error("'{0}' is already defined")]
    AlreadyDefined(String),
    /// A value of another type than is needed.
    #[error("Unexpected value '{0}'")]
    UnexpectedValue(String),
    /// A sequence where a scalar or a mapping is needed.
    #[error("A sequence was not expected")]
    UnexpectedSequence,
    /// A mapping where a scalar or a sequence is needed.
    #[error("A mapping was not expected")]
    UnexpectedMapping,
    /// A scalar or a sequence where a mapping is needed.
    #[error("Expected a mapping")]
    ExpectedMapping,
    /// A key that is a collection.
    #[error("Expected a scalar value")]
    ExpectedScalar,
    /// The values are too large together.
    #[error("Maximum object size exceeded")]
    TooLarge,
}

type Result<T> = std::result::Result<T, TemplateError>;

/// The value of a token: literals are themselves, expressions their values, mappings ordered objects.
///
/// # Errors
/// An expression without a value, or a mapping whose keys, once evaluated, are not distinct texts.
pub fn evaluate(token: &Token, contexts: &Contexts, functions: &dyn HostFunctions) -> Result<Value> {
    Evaluation { contexts, functions, size: 0 }.value(token)
}

/// The text of a token. Numbers and booleans become text, null the empty one.
///
/// # Errors
/// As [`evaluate`], and a value that is a collection.
pub fn evaluate_text(token: &Token, contexts: &Contexts, functions: &dyn HostFunctions) -> Result<Arc<str>> {
    text(evaluate(token, contexts, functions)?, token.span)
}

/// The boolean of a token.
///
/// # Errors
/// As [`evaluate`], and a value of another type: GitHub takes no text for a boolean.
pub fn evaluate_bool(token: &Token, contexts: &Contexts, functions: &dyn HostFunctions) -> Result<bool> {
    match evaluate(token, contexts, functions)? {
        Value::Bool(value) => Ok(value),
        other => Err(unexpected(other, token.span)),
    }
}

/// The number of a token.
///
/// # Errors
/// As [`evaluate`], and a value of another type: GitHub takes no text for a number.
pub fn evaluate_number(token: &Token, contexts: &Contexts, functions: &dyn HostFunctions) -> Result<f64> {
    match evaluate(token, contexts, functions)? {
        Value::Number(value) => Ok(value),
        other => Err(unexpected(other, token.span)),
    }
}

/// The texts of a token that is one text or a sequence of texts, such as `runs-on`.
///
/// # Errors
/// As [`evaluate`], and a value that is neither.
pub fn evaluate_texts(
    token: &Token,
    contexts: &Contexts,
    functions: &dyn HostFunctions,
) -> Result<Vec<Arc<str>>> {
    match evaluate(token, contexts, functions)? {
        Value::Array(items) => {
            let spans = token.items().iter().map(|item| item.span).chain(std::iter::repeat(token.span));
            items.iter().zip(spans).map(|(item, span)| text(item.clone(), span)).collect()
        }
        other => text(other, token.span).map(|text| vec![text]),
    }
}

/// The names and texts of a token that is a mapping, such as `env` or `with`, in the order of the file.
///
/// # Errors
/// As [`evaluate`], a value that is no mapping, and a value in it that is a collection.
pub fn evaluate_mapping_text(
    token: &Token,
    contexts: &Contexts,
    functions: &dyn HostFunctions,
) -> Result<IndexMap<String, String>> {
    let value = evaluate(token, contexts, functions)?;
    let Value::Object(object) = &value else {
        return Err(match value {
            Value::Array(_) => mistake(token.span, TemplateMistake::UnexpectedSequence),
            other => unexpected(other, token.span),
        });
    };
    object
        .iter()
        .map(|(name, value)| {
            let span = token.entry(name).map_or(token.span, |entry| entry.value.span);
            Ok((name.to_owned(), text(value.clone(), span)?.to_string()))
        })
        .collect()
}

fn mistake(span: Span, mistake: TemplateMistake) -> TemplateError {
    TemplateError { span, mistake }
}

fn unexpected(value: Value, span: Span) -> TemplateError {
    mistake(
        span,
        match value {
            Value::Array(_) => TemplateMistake::UnexpectedSequence,
            Value::Object(_) => TemplateMistake::UnexpectedMapping,
            scalar => TemplateMistake::UnexpectedValue(scalar.to_text().into_owned()),
        },
    )
}

fn text(value: Value, span: Span) -> Result<Arc<str>> {
    if value.is_primitive() { Ok(value.into_text()) } else { Err(unexpected(value, span)) }
}

struct Evaluation<'a> {
    contexts: &'a Contexts,
    functions: &'a dyn HostFunctions,
    size: usize,
}

impl Evaluation<'_> {
    fn value(&mut self, token: &Token) -> Result<Value> {
        let value = match &token.kind {
            TokenKind::Null => Value::Null,
            TokenKind::Bool(value) => Value::Bool(*value),
            TokenKind::Number(value) => Value::Number(*value),
            TokenKind::String(text) => Value::String(text.clone()),
            TokenKind::Expression(expr) => return self.expression(expr, token.span),
            TokenKind::Sequence(items) => {
                let items: Result<Vec<Value>> = items.iter().map(|item| self.value(item)).collect();
                return items.map(Value::from);
            }
            TokenKind::Mapping(entries) => {
                let mut object = Object::with_capacity(entries.len());
                for entry in entries.iter() {
                    self.entry(entry, &mut object)?;
                }
                return Ok(object.into());
            }
        };
        self.account(&value, token.span)?;
        Ok(value)
    }

    fn expression(&mut self, expr: &Expr, span: Span) -> Result<Value> {
        let value = eval(expr, self.contexts, self.functions)
            .map_err(|error| mistake(span, TemplateMistake::Expression(error)))?;
        self.account(&value, span)?;
        Ok(value)
    }

    /// Counts a value and all that is in it.
    fn account(&mut self, value: &Value, span: Span) -> Result<()> {
        self.size += VALUE_SIZE;
        match value {
            Value::String(text) => self.size += text.len(),
            Value::Array(items) => items.iter().try_for_each(|item| self.account(item, span))?,
            Value::Object(object) => {
                for (key, value) in object.iter() {
                    self.size += key.len();
                    self.account(value, span)?;
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
        if self.size > MAX_RESULT_SIZE { Err(mistake(span, TemplateMistake::TooLarge)) } else { Ok(()) }
    }

    fn entry(&mut self, entry: &Entry, object: &mut Object) -> Result<()> {
        let key: Arc<str> = match &entry.key {
            Key::Literal(name) => name.clone(),
            Key::Expression(expr) => {
                let key = self.expression(expr, entry.key_span)?;
                if !key.is_primitive() {
                    return Err(mistake(entry.key_span, TemplateMistake::ExpectedScalar));
                }
                key.into_text()
            }
            Key::Insert => {
                let inserted = self.value(&entry.value)?;
                let Value::Object(inserted) = inserted else {
                    return Err(mistake(entry.value.span, TemplateMistake::ExpectedMapping));
                };
                return inserted.iter().try_for_each(|(key, value)| {
                    insert(object, Arc::from(key), value.clone(), entry.key_span)
                });
            }
        };
        let value = self.value(&entry.value)?;
        insert(object, key, value, entry.key_span)
    }
}

fn insert(object: &mut Object, key: Arc<str>, value: Value, span: Span) -> Result<()> {
    if object.contains_key(&key) {
        return Err(mistake(span, TemplateMistake::AlreadyDefined(key.to_string())));
    }
    object.insert(key, value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{
        Entry, Key, Token, TokenKind, evaluate, evaluate_bool, evaluate_mapping_text, evaluate_number,
        evaluate_text, evaluate_texts,
    };
    use crate::expr::text::{Text, parse_key};
    use crate::expr::{Contexts, Names, NoHost, Object, Value};
    use crate::source::Span;

    /// A token as the reader would make it of this JSON.
    fn token(json: &serde_json::Value) -> Token {
        let kind = match json {
            serde_json::Value::Null => TokenKind::Null,
            serde_json::Value::Bool(value) => TokenKind::Bool(*value),
            serde_json::Value::Number(value) => TokenKind::Number(value.as_f64().expect("a double")),
            serde_json::Value::String(text) => match parse_key(text, &Names::any()).expect(text) {
                Text::Literal(text) => TokenKind::String(text.into()),
                Text::Expression(expr) => TokenKind::Expression(expr),
                Text::Insert => panic!("insert is a key"),
            },
            serde_json::Value::Array(items) => TokenKind::Sequence(items.iter().map(token).collect()),
            serde_json::Value::Object(entries) => TokenKind::Mapping(entries.iter().map(entry).collect()),
        };
        Token { kind, span: Span::default() }
    }

    fn entry((key, value): (&String, &serde_json::Value)) -> Entry {
        let key = match parse_key(key, &Names::any()).expect(key) {
            Text::Literal(text) => Key::Literal(text.into()),
            Text::Expression(expr) => Key::Expression(expr),
            Text::Insert => Key::Insert,
        };
        Entry { key, key_span: Span::default(), value: token(value) }
    }

    fn contexts() -> Contexts {
        let list = Value::from(vec![Value::from("x"), Value::from(2)]);
        let mut inputs = Object::new();
        inputs.insert("list", list);
        inputs.insert("name", "ann");
        inputs.insert("yes", true);
        inputs.insert("seven", 7);
        Contexts::new().with("inputs", inputs)
    }

    fn check(json: serde_json::Value, expected: serde_json::Value) {
        let got = match evaluate(&token(&json), &contexts(), &NoHost) {
            Ok(value) => serde_json::to_value(&value).expect("a value is JSON"),
            Err(error) => error.to_string().into(),
        };
        // Numbers are doubles here and integers in the expectation.
        assert_eq!(got.to_string().replace(".0", ""), expected.to_string(), "{json}");
    }

    #[test]
    fn values_keep_their_types() {
        check(
            serde_json::json!({"a": "${{ inputs.list }}", "b": 1}),
            serde_json::json!({"a": ["x", 2], "b": 1}),
        );
        check(
            serde_json::json!(["n ${{ inputs.name }}", null, true]),
            serde_json::json!(["n ann", null, true]),
        );
        check(serde_json::json!("${{ inputs.yes }}"), serde_json::json!(true));
    }

    #[test]
    fn keys_are_evaluated_and_inserted() {
        check(serde_json::json!({"${{ inputs.name }}": 1, "b": 2}), serde_json::json!({"ann": 1, "b": 2}));
        check(
            serde_json::json!({"a": 1, "${{ insert }}": {"${{ inputs.name }}": 2}, "z": 3}),
            serde_json::json!({"a": 1, "ann": 2, "z": 3}),
        );
        check(serde_json::json!({"ANN": 1, "${{ inputs.name }}": 2}), "'ann' is already defined".into());
        check(serde_json::json!({"${{ insert }}": "${{ inputs.name }}"}), "Expected a mapping".into());
        check(serde_json::json!({"${{ inputs.list }}": 1}), "Expected a scalar value".into());
    }

    #[test]
    fn typed_values() {
        let contexts = contexts();
        let text = |json| evaluate_text(&token(&json), &contexts, &NoHost).map_err(|error| error.to_string());
        assert_eq!(text(serde_json::json!("${{ inputs.seven }}")).as_deref(), Ok("7"));
        assert_eq!(text(serde_json::json!(null)).as_deref(), Ok(""));
        assert_eq!(text(serde_json::json!("${{ inputs.list }}")), Err("A sequence was not expected".into()));
        let bool = |json| evaluate_bool(&token(&json), &contexts, &NoHost).map_err(|error| error.to_string());
        assert_eq!(bool(serde_json::json!("${{ inputs.yes }}")), Ok(true));
        assert_eq!(bool(serde_json::json!("${{ 'true' }}x")), Err("Unexpected value 'truex'".into()));
        let number =
            |json| evaluate_number(&token(&json), &contexts, &NoHost).map_err(|error| error.to_string());
        assert_eq!(number(serde_json::json!("${{ inputs.seven }}")), Ok(7.0));
        assert_eq!(number(serde_json::json!("${{ inputs.name }}")), Err("Unexpected value 'ann'".into()));
        let texts =
            evaluate_texts(&token(&serde_json::json!(["a", "${{ inputs.seven }}"])), &contexts, &NoHost);
        assert_eq!(texts.expect("texts").iter().map(|text| &**text).collect::<Vec<_>>(), ["a", "7"]);
    }

    #[test]
    fn mappings_of_text() {
        let json = serde_json::json!({"B": 1.5, "A": "${{ inputs.yes }}", "C": null});
        let got = evaluate_mapping_text(&token(&json), &contexts(), &NoHost).expect("a mapping");
        let got: Vec<_> = got.iter().map(|(name, text)| format!("{name}={text}")).collect();
        assert_eq!(got, ["B=1.5", "A=true", "C="]);
        let error = evaluate_mapping_text(&token(&serde_json::json!("x")), &contexts(), &NoHost)
            .expect_err("no mapping");
        assert_eq!(error.to_string(), "Unexpected value 'x'");
    }

    #[test]
    fn results_are_bounded() {
        let contexts = Contexts::new().with("long", "y".repeat(1024 * 1024));
        let json = serde_json::Value::from(vec!["${{ long }}"; 20]);
        let error = evaluate(&token(&json), &contexts, &NoHost).expect_err("too large");
        assert_eq!(error.to_string(), "Maximum object size exceeded");
    }
}
