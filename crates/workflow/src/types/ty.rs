//! Types of expressions.

use std::fmt;
use std::sync::Arc;

use super::properties::Properties;
use crate::expr::{Value, fold};

/// Types that are joined: a matrix makes no more jobs. Of more nothing is said.
pub(super) const MAX_JOINED: usize = 256;
/// Names that a type's text lists before it says how many more there are.
const MAX_LISTED: usize = 12;

/// What is known of an expression's value. A clone costs at most two reference counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// Nothing is known.
    Any,
    /// `null`.
    Null,
    /// A boolean.
    Bool,
    /// A number.
    Number,
    /// A text.
    String,
    /// A list whose items have this type.
    Array(Arc<Type>),
    /// What `.*` gives: a list of which a property is taken item by item.
    Filtered(Arc<Type>),
    /// Names with values.
    Object(ObjectType),
}

/// An object's names, compared without regard to case, and their types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectType {
    properties: Arc<Properties>,
    /// How many of the properties there are at the place: steps see those before them.
    visible: usize,
    rest: Rest,
}

/// What an object has beside its known properties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Nothing: another name is a mistake.
    Nothing,
    /// Any name may be there.
    Any,
    /// Any name may be there, and is a text.
    String,
    /// Any name may be there, and has this type.
    Of(Arc<Type>),
}

/// A property's name; equal without regard to case.
#[derive(Clone, Debug)]
pub struct Name(Text);

#[derive(Clone, Debug)]
enum Text {
    Constant(&'static str),
    Shared(Arc<str>),
}

impl Name {
    /// A name that is part of this program.
    pub(super) const fn constant(name: &'static str) -> Self {
        Self(Text::Constant(name))
    }

    pub(super) fn as_str(&self) -> &str {
        match &self.0 {
            Text::Constant(name) => name,
            Text::Shared(name) => name,
        }
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        fold::equal(self.as_str(), other.as_str())
    }
}

impl Eq for Name {}

impl From<&str> for Name {
    fn from(name: &str) -> Self {
        Self(Text::Shared(Arc::from(name)))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl ObjectType {
    /// An object with these properties, in their order. Of a name that comes twice the types are joined.
    pub fn new<N: Into<Name>>(properties: impl IntoIterator<Item = (N, Type)>, rest: Rest) -> Self {
        let properties = properties.into_iter();
        let mut known = Properties::with_capacity(properties.size_hint().0);
        for (name, ty) in properties {
            known.insert(name.into(), ty, |ty, known| ty.or(known));
        }
        Self { visible: known.len(), properties: Arc::new(known), rest }
    }

    /// The same object with another type of one property.
    #[must_use]
    pub fn with(&self, name: &str, ty: Type) -> Self {
        let mut properties = Properties::clone(&self.properties);
        properties.insert(Name::from(name), ty, |ty, _| ty);
        Self { visible: properties.len(), properties: Arc::new(properties), rest: self.rest.clone() }
    }

    /// The same object as it is while only the first `count` properties are there.
    #[must_use]
    pub fn first(&self, count: usize) -> Self {
        Self { visible: count.min(self.properties.len()), ..self.clone() }
    }

    /// The type of the property `name`: a known one, or what any other name has; none if there can be no such property.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<Type> {
        match self.known(name) {
            Some(ty) => Some(ty.clone()),
            None => self.rest(),
        }
    }

    /// The type of a property that is known by its name.
    #[must_use]
    pub fn known(&self, name: &str) -> Option<&Type> {
        let (place, ty) = self.properties.get(name)?;
        (place < self.visible).then_some(ty)
    }

    /// Whether the property is known, but is there only later.
    #[must_use]
    pub fn is_later(&self, name: &str) -> bool {
        self.properties.get(name).is_some_and(|(place, _)| place >= self.visible)
    }

    /// The type of the names that are not known; none where there are none.
    #[must_use]
    pub fn rest(&self) -> Option<Type> {
        match &self.rest {
            Rest::Nothing => None,
            Rest::Any => Some(Type::Any),
            Rest::String => Some(Type::String),
            Rest::Of(ty) => Some(Type::clone(ty)),
        }
    }

    /// Whether other names than the known ones are mistakes.
    #[must_use]
    pub fn is_strict(&self) -> bool {
        self.rest == Rest::Nothing
    }

    /// The known properties in the order of the file.
    pub fn properties(&self) -> impl ExactSizeIterator<Item = (&str, &Type)> {
        self.properties.iter().take(self.visible).map(|(name, ty)| (name.as_str(), ty))
    }

    /// The names of the known properties.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.properties().map(|(name, _)| name)
    }

    /// An object that is this one or the other.
    fn or(&self, other: &Self) -> Self {
        if self == other {
            return self.clone();
        }
        let rest = match (self.rest(), other.rest()) {
            (None, None) => Rest::Nothing,
            (Some(one), None) | (None, Some(one)) => Rest::of(one),
            (Some(one), Some(two)) => Rest::of(one.or(&two)),
        };
        let properties = |object: &Self| {
            let known = object.properties.iter().take(object.visible);
            known.map(|(name, ty)| (name.clone(), ty.clone())).collect::<Vec<_>>()
        };
        Self::new(properties(self).into_iter().chain(properties(other)), rest)
    }
}

impl Rest {
    fn of(ty: Type) -> Self {
        match ty {
            Type::Any => Self::Any,
            Type::String => Self::String,
            other => Self::Of(Arc::new(other)),
        }
    }
}

impl Type {
    /// An object with exactly these properties.
    pub fn strict<N: Into<Name>>(properties: impl IntoIterator<Item = (N, Type)>) -> Self {
        Self::Object(ObjectType::new(properties, Rest::Nothing))
    }

