//! The inputs of a workflow: of `workflow_dispatch`, given as text, and of `workflow_call`, given as values.

use indexmap::IndexMap;

use crate::expr::{Object, Value};
use crate::model::{CallInput, DispatchInput, InputType};
use crate::template::{Token, TokenKind};

/// The most characters that the inputs of one dispatch have together.
const MAX_DISPATCH: usize = 65_535;
/// The most characters of an environment's name.
const MAX_ENVIRONMENT: usize = 255;

/// Why inputs are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// The workflow declares no such input.
    #[error("unexpected input '{0}': the workflow does not declare it")]
    Unknown(String),
    /// A required input without a value.
    #[error("required input '{0}' is not provided")]
    Missing(String),
    /// A value that does not fit the type.
    #[error("input '{name}' must be {expected}, not '{value}'")]
    Type {
        /// The input.
        name: String,
        /// What it should be.
        expected: &'static str,
        /// What was given, as text.
        value: String,
    },
    /// A choice that is none of the options.
    #[error("input '{name}' must be one of the options of the choice, not '{value}'")]
    Option {
        /// The input.
        name: String,
        /// What was given.
        value: String,
    },
    /// More text than a dispatch may have.
    #[error("the inputs have more than {MAX_DISPATCH} characters")]
    Size,
    /// The default of an input cannot be evaluated.
    #[error("the default of input '{name}' cannot be evaluated: {message}")]
    Default {
        /// The input.
        name: String,
        /// Why.
        message: String,
    },
}

/// The inputs of a dispatch in both forms.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DispatchInputs {
    /// `github.event.inputs`: all as text.
    pub texts: Object,
    /// `inputs`: with their declared types.
    pub values: Object,
}

/// The inputs of `workflow_dispatch`: what the payload gives, then `overrides`, then defaults.
///
/// # Errors
/// Every input that is unknown, missing or of the wrong type.
pub fn dispatch_inputs(
    declared: &IndexMap<String, DispatchInput>,
    payload: &Value,
    overrides: &[(String, String)],
) -> Result<DispatchInputs, Vec<InputError>> {
    let mut given = Object::new();
    if let Some(inputs) = payload.get("inputs").and_then(Value::as_object) {
        given.extend(inputs.iter().map(|(name, value)| (name, value.clone())));
    }
    given.extend(overrides.iter().map(|(name, value)| (name.as_str(), Value::from(value))));
    let mut errors = unknown(&given, declared.keys());
    let size = |(name, value): (&str, &Value)| name.chars().count() + value.to_text().chars().count();
    if given.iter().map(size).sum::<usize>() > MAX_DISPATCH {
        errors.push(InputError::Size);
    }
    let mut inputs = DispatchInputs::default();
    for (name, input) in declared {
        let text = match (given.get(name), &input.default) {
            (Some(value), _) => value.to_text().into_owned(),
            (None, Some(default)) => literal(default).to_text().into_owned(),
            (None, None) if input.required => {
                errors.push(InputError::Missing(name.clone()));
                continue;
            }
            (None, None) => dispatch_default(input),
        };
        match dispatch_value(name, input, &text) {
            Ok(value) => {
                inputs.texts.insert(name.as_str(), text);
                inputs.values.insert(name.as_str(), value);
            }
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(inputs) } else { Err(errors) }
}

fn unknown<'a>(given: &Object, declared: impl Iterator<Item = &'a String> + Clone) -> Vec<InputError> {
    let is_declared = |name: &str| declared.clone().any(|declared| declared.eq_ignore_ascii_case(name));
    let unknown = given.keys().filter(|name| !is_declared(name));
    unknown.map(|name| InputError::Unknown(name.to_owned())).collect()
}

fn dispatch_default(input: &DispatchInput) -> String {
    match input.kind {
        InputType::Boolean => "false".to_owned(),
        InputType::Choice => input.options.first().cloned().unwrap_or_default(),
        InputType::String | InputType::Number | InputType::Environment => String::new(),
    }
}

fn dispatch_value(name: &str, input: &DispatchInput, text: &str) -> Result<Value, InputError> {
    match input.kind {
        InputType::Choice if !input.options.iter().any(|option| option == text) => {
            Err(InputError::Option { name: name.to_owned(), value: text.to_owned() })
        }
        InputType::Environment if !is_environment(text) => Err(InputError::Type {
            name: name.to_owned(),
            expected: "the name of an environment",
            value: text.to_owned(),
        }),
        // An empty number is none.
        InputType::Number if text.is_empty() => Ok(text.into()),
        kind => typed(name, kind, &read(kind, text)),
    }
}

