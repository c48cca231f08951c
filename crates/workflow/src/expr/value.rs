//! Values of the expression language and GitHub's coercions between them.

use super::fold;
use super::number::{number_to_text, parse_number};
use super::object::Object;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

/// A value. Cloning is cheap: text and collections are shared.
///
/// `PartialEq` compares structure and is meant for tests and change detection; [`Value::abstract_eq`] is the language's `==`.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// `null`, also what a missing property is.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// Every number is a double.
    Number(f64),
    /// Text.
    String(Arc<str>),
    /// A list.
    Array(Arc<Vec<Value>>),
    /// An ordered map.
    Object(Arc<Object>),
}

/// The type of a [`Value`], named as GitHub names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `null`
    Null,
    /// A boolean.
    Boolean,
    /// A number.
    Number,
    /// Text.
    String,
    /// A list.
    Array,
    /// A map.
    Object,
}

impl Kind {
    /// The name as GitHub writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Null => "Null",
            Self::Boolean => "Boolean",
            Self::Number => "Number",
            Self::String => "String",
            Self::Array => "Array",
            Self::Object => "Object",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Value {
    /// The type of the value.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Null => Kind::Null,
            Self::Bool(_) => Kind::Boolean,
            Self::Number(_) => Kind::Number,
            Self::String(_) => Kind::String,
            Self::Array(_) => Kind::Array,
            Self::Object(_) => Kind::Object,
        }
    }

    /// Whether the value is neither an array nor an object.
    pub fn is_primitive(&self) -> bool {
        !matches!(self, Self::Array(_) | Self::Object(_))
    }

    /// Whether a condition with this value holds: everything but null, false, 0, NaN and empty text.
    pub fn is_truthy(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(value) => *value,
            Self::Number(number) => *number != 0.0 && !number.is_nan(),
            Self::String(text) => !text.is_empty(),
            Self::Array(_) | Self::Object(_) => true,
        }
    }

    /// The value as text: `''` for null, `Array` and `Object` for collections.
    pub fn to_text(&self) -> Cow<'_, str> {
        match self {
            Self::Null => Cow::Borrowed(""),
            Self::Bool(true) => Cow::Borrowed("true"),
            Self::Bool(false) => Cow::Borrowed("false"),
            Self::Number(number) => Cow::Owned(number_to_text(*number)),
            Self::String(text) => Cow::Borrowed(text),
            Self::Array(_) | Self::Object(_) => Cow::Borrowed(self.kind().name()),
        }
    }

    /// As [`Value::to_text`], without a copy when the value is text.
    pub fn into_text(self) -> Arc<str> {
        match self {
            Self::String(text) => text,
            other => Arc::from(other.to_text()),
        }
    }

    /// The value as a number; NaN for collections and for text that is none.
    pub fn to_number(&self) -> f64 {
        match self {
            Self::Null => 0.0,
            Self::Bool(value) => f64::from(u8::from(*value)),
            Self::Number(number) => *number,
            Self::String(text) => parse_number(text),
            Self::Array(_) | Self::Object(_) => f64::NAN,
        }
    }

    /// The language's `==`: text without regard to case, collections by identity, different types as numbers.
    pub fn abstract_eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(left), Self::Bool(right)) => left == right,
            (Self::String(left), Self::String(right)) => fold::equal(left, right),
            (Self::Array(left), Self::Array(right)) => Arc::ptr_eq(left, right),
            (Self::Object(left), Self::Object(right)) => Arc::ptr_eq(left, right),
            _ if self.is_primitive() && other.is_primitive() => self.to_number() == other.to_number(),
            _ => false,
        }
    }

    /// The order of `<` and `>`; none when the two cannot be ordered.
    pub fn abstract_cmp(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            // Two nulls are of the same kind, for which no order is defined.
            (Self::Null, Self::Null) => None,
            (Self::Bool(left), Self::Bool(right)) => Some(left.cmp(right)),
            (Self::String(left), Self::String(right)) => Some(fold::compare(left, right)),
            _ if self.is_primitive() && other.is_primitive() => {
                self.to_number().partial_cmp(&other.to_number())
            }
            _ => None,
        }
    }

    /// The object, if the value is one.
    pub fn as_object(&self) -> Option<&Object> {
        if let Self::Object(object) = self { Some(object) } else { None }
    }

    /// The list, if the value is one.
    pub fn as_array(&self) -> Option<&[Value]> {
        if let Self::Array(array) = self { Some(array) } else { None }
    }

    /// The text, if the value is text.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// The property `key` of an object; none for every other value.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.as_object()?.get(key)
    }

    /// The value at the end of `keys`, each a property of the one before.
    pub fn at(&self, keys: &[&str]) -> Option<&Value> {
        keys.iter().try_fold(self, |value, key| value.get(key))
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<i32> for Value {
    fn from(number: i32) -> Self {
        Self::Number(f64::from(number))
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Number(f64::from(number))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(Arc::from(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(Arc::from(text))
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::String(Arc::from(text.as_str()))
    }
}

impl From<Arc<str>> for Value {
    fn from(text: Arc<str>) -> Self {
        Self::String(text)
    }
}

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Self {
        Self::Array(Arc::new(items))
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Self::Object(Arc::new(object))
    }
}

impl<V: Into<Value>> From<Option<V>> for Value {
    fn from(value: Option<V>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl<V: Into<Value>> FromIterator<V> for Value {
    fn from_iter<I: IntoIterator<Item = V>>(items: I) -> Self {
        Self::Array(Arc::new(items.into_iter().map(Into::into).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::{Object, Value};
    use std::cmp::Ordering;

    #[test]
    fn truth() {
        for value in [Value::Null, false.into(), 0.0.into(), (-0.0).into(), f64::NAN.into(), "".into()] {
            assert!(!value.is_truthy(), "{value:?}");
        }
        for value in [true.into(), 0.1.into(), "false".into(), Object::new().into(), Value::from(vec![])] {
            assert!(value.is_truthy(), "{value:?}");
        }
    }

    #[test]
    fn equality_coerces_to_numbers() {
        assert!(Value::Null.abstract_eq(&"".into()));
        assert!(Value::Null.abstract_eq(&false.into()));
        assert!(Value::from(true).abstract_eq(&" 1 ".into()));
        assert!(Value::from("ABC").abstract_eq(&"abc".into()));
        assert!(!Value::from("1").abstract_eq(&"1.0".into()));
        assert!(!Value::from(f64::NAN).abstract_eq(&f64::NAN.into()));
        assert!(!Value::Null.abstract_eq(&Object::new().into()));
    }

    #[test]
    fn collections_are_equal_by_identity() {
        let list = Value::from(vec![]);
        assert!(list.abstract_eq(&list.clone()));
        assert!(!list.abstract_eq(&Value::from(vec![])));
    }

    #[test]
    fn order() {
        assert_eq!(Value::Null.abstract_cmp(&Value::Null), None);
        assert_eq!(Value::Null.abstract_cmp(&1.0.into()), Some(Ordering::Less));
        assert_eq!(Value::from("b").abstract_cmp(&"A".into()), Some(Ordering::Greater));
        assert_eq!(Value::from("b").abstract_cmp(&1.0.into()), None);
        assert_eq!(Value::from(vec![]).abstract_cmp(&1.0.into()), None);
    }
}
