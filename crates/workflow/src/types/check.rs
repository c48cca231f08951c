//! The type of an expression and the mistakes in it.
//!
//! A mistake is reported only where the outcome is wrong or useless whatever the values are. Nothing here makes GitHub
//! refuse a file: what does is found when the expression is parsed.

use super::contexts::Scope;
use super::functions;
use super::github;
use super::mistake::{Mistake, MistakeKind};
use super::repetition;
use super::ty::{ObjectType, Type};
use crate::expr::{Children, Comparison, Expr, Node, NodeKind, Value};
use crate::read::suggest::nearest;

/// Properties whose types are joined for `object.*`; of more nothing is said.
const MAX_JOINED: usize = 64;

/// What is found out about an expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// The type of its value.
    pub ty: Type,
    /// The mistakes, in the order in which they are evaluated.
    pub mistakes: Vec<Mistake>,
}

/// Checks an expression at a place.
#[must_use]
pub fn check(expr: &Expr, scope: &Scope<'_>) -> Checked {
    match expr.root() {
        Some(root) => check_node(root, scope),
        None => Checked { ty: Type::Null, mistakes: Vec::new() },
    }
}

/// Checks a part of an expression at a place.
#[must_use]
pub fn check_node(node: Node<'_>, scope: &Scope<'_>) -> Checked {
    let mut checker = Checker { scope, mistakes: Vec::new() };
    let ty = checker.infer(node);
    Checked { ty, mistakes: checker.mistakes }
}

pub(super) struct Checker<'s, 't> {
    scope: &'s Scope<'t>,
    mistakes: Vec<Mistake>,
}

impl Checker<'_, '_> {
    pub(super) fn report(&mut self, node: Node<'_>, kind: MistakeKind) {
        let (offset, length) = extent(node);
        self.mistakes.push(Mistake { kind, offset, length });
    }

    /// The type of a node. Expressions are parsed only up to a depth, which bounds the recursion.
    pub(super) fn infer(&mut self, node: Node<'_>) -> Type {
        match node.kind() {
            NodeKind::Null | NodeKind::Wildcard => Type::Null,
            NodeKind::Bool(_) => Type::Bool,
            NodeKind::Number(_) => Type::Number,
            NodeKind::String(_) | NodeKind::Property(_) => Type::String,
            NodeKind::Context(name) => self.scope.context_type(name).unwrap_or(Type::Any),
            NodeKind::Call(function, arguments) => functions::infer(self, function, arguments),
            NodeKind::Index(base, index) => self.index(base, index),
            NodeKind::Not(operand) => {
                self.infer(operand);
                Type::Bool
            }
            NodeKind::Compare(comparison, left, right) => {
                self.compare(node, comparison, left, right);
                Type::Bool
            }
            NodeKind::And(operands) => self.joined(operands, true, None),
            NodeKind::Or(operands) => self.joined(operands, false, None),
        }
    }

    fn index(&mut self, base: Node<'_>, index: Node<'_>) -> Type {
        // Most of `github` is the same everywhere; the payload of the events is made only where it is used.
        let is_github = is_context(base, "github");
        if let (true, NodeKind::Property(name) | NodeKind::String(name)) = (is_github, index.kind())
            && name.eq_ignore_ascii_case("event")
        {
            return self.scope.event_type();
        }
        if let (true, NodeKind::Property(name)) = (is_github, index.kind())
            && let Some(ty) = github::without_event().known(name)
        {
            return ty.clone();
        }
        let of = if is_github { Type::Object(github::without_event().clone()) } else { self.infer(base) };
        match index.kind() {
            NodeKind::Wildcard => self.filter(of, index),
            NodeKind::Property(name) | NodeKind::String(name) => self.property(base, of, index, name),
            _ => {
                let by = self.infer(index);
                // Names of contexts are no numbers, those of ports are.
                if matches!((&of, &by, base.kind()), (Type::Object(_), Type::Number, NodeKind::Context(_))) {
                    self.report(index, MistakeKind::WrongIndex { index: by, of });
                    return Type::Any;
                }
                self.item(of, by, index)
            }
        }
    }

