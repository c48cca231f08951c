//! GitHub's expression language: what stands between `${{` and `}}`.
//!
//! Text becomes an [`Expr`] by [`parse`], an expression becomes a [`Value`] by [`eval`]. Everything here is pure: what an
//! expression needs from outside (the status of a job, the hash of files) it asks of [`HostFunctions`].
//!
//! Invariants:
//! * No input makes parsing or evaluation panic. Source length, nesting and the memory of an evaluation are bounded.
//! * Which names may be used is decided when an expression is parsed ([`Names`]), never when it is evaluated.
//! * Error texts, their positions and the order in which mistakes are found are GitHub's.
//! * Where GitHub's own implementations differ, the one that its runner executes (`actions/runner`, `DTExpressions2`) is
//!   followed: lazy arguments, ordinal case folding one code point at a time, numbers printed with 15 digits.

mod ast;
mod condition;
mod contexts;
mod error;
mod eval;
pub(crate) mod fold;
pub(crate) mod format;
mod functions;
pub(crate) mod json;
mod lexer;
mod memory;
mod names;
mod number;
mod object;
mod parser;
mod relaxed_json;
mod serde;
pub mod text;
mod value;

pub use ast::{Children, Comparison, Expr, Node, NodeKind, Reference, Segment};
pub use condition::to_condition;
pub use contexts::Contexts;
pub use error::{ExprError, Stage};
pub use eval::{HashFilesError, HostFunctions, JobStatus, NoHost, eval, eval_within};
pub(crate) use format::format_mistake;
pub use functions::Function;
pub use memory::{MEMORY_OF_EXPRESSION, MEMORY_OF_TEMPLATE};
pub use names::{Names, StatusFunctions};
pub use object::Object;
pub use parser::{MAX_DEPTH, MAX_LENGTH, parse};
pub use value::{Kind, Value};

#[cfg(test)]
mod properties;
