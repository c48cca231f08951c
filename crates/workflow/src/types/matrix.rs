//! The type of `matrix`: what its vectors and `include` give to the legs.

use super::check::check;
use super::contexts::Scope;
use super::ty::{MAX_JOINED, ObjectType, Rest, Type};
use crate::template::{Entry, Token, TokenKind};

/// The type of a job's `matrix` by its `strategy`.
pub(super) fn matrix(strategy: Option<&Token>, scope: &Scope<'_>) -> Type {
    let nothing = || Type::texts_named::<&str>([]);
    let Some(strategy) = strategy else { return nothing() };
    if strategy.is_expression() {
        return Type::Any;
    }
    let Some(matrix) = strategy.entry("matrix").map(|entry| &entry.value) else { return nothing() };
    match &matrix.kind {
        TokenKind::Mapping(entries) => of_entries(entries, scope),
        TokenKind::Expression(expr) => match check(expr, scope).ty {
            Type::Object(object) => of_object(&object),
            _ => Type::Any,
        },
        _ => Type::Any,
    }
}

fn of_entries(entries: &[Entry], scope: &Scope<'_>) -> Type {
    let mut vectors = Vec::new();
    let mut legs = Vec::new();
    for entry in entries {
        match entry.name() {
            None => return Type::Any,
            Some("include") => match of_token(&entry.value, scope) {
                Type::Array(_) if entry.value.items().len() > MAX_JOINED => return Type::Any,
                Type::Array(_) => legs = entry.value.items().iter().map(|leg| of_token(leg, scope)).collect(),
                _ => return Type::Any,
            },
            Some("exclude") => {}
            Some(name) => vectors.push((name, item_of(of_token(&entry.value, scope)))),
        }
    }
    let vectors = ObjectType::new(vectors, Rest::Nothing);
    let mut joined: Option<ObjectType> = (vectors.properties().len() > 0).then(|| vectors.clone());
    for leg in &legs {
        let Type::Object(leg) = leg else { return Type::Any };
        joined = Some(match joined {
            Some(before) => with_gaps(&before, leg, &vectors),
            None => leg.clone(),
        });
    }
    Type::Object(joined.unwrap_or(vectors))
}

/// The properties of both. What only one of them has is null in other legs, so that its type is not known; the values of
/// the vectors are in all legs.
fn with_gaps(one: &ObjectType, other: &ObjectType, vectors: &ObjectType) -> ObjectType {
    let kept = one.properties().map(|(name, ty)| match other.known(name).or(vectors.known(name)) {
        Some(_) => (name, ty.clone()),
        None => (name, Type::Any),
    });
    let added = other.properties().map(|(name, ty)| match one.known(name) {
        Some(_) => (name, ty.clone()),
        None => (name, Type::Any),
    });
    let rest = if one.is_strict() && other.is_strict() { Rest::Nothing } else { Rest::Any };
    ObjectType::new(kept.chain(added), rest)
}

/// A whole matrix that an expression gives.
fn of_object(object: &ObjectType) -> Type {
    if object.known("include").is_some() || !object.is_strict() {
        return Type::Any;
    }
    let vectors = object.properties().filter(|(name, _)| !name.eq_ignore_ascii_case("exclude"));
    Type::strict(vectors.map(|(name, ty)| (name, item_of(ty.clone()))))
}

/// The type of the values of a vector.
fn item_of(vector: Type) -> Type {
    match vector {
        Type::Array(item) | Type::Filtered(item) => Type::clone(&item),
        _ => Type::Any,
    }
}

/// The type of what a template gives.
fn of_token(token: &Token, scope: &Scope<'_>) -> Type {
    match &token.kind {
        TokenKind::Null => Type::Null,
        TokenKind::Bool(_) => Type::Bool,
        TokenKind::Number(_) => Type::Number,
        TokenKind::String(_) => Type::String,
        TokenKind::Expression(expr) => check(expr, scope).ty,
        TokenKind::Sequence(items) => {
            Type::array(Type::any_of(items.iter().map(|item| of_token(item, scope))))
        }
        TokenKind::Mapping(entries) => {
            let properties = entries.iter().map(|entry| Some((entry.name()?, of_token(&entry.value, scope))));
            properties.collect::<Option<Vec<_>>>().map_or(Type::Any, Type::strict)
        }
    }
}