    fn property(&mut self, base: Node<'_>, of: Type, index: Node<'_>, name: &str) -> Type {
        match of {
            Type::Any => Type::Any,
            Type::Object(object) => {
                if is_context(base, "vars") {
                    self.check_variable(index, name);
                }
                match object.property(name).filter(|_| !is_slip(&object, name)) {
                    Some(ty) => ty,
                    None => self.unknown(base, Type::Object(object), index, name),
                }
            }
            Type::Filtered(item) => match &*item {
                Type::Object(object) => match object.property(name).filter(|_| !is_slip(object, name)) {
                    Some(ty) => Type::Filtered(ty.into()),
                    None => self.unknown(base, Type::clone(&item), index, name),
                },
                Type::Any | Type::Null | Type::Array(_) | Type::Filtered(_) => {
                    Type::Filtered(Type::Any.into())
                }
                Type::Bool | Type::Number | Type::String => self.no_properties(index, Type::clone(&item)),
            },
            Type::Array(_) if matches!(index.kind(), NodeKind::String(text) if is_number(text)) => Type::Any,
            other => self.no_properties(index, other),
        }
    }

    fn unknown(&mut self, base: Node<'_>, object: Type, index: Node<'_>, name: &str) -> Type {
        let kind = MistakeKind::UnknownProperty { name: name.to_owned(), of: base.to_string(), object };
        self.report(index, kind);
        Type::Any
    }

    fn no_properties(&mut self, index: Node<'_>, found: Type) -> Type {
        let index_text = match index.kind() {
            NodeKind::Property(name) => format!(".{name}"),
            _ => format!("[{index}]"),
        };
        self.report(index, MistakeKind::NoProperties { index: index_text, found });
        Type::Any
    }

    fn item(&mut self, of: Type, by: Type, index: Node<'_>) -> Type {
        let is_key = matches!(by, Type::Any | Type::Number | Type::String);
        match of {
            Type::Any => Type::Any,
            Type::Array(ref item) if is_key => Type::clone(item),
            // The index is taken of each item.
            Type::Filtered(ref items) if is_key => Type::Filtered(match &**items {
                Type::Array(inner) => inner.clone(),
                _ => Type::Any.into(),
            }),
            Type::Object(ref object) if is_key => match object.properties().len() {
                0 => object.rest().unwrap_or(Type::Any),
                _ => Type::Any,
            },
            Type::Array(_) | Type::Filtered(_) | Type::Object(_) => {
                self.report(index, MistakeKind::WrongIndex { index: by, of });
                Type::Any
            }
            other => self.no_properties(index, other),
        }
    }

    /// `base.*`
    fn filter(&mut self, of: Type, star: Node<'_>) -> Type {
        let item = match &of {
            Type::Any => Type::Any,
            Type::Array(item) => Type::clone(item),
            Type::Filtered(item) => match &**item {
                Type::Array(inner) => Type::clone(inner),
                Type::Object(object) => values(object),
                _ => Type::Any,
            },
            Type::Object(object) => values(object),
            Type::Null | Type::Bool | Type::Number | Type::String => {
                self.report(star, MistakeKind::NothingToFilter { found: of });
                return Type::Any;
            }
        };
        Type::Filtered(item.into())
    }

    /// The type of a node where its value is known to be truthy, or falsy: in `a && b || c` that of `b`.
    fn infer_assuming(&mut self, node: Node<'_>, truthy: Option<bool>) -> Type {
        match node.kind() {
            NodeKind::And(operands) => self.joined(operands, true, truthy),
            NodeKind::Or(operands) => self.joined(operands, false, truthy),
            _ => self.infer(node),
        }
    }

    /// `&&` and `||`: the value of one of the operands, of which those are left out that cannot be it. What the value is
    /// assumed to be, truthy or falsy, may leave only the last.
    fn joined(&mut self, operands: Children<'_>, is_and: bool, assumed: Option<bool>) -> Type {
        repetition::check(self, operands, is_and);
        let last = operands.len().saturating_sub(1);
        let mut joined: Option<Type> = None;
        for (place, operand) in operands.enumerate() {
            let is_last = place == last;
            let ty = self.infer_assuming(operand, if is_last { assumed } else { Some(!is_and) });
            if is_last || assumed != Some(is_and) && may_end(operand, &ty, is_and) {
                joined = Some(match joined {
                    Some(before) => before.or(&ty),
                    None => ty,
                });
            }
        }
        joined.unwrap_or(Type::Any)
    }