    /// An object with these properties and perhaps others.
    pub fn loose<N: Into<Name>>(properties: impl IntoIterator<Item = (N, Type)>) -> Self {
        Self::Object(ObjectType::new(properties, Rest::Any))
    }

    /// An object of which nothing is known but that its properties are texts.
    #[must_use]
    pub fn texts() -> Self {
        thread_local! {
            // One for each thread: those that count the references of a shared one wait for each other.
            static TEXTS: Type =
                Type::Object(ObjectType::new(std::iter::empty::<(&str, Type)>(), Rest::String));
        }
        TEXTS.with(Self::clone)
    }

    /// An object with exactly these names, all of them texts.
    pub fn texts_named<N: Into<Name>>(names: impl IntoIterator<Item = N>) -> Self {
        Self::strict(names.into_iter().map(|name| (name, Self::String)))
    }

    /// A list of such items.
    #[must_use]
    pub fn array(item: Self) -> Self {
        Self::Array(Arc::new(item))
    }

    /// The object, if it is one.
    #[must_use]
    pub fn as_object(&self) -> Option<&ObjectType> {
        if let Self::Object(object) = self { Some(object) } else { None }
    }

    /// The type of a value that has this type or the other. Where they differ in kind, nothing is known.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        match (self, other) {
            (one, two) if one == two => one.clone(),
            (Self::Array(one) | Self::Filtered(one), Self::Array(two) | Self::Filtered(two)) => {
                Self::array(one.or(two))
            }
            (Self::Object(one), Self::Object(two)) => Self::Object(one.or(two)),
            _ => Self::Any,
        }
    }

    /// Whether a value of this type is written as text without loss.
    #[must_use]
    pub fn is_scalar_or_any(&self) -> bool {
        !matches!(self, Self::Array(_) | Self::Filtered(_) | Self::Object(_))
    }

    /// The type of a value that is known.
    #[must_use]
    pub fn of_value(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Bool,
            Value::Number(_) => Self::Number,
            Value::String(_) => Self::String,
            Value::Array(items) => Self::array(Self::any_of(items.iter().map(Self::of_value))),
            Value::Object(object) => {
                Self::strict(object.iter().map(|(name, value)| (name, Self::of_value(value))))
            }
        }
    }

    /// The type of a value that has one of these; of none, and of very many, nothing is known.
    pub fn any_of(types: impl IntoIterator<Item = Self>) -> Self {
        let mut types = types.into_iter();
        let joined = types.by_ref().take(MAX_JOINED).reduce(|one, two| one.or(&two));
        joined.filter(|_| types.next().is_none()).unwrap_or(Self::Any)
    }
}

/// As in `{name: string; count: number}`; a list is `array<string>`, an object of which nothing is known `object`.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Null => f.write_str("null"),
            Self::Bool => f.write_str("boolean"),
            Self::Number => f.write_str("number"),
            Self::String => f.write_str("string"),
            Self::Array(item) | Self::Filtered(item) => write!(f, "array<{item}>"),
            Self::Object(object) => write!(f, "{object}"),
        }
    }
}

impl fmt::Display for ObjectType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.visible == 0 && self.rest == Rest::Any {
            return f.write_str("object");
        }
        f.write_str("{")?;
        for (place, (name, ty)) in self.properties().take(MAX_LISTED).enumerate() {
            let separator = if place == 0 { "" } else { "; " };
            match ty {
                Type::Object(_) => write!(f, "{separator}{name}: object")?,
                other => write!(f, "{separator}{name}: {other}")?,
            }
        }
        let separator = if self.visible == 0 { "" } else { "; " };
        if self.visible > MAX_LISTED {
            write!(f, "{separator}… {} more", self.visible - MAX_LISTED)?;
        }
        match self.rest() {
            None => {}
            Some(Type::Any) => write!(f, "{separator}…")?,
            Some(rest) => write!(f, "{separator}… => {rest}")?,
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::{ObjectType, Rest, Type, Value};

    #[test]
    fn names_are_found_without_case() {
        let object = ObjectType::new([("Build", Type::Number), ("test", Type::String)], Rest::Nothing);
        assert_eq!(object.property("BUILD"), Some(Type::Number));
        assert_eq!(object.property("other"), None);
        assert_eq!(object.first(1).property("test"), None);
        assert!(object.first(1).is_later("TEST"));
        assert!(!object.is_later("test"));
    }

    #[test]
    fn one_type_or_another() {
        let check = |one: &Type, two: &Type, expected: &str| {
            assert_eq!(one.or(two).to_string(), expected);
            assert_eq!(two.or(one).to_string(), expected);
        };
        check(&Type::String, &Type::String, "string");
        check(&Type::String, &Type::Null, "any");
        check(&Type::array(Type::String), &Type::array(Type::Bool), "array<any>");
        check(&Type::strict([("a", Type::Bool)]), &Type::strict([("a", Type::Bool)]), "{a: boolean}");
        check(&Type::strict([("a", Type::Bool)]), &Type::texts(), "{a: boolean; … => string}");
    }

    #[test]
    fn very_many_types_are_not_joined() {
        assert_eq!(Type::any_of(vec![Type::Bool; 256]), Type::Bool);
        assert_eq!(Type::any_of(vec![Type::Bool; 257]), Type::Any);
        assert_eq!(Type::any_of([]), Type::Any);
    }

    #[test]
    fn values_have_a_type() {
        let value = Value::from_json(&serde_json::json!({"a": [1, 2], "b": {"c": null}, "d": []}));
        assert_eq!(Type::of_value(&value).to_string(), "{a: array<number>; b: object; d: array<any>}");
    }
}
