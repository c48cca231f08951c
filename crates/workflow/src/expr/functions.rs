//! The functions of the language: their table, and what those do that only compute.

use super::fold;
use super::value::Value;

/// A function of the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Function {
    /// `case(condition, value, …, default)`
    Case,
    /// `contains(search, item)`
    Contains,
    /// `endsWith(text, suffix)`
    EndsWith,
    /// `format(template, …)`
    Format,
    /// `fromJSON(text)`
    FromJson,
    /// `join(list, separator)`
    Join,
    /// `startsWith(text, prefix)`
    StartsWith,
    /// `toJSON(value)`
    ToJson,
    /// `always()`
    Always,
    /// `cancelled()`
    Cancelled,
    /// `failure()`
    Failure,
    /// `success()`
    Success,
    /// `hashFiles(pattern, …)`
    HashFiles,
}

/// How a function may be called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signature {
    pub(crate) function: Function,
    /// As GitHub's documentation spells it.
    pub(crate) name: &'static str,
    pub(crate) min: usize,
    pub(crate) max: usize,
    pub(crate) availability: Availability,
}

/// Where a function may be called.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Availability {
    Everywhere,
    /// Where status functions are admitted; a condition of a job may name jobs in those that take them.
    Status {
        takes_jobs: bool,
    },
    HashFiles,
}

/// The most arguments that any function takes.
pub(crate) const MAX_ARGUMENTS: usize = 255;

const ANYWHERE: Availability = Availability::Everywhere;
const STATUS: Availability = Availability::Status { takes_jobs: false };
const STATUS_OF_JOBS: Availability = Availability::Status { takes_jobs: true };

const fn row(
    function: Function,
    name: &'static str,
    min: usize,
    max: usize,
    availability: Availability,
) -> Signature {
    Signature { function, name, min, max, availability }
}

/// Every function, in the order of [`Function`].
const TABLE: [Signature; 13] = [
    row(Function::Case, "case", 3, MAX_ARGUMENTS, ANYWHERE),
    row(Function::Contains, "contains", 2, 2, ANYWHERE),
    row(Function::EndsWith, "endsWith", 2, 2, ANYWHERE),
    row(Function::Format, "format", 1, MAX_ARGUMENTS, ANYWHERE),
    row(Function::FromJson, "fromJSON", 1, 1, ANYWHERE),
    row(Function::Join, "join", 1, 2, ANYWHERE),
    row(Function::StartsWith, "startsWith", 2, 2, ANYWHERE),
    row(Function::ToJson, "toJSON", 1, 1, ANYWHERE),
    row(Function::Always, "always", 0, 0, STATUS),
    row(Function::Cancelled, "cancelled", 0, 0, STATUS),
    row(Function::Failure, "failure", 0, 0, STATUS_OF_JOBS),
    row(Function::Success, "success", 0, 0, STATUS_OF_JOBS),
    row(Function::HashFiles, "hashFiles", 1, MAX_ARGUMENTS, Availability::HashFiles),
];

impl Function {
    /// The function called `name`, in any case.
    pub(crate) fn signature(name: &str) -> Option<Signature> {
        TABLE.iter().find(|signature| signature.name.eq_ignore_ascii_case(name)).copied()
    }

    /// The name as GitHub's documentation spells it.
    pub fn name(self) -> &'static str {
        TABLE[self as usize].name
    }

    /// Every function.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|signature| signature.function)
    }

    /// Whether the function looks at the status of a job: a condition with one is not `success() &&` by default.
    pub fn is_status(self) -> bool {
        matches!(self, Self::Always | Self::Cancelled | Self::Failure | Self::Success)
    }
}

/// `contains` in a list: whether an item equals the value.
pub(crate) fn list_contains(items: &[Value], wanted: &Value) -> bool {
    items.iter().any(|item| wanted.abstract_eq(item))
}

/// A test of two texts: `contains`, `startsWith`, `endsWith`. Collections have no text.
pub(crate) fn texts(function: Function, text: &Value, part: &Value) -> bool {
    if !text.is_primitive() || !part.is_primitive() {
        return false;
    }
    let (text, part) = (text.to_text(), part.to_text());
    match function {
        Function::StartsWith => fold::starts_with(&text, &part),
        Function::EndsWith => fold::ends_with(&text, &part),
        _ => fold::contains(&text, &part),
    }
}

#[cfg(test)]
mod tests {
    use super::{Function, TABLE, texts};

    #[test]
    fn the_table_is_in_the_order_of_the_functions() {
        for (place, signature) in TABLE.iter().enumerate() {
            assert_eq!(signature.function as usize, place);
            assert_eq!(
                Function::signature(&signature.name.to_uppercase()).unwrap().function,
                signature.function
            );
        }
        assert!(Function::signature("toJsonx").is_none());
    }

    #[test]
    fn collections_have_no_text() {
        assert!(!texts(Function::Contains, &vec![].into(), &"Array".into()));
        assert!(texts(Function::StartsWith, &123.into(), &12.into()));
        assert!(texts(Function::EndsWith, &true.into(), &"UE".into()));
    }
}
