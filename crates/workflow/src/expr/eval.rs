//! The value of an expression.
//!
//! An operand is evaluated only when the result needs it: the right side of `&&`, an argument that a `format` template does
//! not name, an index of what is no collection. A value that is asked for outside and not known yet ends the evaluation with
//! [`ExprError::pending`]; evaluating again with the answer has no other effect, since nothing here has one.

use super::ast::{Children, Comparison, Expr, Extent, Node, Syntax};
use super::contexts::Contexts;
use super::error::ExprError;
use super::format::{Piece, TemplateError, pieces};
use super::functions::{Function, list_contains, texts};
use super::json::{from_json, to_json};
use super::memory::{Counter, Exceeded, Held, MEMORY_OF_TEMPLATE, Memory, of_text};
use super::number::parse_number;
use super::value::Value;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

/// The status of a job, or of a composite action, so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum JobStatus {
    /// Nothing has failed.
    #[default]
    Success,
    /// A step, or a job that is needed, has failed.
    Failure,
    /// The run is being cancelled.
    Cancelled,
    /// A job that is needed was skipped, and none has failed: neither a success nor a failure.
    Skipped,
}

/// What an expression asks of the place where it is evaluated.
pub trait HostFunctions {
    /// The status that `success()`, `failure()` and `cancelled()` look at; none is success.
    fn status(&self) -> Option<JobStatus>;

    /// The status of the jobs that `success('a', 'b')` or `failure('a')` names.
    fn status_of(&self, _jobs: &[String]) -> Option<JobStatus> {
        self.status()
    }

    /// The hash of the files of the workspace that match: lower-case hexadecimal, empty when none does.
    ///
    /// # Errors
    /// [`HashFilesError::Pending`] when it has to be fetched first.
    fn hash_files(&self, patterns: &[String]) -> Result<String, HashFilesError>;
}

/// Why there is no hash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashFilesError {
    /// It is not known yet; the evaluation ends with [`ExprError::pending`].
    #[error("the hash is not known yet")]
    Pending,
    /// There is no workspace here.
    #[error("there is no workspace")]
    Unavailable,
    /// The files cannot be read.
    #[error("{0}")]
    Failed(String),
}

/// No host: every status is success, and there are no files.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHost;

impl HostFunctions for NoHost {
    fn status(&self) -> Option<JobStatus> {
        None
    }

    fn hash_files(&self, _patterns: &[String]) -> Result<String, HashFilesError> {
        Err(HashFilesError::Unavailable)
    }
}

/// The value of `expr`, within the memory that an expression of a workflow may use.
///
/// # Errors
/// A mistake that shows only with the values, or [`ExprError::pending`].
pub fn eval(expr: &Expr, contexts: &Contexts, functions: &dyn HostFunctions) -> Result<Value, ExprError> {
    eval_within(expr, contexts, functions, MEMORY_OF_TEMPLATE)
}

/// The value of `expr`, within `memory` bytes as GitHub counts them.
///
/// # Errors
/// As [`eval`].
pub fn eval_within(
    expr: &Expr,
    contexts: &Contexts,
    functions: &dyn HostFunctions,
    memory: usize,
) -> Result<Value, ExprError> {
    let Some(root) = expr.root() else { return Ok(Value::Null) };
    let mut evaluation = Evaluation { contexts, functions, memory: Memory::new(memory), root };
    evaluation.value(root, 0).map(|result| result.value)
}

/// A value, and whether it is the list that a `*` made: indexing that one indexes its items.
struct Outcome {
    value: Value,
    filtered: bool,
}

impl From<Value> for Outcome {
    fn from(value: Value) -> Self {
        Self { value, filtered: false }
    }
}

struct Evaluation<'a> {
    contexts: &'a Contexts,
    functions: &'a dyn HostFunctions,
    memory: Memory,
    root: Node<'a>,
}