    fn compare(&mut self, node: Node<'_>, operator: Comparison, left: Node<'_>, right: Node<'_>) {
        let (left_type, right_type) = (self.infer(left), self.infer(right));
        let is_equality = matches!(operator, Comparison::Equal | Comparison::NotEqual);
        let comparable = if is_equality {
            are_comparable(&left_type, &right_type)
        } else {
            is_ordered(&left_type) && is_ordered(&right_type)
        };
        if !comparable {
            let kind = MistakeKind::Incomparable { left: left_type, operator, right: right_type };
            return self.report(node, kind);
        }
        if !is_equality {
            return;
        }
        let ((Type::Bool, _, _, NodeKind::String(text)) | (_, Type::Bool, NodeKind::String(text), _)) =
            (&left_type, &right_type, left.kind(), right.kind())
        else {
            return;
        };
        if !is_number(text) {
            self.report(node, MistakeKind::BooleanWithText { text: text.to_owned(), operator });
        }
    }

    fn check_variable(&mut self, index: Node<'_>, name: &str) {
        let starts = name.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("github_"));
        let reason = if starts {
            "names that begin with `GITHUB_` are reserved"
        } else if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            "only letters, digits and `_` may be in it"
        } else {
            return;
        };
        self.report(index, MistakeKind::VariableName { name: name.to_owned(), reason });
    }
}

/// Where a node begins, and how many bytes it is long, as far as that can be told: the end of a call is not known.
pub(super) fn extent(node: Node<'_>) -> (usize, usize) {
    let (start, last) = (node.first().offset(), node.last());
    (start, (last.offset() + last.symbol_length()).saturating_sub(start))
}

/// Whether an operand of such a type may be falsy, in `&&`, or truthy, in `||`.
fn may_end(operand: Node<'_>, ty: &Type, is_and: bool) -> bool {
    let truthy = match operand.kind() {
        NodeKind::Bool(value) => Some(value),
        NodeKind::String(text) => Some(!text.is_empty()),
        NodeKind::Number(number) => Some(number != 0.0 && !number.is_nan()),
        _ => match ty {
            Type::Object(_) | Type::Array(_) | Type::Filtered(_) => Some(true),
            Type::Null => Some(false),
            _ => None,
        },
    };
    truthy.is_none_or(|truthy| truthy != is_and)
}

/// The type of an object's values.
fn values(object: &ObjectType) -> Type {
    if object.properties().len() > MAX_JOINED {
        return Type::Any;
    }
    Type::any_of(object.properties().map(|(_, ty)| ty.clone()).chain(object.rest()))
}

/// Whether a name is probably meant to be one of those that are known, though others may be there.
fn is_slip(object: &ObjectType, name: &str) -> bool {
    object.names().len() > 0
        && !object.is_strict()
        && object.known(name).is_none()
        && nearest(name, object.names()).is_some()
}

fn is_context(node: Node<'_>, name: &str) -> bool {
    matches!(node.kind(), NodeKind::Context(context) if context.eq_ignore_ascii_case(name))
}

/// Whether text is read as a number.
fn is_number(text: &str) -> bool {
    !Value::from(text).to_number().is_nan()
}

fn are_comparable(left: &Type, right: &Type) -> bool {
    match (left, right) {
        (Type::Any | Type::Null, _) | (_, Type::Any | Type::Null) => true,
        (Type::Object(_), other) | (other, Type::Object(_)) => matches!(other, Type::Object(_)),
        (Type::Array(_) | Type::Filtered(_), other) | (other, Type::Array(_) | Type::Filtered(_)) => {
            matches!(other, Type::Array(_) | Type::Filtered(_))
        }
        _ => true,
    }
}

fn is_ordered(ty: &Type) -> bool {
    matches!(ty, Type::Any | Type::Number | Type::String)
}