/// Whether the text can name an environment; none is chosen by an empty one.
fn is_environment(text: &str) -> bool {
    text.chars().count() <= MAX_ENVIRONMENT && !text.chars().any(char::is_control) && text.trim() == text
}

/// The value that a text stands for where a value of this type is wanted; the text itself where it is none.
fn read(kind: InputType, text: &str) -> Value {
    let value = Value::from(text);
    match kind {
        InputType::Boolean if text.eq_ignore_ascii_case("true") => true.into(),
        InputType::Boolean if text.eq_ignore_ascii_case("false") => false.into(),
        InputType::Number if !text.is_empty() && !value.to_number().is_nan() => value.to_number().into(),
        _ => value,
    }
}

/// The value as the type wants it. Text is no boolean and no number, as in GitHub's templates.
fn typed(name: &str, kind: InputType, value: &Value) -> Result<Value, InputError> {
    let refused =
        |expected| InputError::Type { name: name.to_owned(), expected, value: value.to_text().into_owned() };
    match kind {
        InputType::Boolean => match value {
            Value::Bool(_) => Ok(value.clone()),
            _ => Err(refused("a boolean")),
        },
        InputType::Number => match value {
            Value::Number(_) => Ok(value.clone()),
            _ => Err(refused("a number")),
        },
        InputType::String | InputType::Choice | InputType::Environment => {
            if value.is_primitive() {
                Ok(value.to_text().as_ref().into())
            } else {
                Err(refused("a string"))
            }
        }
    }
}

pub(crate) fn literal(token: &Token) -> Value {
    match &token.kind {
        TokenKind::Bool(value) => (*value).into(),
        TokenKind::Number(number) => (*number).into(),
        TokenKind::String(text) => Value::String(text.clone()),
        _ => Value::Null,
    }
}

/// What the command line gives for the inputs of `workflow_call`, as values of the declared types.
pub(crate) fn given_call_inputs(
    declared: &IndexMap<String, CallInput>,
    given: &[(String, String)],
) -> Object {
    let kind = |name: &str| {
        let found = declared.iter().find(|(declared, _)| declared.eq_ignore_ascii_case(name));
        found.map_or(InputType::String, |(_, input)| input.kind)
    };
    given.iter().map(|(name, text)| (name.as_str(), read(kind(name), text))).collect()
}