impl<'a> Evaluation<'a> {
    fn value(&mut self, node: Node<'a>, level: usize) -> Result<Outcome, ExprError> {
        let (outcome, held) = match node.syntax() {
            Syntax::Null => with_held(Value::Null.into()),
            Syntax::Bool(value) => with_held(Value::Bool(*value).into()),
            Syntax::Number(number) => with_held(Value::Number(*number).into()),
            Syntax::String(text) => with_held(Value::String(Arc::clone(text)).into()),
            Syntax::Property(name) => with_held(Value::from(node.text(*name)).into()),
            Syntax::Wildcard => with_held(Value::from("*").into()),
            Syntax::Context(name) => {
                let value = self.contexts.get(node.text(*name)).cloned().unwrap_or_default();
                let held = held_by_item(&value);
                (value.into(), held)
            }
            Syntax::Call(function, arguments) => self.call(*function, node, *arguments, level)?,
            Syntax::Index(base, index) => self.index(node, node.at(*base), node.at(*index), level)?,
            Syntax::Not(operand) => {
                let operand = self.value(node.at(*operand), level + 1)?;
                with_held(Value::Bool(!operand.value.is_truthy()).into())
            }
            Syntax::Compare(comparison, left, right) => {
                let left = self.value(node.at(*left), level + 1)?.value;
                let right = self.value(node.at(*right), level + 1)?.value;
                with_held(Value::Bool(compare(*comparison, &left, &right)).into())
            }
            Syntax::And(operands) => with_held(self.logical(node.children(*operands), false, level)?),
            Syntax::Or(operands) => with_held(self.logical(node.children(*operands), true, level)?),
        };
        self.memory.add(level, held).map_err(|Exceeded| exceeded(self.root))?;
        Ok(outcome)
    }

    /// The first operand that is truthy (`||`) or falsy (`&&`), else the last.
    fn logical(&mut self, operands: Children<'a>, until: bool, level: usize) -> Result<Outcome, ExprError> {
        let mut result = Outcome::from(Value::Null);
        for operand in operands {
            result = self.value(operand, level + 1)?;
            if result.value.is_truthy() == until {
                break;
            }
        }
        Ok(result)
    }

    fn index(
        &mut self,
        node: Node<'a>,
        base: Node<'a>,
        index: Node<'a>,
        level: usize,
    ) -> Result<(Outcome, Held), ExprError> {
        let base = self.value(base, level + 1)?;
        let every = matches!(index.syntax(), Syntax::Wildcard);
        if base.value.is_primitive() {
            let value = if every { Value::from(Vec::new()) } else { Value::Null };
            return Ok(with_held(Outcome { value, filtered: every }));
        }
        let key = self.key(index, level + 1)?;
        if !base.filtered && !every {
            let item = item(&base.value, &key).cloned().unwrap_or_default();
            let held = held_by_item(&item);
            return Ok((item.into(), held));
        }
        let mut items = Items { items: Vec::new(), counter: self.memory.counter() };
        if base.filtered {
            for inner in base.value.as_array().unwrap_or_default() {
                items.take(inner, &key).map_err(|Exceeded| exceeded(node))?;
            }
        } else {
            items
                .counter
                .add_object()
                .and_then(|()| items.take(&base.value, &key))
                .map_err(|Exceeded| exceeded(node))?;
        }
        let held = Held::Borrowed(items.counter.bytes());
        Ok((Outcome { value: Value::from(items.items), filtered: true }, held))
    }

