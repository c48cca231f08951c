//! Types of expressions: which properties each context has at a place of a file, what an expression gives there, and
//! what is wrong with it.
//!
//! [`FileTypes`] knows one file, a [`Scope`] a place in it: `scope.context_type("steps")` says what a context is there,
//! [`check`] what an expression gives and its [`Mistake`]s. [`mistakes_of_workflow`] and
//! [`mistakes_of_action`] go through all expressions of a file.
//!
//! Invariants:
//! * A mistake is none that makes GitHub refuse the file.
//! * What is not known is [`Type::Any`], about which nothing is ever reported.
//! * Types are made when they are first asked for, once a file or job.

mod check;
mod contexts;
mod functions;
mod github;
mod matrix;
mod mistake;
mod payload;
pub(crate) mod place;
mod properties;
mod repetition;
mod ty;
mod walk;

pub use check::{Checked, check, check_node};
pub use contexts::{ActionOutputs, FileTypes, KnownActions, NoActions, Scope};
pub use mistake::{Mistake, MistakeKind};
pub use place::Site;
pub use ty::{Name, ObjectType, Rest, Type};
pub use walk::{action as mistakes_of_action, workflow as mistakes_of_workflow};

#[cfg(test)]
mod tests;
