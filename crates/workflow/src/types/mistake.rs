//! What the checker finds in an expression.

use std::fmt;

use super::ty::Type;
use crate::expr::{Comparison, Function};

/// Names of an object that are compared with an unknown one.
const MAX_COMPARED: usize = 200;

/// One mistake in an expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Mistake {
    /// What it is.
    pub kind: MistakeKind,
    /// Where the symbol that it is about begins, in bytes of the expression's source.
    pub offset: usize,
    /// How long that symbol is, in bytes.
    pub length: usize,
}

/// The kinds of mistakes. None of them makes GitHub refuse a file.
#[derive(Clone, Debug, PartialEq)]
pub enum MistakeKind {
    /// A property that the object does not have: its value is null.
    UnknownProperty {
        /// The property.
        name: String,
        /// What it is taken of, as far as it is written with names: `steps.build`.
        of: String,
        /// The object's type.
        object: Type,
    },
    /// A property or item is taken of a value that has none.
    NoProperties {
        /// The property or index, as written.
        index: String,
        /// The value's type.
        found: Type,
    },
    /// `.*` of a value that is no collection, or of an object without objects in it.
    NothingToFilter {
        /// The value's type.
        found: Type,
    },
    /// An index that is neither number nor text where such a one is needed.
    WrongIndex {
        /// The index's type.
        index: Type,
        /// The collection's type.
        of: Type,
    },
    /// A comparison whose outcome does not depend on the values, or whose operands have no order.
    Incomparable {
        /// The left operand.
        left: Type,
        /// The operator.
        operator: Comparison,
        /// The right operand.
        right: Type,
    },
    /// A boolean is compared with text that is no number: never equal.
    BooleanWithText {
        /// The text.
        text: String,
        /// The operator.
        operator: Comparison,
    },
    /// An argument that the function can do nothing with.
    Argument {
        /// The function.
        function: Function,
        /// Which argument, from 1.
        place: usize,
        /// Its type.
        found: Type,
        /// What the function takes.
        expected: &'static str,
    },
    /// `fromJSON` of a text that is no JSON.
    BrokenJson {
        /// Why not.
        reason: String,
    },
    /// An argument of `format` whose number is not in the template.
    UnusedArgument {
        /// The argument, from 0.
        place: usize,
    },
    /// The name of a variable that no variable can have.
    VariableName {
        /// The name.
        name: String,
        /// Why not.
        reason: &'static str,
    },
    /// An object, a list or null as part of a text.
    InText {
        /// The value's type.
        found: Type,
    },
    /// A value of another type than its place takes.
    Unexpected {
        /// The value's type.
        found: Type,
        /// What the place takes, such as "a boolean".
        expected: &'static str,
    },
    /// A part of an `&&` or `||` that comes twice.
    Repeated {
        /// The part as it is written back.
        part: String,
        /// `&&` or `||`.
        operator: &'static str,
    },
    /// Two parts of an `&&` or `||` that exclude each other.
    Contradiction {
        /// One part.
        one: String,
        /// The other.
        other: String,
        /// What the whole always is.
        outcome: bool,
    },
    /// The same condition twice in one `case`: the second is never reached.
    RepeatedCase {
        /// The condition as it is written back.
        part: String,
    },
}

impl MistakeKind {
    /// Whether it is about a property of an event's payload, which GitHub may extend; the inputs in it are the file's own.
    #[must_use]
    pub fn is_about_payload(&self) -> bool {
        const PAYLOAD: &str = "github.event";
        let Self::UnknownProperty { of, .. } = self else { return false };
        let is_payload = of.get(..PAYLOAD.len()).is_some_and(|start| start.eq_ignore_ascii_case(PAYLOAD));
        is_payload && !of.eq_ignore_ascii_case("github.event.inputs")
    }
}

impl Mistake {
    /// A known name that differs little from the unknown one.
    #[must_use]
    pub fn suggestion(&self) -> Option<&str> {
        let MistakeKind::UnknownProperty { name, object, .. } = &self.kind else { return None };
        crate::read::suggest::nearest(name, object.as_object()?.names().take(MAX_COMPARED))
    }

    /// The way out, where one is known.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match &self.kind {
            MistakeKind::UnknownProperty { name, of, object } => {
                if let Some(meant) = self.suggestion() {
                    return Some(format!("did you mean `{meant}`?"));
                }
                let object = object.as_object()?;
                if object.is_later(name) {
                    return Some(format!("`{name}` is there only later; move what uses it behind it"));
                }
                let listed = |name| format!("`{name}`");
                match object.names().len() {
                    0 => Some(format!("`{of}` has no properties here")),
                    1..=12 => {
                        let names: Vec<String> = object.names().map(listed).collect();
                        Some(format!("`{of}` has {}", names.join(", ")))
                    }
                    _ => None,
                }
            }
            MistakeKind::InText { found: Type::Null } => None,
            MistakeKind::InText { .. } => Some("write it with `toJSON(…)`, or take a property of it".into()),
            MistakeKind::BooleanWithText { text, .. } => match text.as_str() {
                "true" | "false" => Some(format!("compare with {text}, without quotes")),
                _ => None,
            },
            MistakeKind::Unexpected { expected: "a boolean" | "a number", found: Type::String } => {
                Some("text is not converted here; `fromJSON(…)` makes a number or boolean of it".into())
            }
            _ => None,
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            MistakeKind::UnknownProperty { name, of, .. } => {
                write!(f, "context access might be invalid: `{name}` is no property of `{of}`")
            }
            MistakeKind::NoProperties { index, found } => {
                write!(f, "`{index}` is taken of a value that has no properties: its type is {found}")
            }
            MistakeKind::NothingToFilter { found } => {
                write!(f, "`.*` takes the properties of objects, but the type here is {found}")
            }
            MistakeKind::WrongIndex { index, of } => {
                write!(f, "an index of type {index} finds nothing in a value of type {of}")
            }
            MistakeKind::Incomparable { left, operator, right } => write!(
                f,
                "a value of type {left} cannot be compared to one of type {right} with `{}`",
                operator.symbol()
            ),
            MistakeKind::BooleanWithText { text, operator } => {
                let outcome = *operator == Comparison::NotEqual;
                write!(
                    f,
                    "a boolean is never equal to the text '{text}': both are compared as numbers, so this is \
                     always {outcome}"
                )
            }
            MistakeKind::Argument { function, place, found, expected } => write!(
                f,
                "argument {place} of `{}` must be {expected}, but its type is {found}",
                function.name()
            ),
            MistakeKind::BrokenJson { reason } => write!(f, "`fromJSON` of a text that is no JSON: {reason}"),
            MistakeKind::UnusedArgument { place } => {
                write!(f, "the template of `format` does not use argument {{{place}}}")
            }
            MistakeKind::VariableName { name, reason } => {
                write!(f, "no configuration variable can be called `{name}`: {reason}")
            }
            MistakeKind::InText { found } => {
                write!(f, "object, array and null values have no useful text, but the type here is {found}")
            }
            MistakeKind::Unexpected { found, expected } => {
                write!(f, "{expected} is needed here, but the type of the expression is {found}")
            }
            MistakeKind::Repeated { part, operator } => {
                write!(f, "`{part}` comes twice in this `{operator}`")
            }
            MistakeKind::Contradiction { one, other, outcome } => {
                write!(f, "`{one}` and `{other}` exclude each other, so this is always {outcome}")
            }
            MistakeKind::RepeatedCase { part } => {
                write!(f, "`{part}` is already a condition of this `case`: what follows is never reached")
            }
        }
    }
}