    fn key(&mut self, index: Node<'a>, level: usize) -> Result<Key<'a>, ExprError> {
        match index.syntax() {
            Syntax::Wildcard => Ok(Key::Every),
            Syntax::Property(name) => {
                let name = index.text(*name);
                self.memory
                    .add(level, Held::Computed(of_text(name)))
                    .map_err(|Exceeded| exceeded(self.root))?;
                Ok(Key::Name(name))
            }
            _ => Ok(Key::Value(self.value(index, level)?.value)),
        }
    }

    fn call(
        &mut self,
        function: Function,
        node: Node<'a>,
        arguments: Extent,
        level: usize,
    ) -> Result<(Outcome, Held), ExprError> {
        let arguments = node.children(arguments);
        let value = match function {
            Function::Case => return Ok(with_held(self.case(arguments, level)?)),
            Function::FromJson => {
                let text = self.argument(arguments, 0, level)?;
                let value = from_json(&text.to_text()).map_err(ExprError::evaluation)?;
                let held = held_by_item(&value);
                return Ok((value.into(), held));
            }
            Function::Contains => self.contains(arguments, level)?,
            Function::StartsWith | Function::EndsWith => self.texts(function, arguments, level)?,
            Function::Format => self.format(node, arguments, level)?,
            Function::Join => self.join(node, arguments, level)?,
            Function::ToJson => {
                let value = self.argument(arguments, 0, level)?;
                let text = to_json(&value, &mut self.memory.counter()).map_err(|Exceeded| exceeded(node))?;
                text.into()
            }
            Function::Always => true.into(),
            Function::Cancelled | Function::Failure | Function::Success => {
                let jobs = self.all_texts(arguments, level)?;
                self.status(function, &jobs).into()
            }
            Function::HashFiles => {
                let patterns = self.all_texts(arguments, level)?;
                self.hash_files(patterns)?.into()
            }
        };
        Ok(with_held(value.into()))
    }

    fn argument(
        &mut self,
        mut arguments: Children<'a>,
        place: usize,
        level: usize,
    ) -> Result<Value, ExprError> {
        let argument = arguments.nth(place).expect("the parser counts the arguments");
        Ok(self.value(argument, level + 1)?.value)
    }

    fn all_texts(&mut self, arguments: Children<'a>, level: usize) -> Result<Vec<String>, ExprError> {
        arguments.map(|argument| Ok(self.value(argument, level + 1)?.value.to_text().into_owned())).collect()
    }

    fn case(&mut self, mut arguments: Children<'a>, level: usize) -> Result<Outcome, ExprError> {
        loop {
            let first = arguments.next().expect("the parser admits an odd number of arguments");
            let Some(value) = arguments.next() else { return self.value(first, level + 1) };
            match self.value(first, level + 1)?.value {
                Value::Bool(true) => return self.value(value, level + 1),
                Value::Bool(false) => {}
                _ => return Err(ExprError::evaluation("case predicate must evaluate to a boolean value")),
            }
        }
    }

    fn contains(&mut self, arguments: Children<'a>, level: usize) -> Result<Value, ExprError> {
        let search = self.argument(arguments, 0, level)?;
        let found = match &search {
            Value::Array(items) if !items.is_empty() => {
                list_contains(items, &self.argument(arguments, 1, level)?)
            }
            Value::Array(_) | Value::Object(_) => false,
            text => texts(Function::Contains, text, &self.argument(arguments, 1, level)?),
        };
        Ok(found.into())
    }

    fn texts(
        &mut self,
        function: Function,
        arguments: Children<'a>,
        level: usize,
    ) -> Result<Value, ExprError> {
        let text = self.argument(arguments, 0, level)?;
        if !text.is_primitive() {
            return Ok(false.into());
        }
        let part = self.argument(arguments, 1, level)?;
        Ok(texts(function, &text, &part).into())
    }

    fn format(&mut self, node: Node<'a>, arguments: Children<'a>, level: usize) -> Result<Value, ExprError> {
        let template = self.argument(arguments, 0, level)?;
        let template = template.to_text();
        let pieces: Result<Vec<_>, _> = pieces(&template, arguments.len() - 1).collect();
        let pieces = pieces.map_err(|error| {
            ExprError::evaluation(match error {
                TemplateError::Invalid => format!("The following format string is invalid: {template}"),
                TemplateError::MissingArgument => {
                    format!(
                        "The following format string references more arguments than were supplied: {template}"
                    )
                }
            })
        })?;
        let mut counter = self.memory.counter();
        for piece in &pieces {
            if let Piece::Text(text) = piece {
                counter.add_text(text).map_err(|Exceeded| exceeded(node))?;
            }
        }
        let mut known: Vec<Option<Value>> = vec![None; arguments.len()];
        let mut result = String::with_capacity(template.len());
        for piece in pieces {
            let (place, specifiers) = match piece {
                Piece::Text(text) => {
                    result.push_str(text);
                    continue;
                }
                Piece::Argument(index, specifiers) => (index + 1, specifiers),
            };
            if known[place].is_none() {
                known[place] = Some(self.argument(arguments, place, level)?);
            }
            let value = known[place].as_ref().unwrap_or(&Value::Null);
            if !specifiers.is_empty() {
                return Err(ExprError::evaluation(format!(
                    "The format specifiers '{specifiers}' are not valid for objects of type '{}'",
                    value.kind()
                )));
            }
            push_text(&mut result, &value.to_text(), &mut counter, node)?;
        }
        Ok(result.into())
    }

    fn join(&mut self, node: Node<'a>, arguments: Children<'a>, level: usize) -> Result<Value, ExprError> {
        let list = self.argument(arguments, 0, level)?;
        let items = match &list {
            Value::Array(items) => items,
            Value::Object(_) => return Ok("".into()),
            text => return Ok(text.clone().into_text().into()),
        };
        let mut separator = Value::from(",");
        if items.len() > 1 && arguments.len() > 1 {
            let given = self.argument(arguments, 1, level)?;
            if given.is_primitive() {
                separator = given;
            }
        }
        let separator = separator.to_text();
        let mut counter = self.memory.counter();
        let mut result = String::new();
        for (place, item) in items.iter().enumerate() {
            if place > 0 {
                push_text(&mut result, &separator, &mut counter, node)?;
            }
            push_text(&mut result, &item.to_text(), &mut counter, node)?;
        }
        Ok(result.into())
    }

    fn status(&self, function: Function, jobs: &[String]) -> bool {
        let status = if jobs.is_empty() { self.functions.status() } else { self.functions.status_of(jobs) };
        let wanted = match function {
            Function::Failure => JobStatus::Failure,
            Function::Cancelled => JobStatus::Cancelled,
            _ => JobStatus::Success,
        };
        status.unwrap_or_default() == wanted
    }

    fn hash_files(&self, patterns: Vec<String>) -> Result<String, ExprError> {
        match self.functions.hash_files(&patterns) {
            Ok(hash) => Ok(hash),
            Err(HashFilesError::Pending) => Err(ExprError::pending_hash_files(patterns)),
            Err(error) => {
                let patterns = patterns.join(", ").replace('\'', "''");
                Err(ExprError::evaluation(format!("hashFiles('{patterns}') failed. {error}")))
            }
        }
    }
}

fn exceeded(node: Node<'_>) -> ExprError {
    ExprError::evaluation(format!(
        "The maximum allowed memory size was exceeded while evaluating the following expression: {node}"
    ))
}

fn push_text(
    result: &mut String,
    text: &str,
    counter: &mut Counter,
    node: Node<'_>,
) -> Result<(), ExprError> {
    counter.add_text(text).map_err(|Exceeded| exceeded(node))?;
    result.push_str(text);
    Ok(())
}

fn with_held(outcome: Outcome) -> (Outcome, Held) {
    let held = match &outcome.value {
        Value::String(text) => Held::Computed(of_text(text)),
        Value::Array(_) | Value::Object(_) => Held::Borrowed(Held::OBJECT),
        _ => Held::Computed(Held::OBJECT),
    };
    (outcome, held)
}

/// What GitHub counts for a value of a context: the wrapped value and its plain copy.
fn held_by_item(value: &Value) -> Held {
    match value {
        Value::Null => Held::Computed(Held::OBJECT),
        Value::Bool(_) | Value::Number(_) => Held::Borrowed(2 * Held::OBJECT),
        Value::String(text) => Held::Borrowed(Held::OBJECT + of_text(text)),
        Value::Array(_) | Value::Object(_) => Held::Borrowed(Held::OBJECT),
    }
}

fn compare(comparison: Comparison, left: &Value, right: &Value) -> bool {
    let ordered = |wanted: Ordering| left.abstract_cmp(right) == Some(wanted);
    match comparison {
        Comparison::Equal => left.abstract_eq(right),
        Comparison::NotEqual => !left.abstract_eq(right),
        Comparison::Greater => ordered(Ordering::Greater),
        Comparison::GreaterOrEqual => left.abstract_eq(right) || ordered(Ordering::Greater),
        Comparison::Less => ordered(Ordering::Less),
        Comparison::LessOrEqual => left.abstract_eq(right) || ordered(Ordering::Less),
    }
}

/// What stands between brackets or after a dot.
enum Key<'a> {
    Every,
    Name(&'a str),
    Value(Value),
}

impl Key<'_> {
    fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Name(name) => Some(Cow::Borrowed(name)),
            Self::Value(value) if value.is_primitive() => Some(value.to_text()),
            Self::Value(_) | Self::Every => None,
        }
    }

    fn place(&self) -> Option<usize> {
        let number = match self {
            Self::Name(name) => parse_number(name),
            Self::Value(value) => value.to_number(),
            Self::Every => return None,
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range")]
        (number >= 0.0 && number < f64::from(i32::MAX) + 1.0).then_some(number as usize)
    }
}

/// The item of a collection that `key` names.
fn item<'v>(collection: &'v Value, key: &Key<'_>) -> Option<&'v Value> {
    match collection {
        Value::Object(object) => object.get(&key.text()?),
        Value::Array(items) => items.get(key.place()?),
        _ => None,
    }
}

/// The list that a `*` makes.
struct Items {
    items: Vec<Value>,
    counter: Counter,
}

impl Items {
    /// Takes every value of `collection`, or the one that `key` names, if there is one.
    fn take(&mut self, collection: &Value, key: &Key<'_>) -> Result<(), Exceeded> {
        match (key, collection) {
            (Key::Every, Value::Object(object)) => self.extend(object.values()),
            (Key::Every, Value::Array(items)) => self.extend(items.iter()),
            _ => self.extend(item(collection, key).into_iter()),
        }
    }

    fn extend<'v>(&mut self, values: impl Iterator<Item = &'v Value>) -> Result<(), Exceeded> {
        for value in values {
            self.counter.add_item()?;
            self.items.push(value.clone());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
