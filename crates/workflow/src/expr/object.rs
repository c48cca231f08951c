//! Objects of the expression language: ordered, and without regard to the case of their keys.

use super::fold;
use super::value::Value;
use indexmap::{Equivalent, IndexMap};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// An object: keys and values in the order in which the keys were first inserted.
///
/// Keys are found without regard to case, unless the object was made by [`Object::case_sensitive`], as the `env` context
/// is on systems where the names of environment variables are case-sensitive.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object {
    entries: IndexMap<Key, Value>,
    exact: bool,
}

/// A key with the way in which it is compared. The hash ignores case in both.
#[derive(Clone, Debug)]
struct Key {
    text: Arc<str>,
    exact: bool,
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        same(&self.text, &other.text, self.exact || other.exact)
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        fold::hash(&self.text, state);
    }
}

struct Wanted<'a> {
    text: &'a str,
    exact: bool,
}

impl Hash for Wanted<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        fold::hash(self.text, state);
    }
}

impl Equivalent<Key> for Wanted<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        same(self.text, &key.text, self.exact)
    }
}

fn same(left: &str, right: &str, exact: bool) -> bool {
    if exact { left == right } else { fold::equal(left, right) }
}

impl Object {
    /// An empty object whose keys are found without regard to case.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty object whose keys are found exactly.
    pub fn case_sensitive() -> Self {
        Self { entries: IndexMap::new(), exact: true }
    }

    /// An empty object with room for `capacity` keys.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { entries: IndexMap::with_capacity(capacity), exact: false }
    }

    /// Sets `key`. A key that exists keeps its place and its spelling. Returns the value that was there.
    pub fn insert(&mut self, key: impl Into<Arc<str>>, value: impl Into<Value>) -> Option<Value> {
        self.entries.insert(Key { text: key.into(), exact: self.exact }, value.into())
    }

    fn wanted<'a>(&self, key: &'a str) -> Wanted<'a> {
        Wanted { text: key, exact: self.exact }
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries.get(&self.wanted(key))
    }

    /// The value of `key`, to be changed.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        let wanted = self.wanted(key);
        self.entries.get_mut(&wanted)
    }

    /// Whether `key` exists.
    pub fn contains_key(&self, key: &str) -> bool {
        self.entries.contains_key(&self.wanted(key))
    }

    /// Removes `key`; the others keep their order.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let wanted = self.wanted(key);
        self.entries.shift_remove(&wanted)
    }

    /// Keys and values in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> + DoubleEndedIterator {
        self.entries.iter().map(|(key, value)| (&*key.text, value))
    }

    /// Keys in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &str> {
        self.entries.keys().map(|key| &*key.text)
    }

    /// Values in the order of their keys.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &Value> {
        self.entries.values()
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl<K: Into<Arc<str>>, V: Into<Value>> FromIterator<(K, V)> for Object {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut object = Self::new();
        object.extend(entries);
        object
    }
}

impl<K: Into<Arc<str>>, V: Into<Value>> Extend<(K, V)> for Object {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Object, Value};

    #[test]
    fn keys_are_found_without_case_and_keep_their_order() {
        let mut object: Object = [("Zeta", 1.0), ("alpha", 2.0)].into_iter().collect();
        assert_eq!(object.insert("ZETA", 3.0), Some(Value::Number(1.0)));
        assert_eq!(object.get("zeta"), Some(&Value::Number(3.0)));
        assert_eq!(object.keys().collect::<Vec<_>>(), ["Zeta", "alpha"]);
        object.insert("beta", 4.0);
        object.remove("ALPHA");
        assert_eq!(object.keys().collect::<Vec<_>>(), ["Zeta", "beta"]);
    }

    #[test]
    fn case_sensitive_keys_are_apart() {
        let mut object = Object::case_sensitive();
        object.insert("PATH", "a");
        object.insert("path", "b");
        assert_eq!(object.len(), 2);
        assert_eq!(object.get("path"), Some(&Value::from("b")));
        assert!(!object.contains_key("Path"));
        assert_eq!(object.clone().remove("PATH"), Some(Value::from("a")));
    }
}