/// The inputs of a called workflow: `with` is the caller's evaluated mapping, null without one. `evaluate` gives the
/// value of a default.
///
/// # Errors
/// Every input that is unknown, missing or of the wrong type.
pub fn call_inputs(
    declared: &IndexMap<String, CallInput>,
    with: &Value,
    evaluate: &dyn Fn(&Token) -> Result<Value, String>,
) -> Result<Object, Vec<InputError>> {
    let nothing = Object::new();
    let given = with.as_object().unwrap_or(&nothing);
    let mut errors = unknown(given, declared.keys());
    let mut inputs = Object::new();
    for (name, input) in declared {
        match call_value(name, input, given.get(name), evaluate) {
            Ok(value) => {
                inputs.insert(name.as_str(), value);
            }
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(inputs) } else { Err(errors) }
}

fn call_value(
    name: &str,
    input: &CallInput,
    given: Option<&Value>,
    evaluate: &dyn Fn(&Token) -> Result<Value, String>,
) -> Result<Value, InputError> {
    if let Some(value) = given {
        return typed(name, input.kind, value);
    }
    if input.required {
        return Err(InputError::Missing(name.to_owned()));
    }
    match &input.default {
        Some(default) => {
            let failed = |message| InputError::Default { name: name.to_owned(), message };
            typed(name, input.kind, &evaluate(default).map_err(failed)?)
        }
        None => Ok(match input.kind {
            InputType::Boolean => false.into(),
            InputType::Number => 0.into(),
            InputType::String | InputType::Choice | InputType::Environment => "".into(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;

    use super::{InputError, call_inputs, dispatch_inputs, given_call_inputs};
    use crate::expr::Value;
    use crate::model::{CallInput, DispatchInput, InputType};
    use crate::source::Span;
    use crate::template::{Token, TokenKind};

    fn dispatch(kind: InputType, required: bool, default: Option<&str>) -> DispatchInput {
        let token = |text: &str| Token { kind: TokenKind::String(text.into()), span: Span::default() };
        let options = vec!["one".to_owned(), "two".to_owned()];
        DispatchInput { kind, description: None, required, default: default.map(token), options }
    }

    fn check(input: DispatchInput, given: Option<&str>, expected: Result<(&str, Value), InputError>) {
        let declared = IndexMap::from([("Name".to_owned(), input)]);
        let overrides: Vec<_> = given.iter().map(|text| ("name".to_owned(), (*text).to_owned())).collect();
        let found = dispatch_inputs(&declared, &Value::Null, &overrides)
            .map(|inputs| (inputs.texts.get("Name").cloned(), inputs.values.get("Name").cloned()));
        let expected =
            expected.map(|(text, value)| (Some(text.into()), Some(value))).map_err(|error| vec![error]);
        assert_eq!(found, expected);
    }

    #[test]
    fn dispatch_values_have_their_types() {
        check(dispatch(InputType::Boolean, false, None), Some("true"), Ok(("true", true.into())));
        check(dispatch(InputType::Boolean, false, None), None, Ok(("false", false.into())));
        check(dispatch(InputType::Number, false, None), Some("12"), Ok(("12", 12.into())));
        check(dispatch(InputType::Choice, false, None), None, Ok(("one", "one".into())));
        check(dispatch(InputType::String, false, Some("d")), None, Ok(("d", "d".into())));
        check(dispatch(InputType::String, false, None), None, Ok(("", "".into())));
        check(dispatch(InputType::Environment, false, None), Some("prod"), Ok(("prod", "prod".into())));
        check(dispatch(InputType::Environment, false, None), None, Ok(("", "".into())));
    }

    #[test]
    fn dispatch_refuses_what_does_not_fit() {
        let wrong = |expected, value: &str| {
            Err(InputError::Type { name: "Name".to_owned(), expected, value: value.to_owned() })
        };
        check(dispatch(InputType::Boolean, false, None), Some("yes"), wrong("a boolean", "yes"));
        check(dispatch(InputType::Number, false, None), Some("x"), wrong("a number", "x"));
        check(dispatch(InputType::String, true, None), None, Err(InputError::Missing("Name".to_owned())));
        let option = InputError::Option { name: "Name".to_owned(), value: "three".to_owned() };
        check(dispatch(InputType::Choice, false, None), Some("three"), Err(option));
        let environment = "the name of an environment";
        check(dispatch(InputType::Environment, false, None), Some("a\nb"), wrong(environment, "a\nb"));
        let long = "x".repeat(super::MAX_DISPATCH);
        check(dispatch(InputType::String, false, None), Some(&long), Err(InputError::Size));
        let unknown = dispatch_inputs(&IndexMap::new(), &Value::Null, &[("x".to_owned(), String::new())]);
        assert_eq!(unknown, Err(vec![InputError::Unknown("x".to_owned())]));
    }

    #[test]
    fn calls_have_values() {
        let input = |kind, required| CallInput { kind, description: None, required, default: None };
        let declared = IndexMap::from([
            ("flag".to_owned(), input(InputType::Boolean, false)),
            ("text".to_owned(), input(InputType::String, true)),
        ]);
        let none = |_: &Token| Ok(Value::Null);
        let with: crate::expr::Object = [("TEXT", Value::from(1))].into_iter().collect();
        let inputs = call_inputs(&declared, &with.into(), &none).expect("the inputs fit");
        assert_eq!((inputs.get("flag"), inputs.get("text")), (Some(&false.into()), Some(&"1".into())));
        let text: crate::expr::Object = [("flag", "true"), ("text", "")].into_iter().collect();
        let refused = call_inputs(&declared, &text.into(), &none).expect_err("text is no boolean");
        assert_eq!(
            refused.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["input 'flag' must be a boolean, not 'true'"]
        );
        let given =
            [("FLAG", "true"), ("text", "true")].map(|(name, text)| (name.to_owned(), text.to_owned()));
        let given = given_call_inputs(&declared, &given);
        assert_eq!((given.get("flag"), given.get("text")), (Some(&true.into()), Some(&"true".into())));
        let missing = call_inputs(&declared, &Value::Null, &none);
        assert_eq!(missing, Err(vec![InputError::Missing("text".to_owned())]));
    }
}
