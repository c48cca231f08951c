//! The properties of an object's type: a list in which names are found without regard to case.
//!
//! Invariant: no two names of a list are equal.

use indexmap::{Equivalent, IndexMap};
use std::hash::{BuildHasherDefault, Hash, Hasher};

use super::ty::{Name, Type};
use crate::expr::fold;
use crate::hash::ShortHasher;

/// Up to so many names are compared one after the other: most objects have few, and no index has to be made for them.
const FEW: usize = 8;

/// Names and types in the order of the file.
#[derive(Clone, Debug)]
pub(super) enum Properties {
    Few(Vec<(Name, Type)>),
    Many(IndexMap<Name, Type, BuildHasherDefault<ShortHasher>>),
}

impl Properties {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        match capacity {
            0..=FEW => Self::Few(Vec::with_capacity(capacity)),
            _ => Self::Many(IndexMap::with_capacity_and_hasher(capacity, BuildHasherDefault::default())),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few(list) => list.len(),
            Self::Many(map) => map.len(),
        }
    }

    /// The place of a name, and its type.
    pub(super) fn get(&self, name: &str) -> Option<(usize, &Type)> {
        match self {
            Self::Few(list) => {
                // No text outside of ASCII equals one inside of it.
                let is_ascii = name.is_ascii();
                let is_same = |known: &str| match is_ascii {
                    true => known.eq_ignore_ascii_case(name),
                    false => fold::equal(known, name),
                };
                let mut places = list.iter().enumerate();
                places.find(|(_, (known, _))| is_same(known.as_str())).map(|(at, (_, ty))| (at, ty))
            }
            Self::Many(map) => map.get_full(&Lookup(name)).map(|(place, _, ty)| (place, ty)),
        }
    }

    /// Adds a property. Where its name is known, `join` makes its type of the new and the known one.
    pub(super) fn insert(&mut self, name: Name, ty: Type, join: impl Fn(Type, &Type) -> Type) {
        if let Self::Few(list) = self {
            if let Some((_, known)) = list.iter_mut().find(|(known, _)| *known == name) {
                *known = join(ty, known);
                return;
            }
            if list.len() < FEW {
                return list.push((name, ty));
            }
            *self = Self::Many(std::mem::take(list).into_iter().collect());
        }
        if let Self::Many(map) = self {
            let ty = match map.get(&name) {
                Some(known) => join(ty, known),
                None => ty,
            };
            map.insert(name, ty);
        }
    }

    pub(super) fn iter(&self) -> Iter<'_> {
        match self {
            Self::Few(list) => Iter::Few(list.iter()),
            Self::Many(map) => Iter::Many(map.iter()),
        }
    }
}

/// Lists are equal whose properties are, in whatever order.
impl PartialEq for Properties {
    fn eq(&self, other: &Self) -> bool {
        let is_same =
            |(name, ty): (&Name, &Type)| other.get(name.as_str()).is_some_and(|(_, known)| known == ty);
        self.len() == other.len() && self.iter().all(is_same)
    }
}

impl Eq for Properties {}

/// The properties one after the other.
pub(super) enum Iter<'a> {
    Few(std::slice::Iter<'a, (Name, Type)>),
    Many(indexmap::map::Iter<'a, Name, Type>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a Name, &'a Type);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Few(list) => list.next().map(|(name, ty)| (name, ty)),
            Self::Many(map) => map.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Self::Few(list) => list.size_hint(),
            Self::Many(map) => map.size_hint(),
        }
    }
}

impl ExactSizeIterator for Iter<'_> {}

#[derive(Debug)]
struct Lookup<'a>(&'a str);

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        fold::hash(self.as_str(), state);
    }
}

impl Hash for Lookup<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        fold::hash(self.0, state);
    }
}

impl Equivalent<Name> for Lookup<'_> {
    fn equivalent(&self, key: &Name) -> bool {
        fold::equal(self.0, key.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::{FEW, Properties};
    use crate::types::{Name, Type};

    fn properties(count: usize) -> Properties {
        let mut properties = Properties::with_capacity(0);
        for number in 0..count {
            properties.insert(Name::from(format!("n{number}").as_str()), Type::Bool, |ty, _| ty);
        }
        properties
    }

    #[test]
    fn names_have_their_places_in_lists_of_any_length() {
        for count in [0, 1, FEW, FEW + 1, 3 * FEW] {
            let mut found = properties(count);
            assert_eq!(found.len(), count);
            for number in 0..count {
                assert_eq!(found.get(&format!("N{number}")), Some((number, &Type::Bool)), "{count}");
            }
            assert_eq!(found.get("other"), None, "{count}");
            if count > 0 {
                found.insert(Name::from("N0"), Type::String, |ty, known| ty.or(known));
                assert_eq!((found.len(), found.get("n0")), (count, Some((0, &Type::Any))), "{count}");
                assert_ne!(found, properties(count));
            }
        }
        assert_ne!(properties(FEW), properties(FEW + 1));
        assert_eq!(properties(2 * FEW), properties(2 * FEW));
    }
}
