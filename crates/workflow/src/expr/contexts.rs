//! The named values that an expression sees.

use super::object::Object;
use super::value::Value;
use std::sync::Arc;

/// The contexts of an evaluation: `github`, `env`, `steps`, … Names are found without regard to case.
///
/// A clone shares the values and costs one reference count each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contexts {
    values: Vec<(Arc<str>, Value)>,
}

impl Contexts {
    /// No context.
    pub fn new() -> Self {
        Self::default()
    }

    /// The keys of an object as contexts.
    pub fn from_object(object: &Object) -> Self {
        object.iter().map(|(name, value)| (name, value.clone())).collect()
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.values.iter().position(|(known, _)| known.eq_ignore_ascii_case(name))
    }

    /// The value of the context `name`.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.place(name).map(|place| &self.values[place].1)
    }

    /// Sets the context `name`; returns the value that it had.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) -> Option<Value> {
        let value = value.into();
        if let Some(place) = self.place(name) {
            return Some(std::mem::replace(&mut self.values[place].1, value));
        }
        self.values.push((Arc::from(name), value));
        None
    }

    /// These contexts with `name` set.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.set(name, value);
        self
    }

    /// Removes the context `name`.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        self.place(name).map(|place| self.values.remove(place).1)
    }

    /// Names and values in the order in which they were first set.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.values.iter().map(|(name, value)| (&**name, value))
    }
}

impl<'a, V: Into<Value>> FromIterator<(&'a str, V)> for Contexts {
    fn from_iter<I: IntoIterator<Item = (&'a str, V)>>(values: I) -> Self {
        let mut contexts = Self::new();
        for (name, value) in values {
            contexts.set(name, value);
        }
        contexts
    }
}

#[cfg(test)]
mod tests {
    use super::{Contexts, Value};

    #[test]
    fn contexts_are_found_without_case() {
        let mut contexts = Contexts::new().with("github", "a");
        assert_eq!(contexts.set("GitHub", "b"), Some(Value::from("a")));
        assert_eq!(contexts.get("GITHUB"), Some(&Value::from("b")));
        assert_eq!(contexts.iter().len(), 1);
        assert_eq!(contexts.remove("github"), Some(Value::from("b")));
        assert_eq!(contexts.get("github"), None);
    }
}
