//! The types of calls and what their arguments must be.

use super::check::Checker;
use super::mistake::MistakeKind;
use super::repetition::{bare, same};
use super::ty::Type;
use crate::expr::format::{Piece, pieces};
use crate::expr::json::from_json as json_of;
use crate::expr::{Children, Function, Node, NodeKind};

const TEXT: &str = "a text";
const LIST_OR_TEXT: &str = "a list or a text";

/// The type of a call.
pub(super) fn infer(checker: &mut Checker<'_, '_>, function: Function, arguments: Children<'_>) -> Type {
    match function {
        Function::Always | Function::Cancelled | Function::Failure | Function::Success => {
            arguments.for_each(|argument| drop(checker.infer(argument)));
            Type::Bool
        }
        Function::StartsWith | Function::EndsWith => {
            texts(checker, function, arguments, 1);
            Type::Bool
        }
        Function::HashFiles => {
            texts(checker, function, arguments, 1);
            Type::String
        }
        Function::ToJson => {
            arguments.for_each(|argument| drop(checker.infer(argument)));
            Type::String
        }
        Function::Contains => {
            contains(checker, arguments);
            Type::Bool
        }
        Function::Format => {
            format(checker, arguments);
            Type::String
        }
        Function::Join => {
            join(checker, arguments);
            Type::String
        }
        Function::FromJson => from_json(checker, arguments),
        Function::Case => case(checker, arguments),
    }
}

/// Arguments of which text is made, the first of them the `first`th of the call.
fn texts(checker: &mut Checker<'_, '_>, function: Function, arguments: Children<'_>, first: usize) {
    for (place, argument) in arguments.enumerate() {
        let found = checker.infer(argument);
        if !found.is_scalar_or_any() {
            let place = first + place;
            checker.report(argument, MistakeKind::Argument { function, place, found, expected: TEXT });
        }
    }
}

fn contains(checker: &mut Checker<'_, '_>, mut arguments: Children<'_>) {
    let Some(search) = arguments.next() else { return };
    let found = checker.infer(search);
    match found {
        Type::Array(_) | Type::Filtered(_) => arguments.for_each(|item| drop(checker.infer(item))),
        Type::Object(_) => {
            let function = Function::Contains;
            let kind = MistakeKind::Argument { function, place: 1, found, expected: LIST_OR_TEXT };
            checker.report(search, kind);
            arguments.for_each(|item| drop(checker.infer(item)));
        }
        // A list that is not known to be one may hold the object.
        Type::Any => arguments.for_each(|item| drop(checker.infer(item))),
        Type::Null | Type::Bool | Type::Number | Type::String => {
            texts(checker, Function::Contains, arguments, 2);
        }
    }
}

fn join(checker: &mut Checker<'_, '_>, mut arguments: Children<'_>) {
    let Some(list) = arguments.next() else { return };
    let found = checker.infer(list);
    let is_wrong = match &found {
        Type::Object(_) => true,
        Type::Array(item) | Type::Filtered(item) => !item.is_scalar_or_any(),
        _ => false,
    };
    if is_wrong {
        let expected = "a list of texts";
        checker.report(list, MistakeKind::Argument { function: Function::Join, place: 1, found, expected });
    }
    texts(checker, Function::Join, arguments, 2);
}

fn format(checker: &mut Checker<'_, '_>, mut arguments: Children<'_>) {
    let Some(template) = arguments.next() else { return };
    let found = checker.infer(template);
    if !found.is_scalar_or_any() {
        let kind = MistakeKind::Argument { function: Function::Format, place: 1, found, expected: TEXT };
        checker.report(template, kind);
    }
    let used = match template.kind() {
        NodeKind::String(template) => template_arguments(template, arguments.len()),
        _ => None,
    };
    for (place, argument) in arguments.enumerate() {
        let found = checker.infer(argument);
        if !found.is_scalar_or_any() {
            checker.report(argument, MistakeKind::InText { found });
        }
        if used.as_ref().is_some_and(|used| !used.contains(&place)) {
            checker.report(argument, MistakeKind::UnusedArgument { place });
        }
    }
}

/// The numbers of the arguments that a template uses; none if it is no template.
fn template_arguments(template: &str, count: usize) -> Option<Vec<usize>> {
    let argument = |piece| match piece {
        Ok(Piece::Argument(place, _)) => Some(Some(place)),
        Ok(Piece::Text(_)) => None,
        Err(_) => Some(None),
    };
    pieces(template, count).filter_map(argument).collect()
}

fn from_json(checker: &mut Checker<'_, '_>, mut arguments: Children<'_>) -> Type {
    let Some(argument) = arguments.next() else { return Type::Any };
    let found = checker.infer(argument);
    if !found.is_scalar_or_any() {
        let function = Function::FromJson;
        checker.report(argument, MistakeKind::Argument { function, place: 1, found, expected: TEXT });
        return Type::Any;
    }
    let NodeKind::String(text) = argument.kind() else { return Type::Any };
    match json_of(text) {
        Ok(value) => Type::of_value(&value),
        Err(reason) => {
            checker.report(argument, MistakeKind::BrokenJson { reason });
            Type::Any
        }
    }
}

fn case(checker: &mut Checker<'_, '_>, arguments: Children<'_>) -> Type {
    let count = arguments.len();
    let mut values = Vec::new();
    let mut conditions: Vec<Node<'_>> = Vec::new();
    for (place, argument) in arguments.enumerate() {
        let found = checker.infer(argument);
        let is_condition = place % 2 == 0 && place + 1 < count;
        if !is_condition {
            values.push(found);
            continue;
        }
        if !matches!(found, Type::Any | Type::Bool) {
            let (function, place, expected) = (Function::Case, place + 1, "a boolean");
            checker.report(argument, MistakeKind::Argument { function, place, found, expected });
        }
        if conditions.iter().any(|before| same(*before, argument)) {
            checker.report(argument, MistakeKind::RepeatedCase { part: bare(argument) });
        }
        conditions.push(argument);
    }
    Type::any_of(values)
}
