//! The language of GitHub Actions workflows: text to a checked model, and a model plus an event to a plan.
//!
//! The stages, each with its own module:
//!
//! 1. [`source`]: a file and byte spans in it.
//! 2. [`yaml`]: text to a tree of nodes with spans, duplicate keys refused, aliases expanded within a budget.
//! 3. [`read`]: node tree to [`template`] tokens, checked against the [`schema`], then to the [`model`].
//!    [`permissions`] and [`resolve`] are what called workflows are held against and found by.
//!    [`lint`] says what a careful reviewer would, by the [`rule`]s.
//! 4. [`expr`]: the expression language.
//!    [`types`] infers what an expression gives at its place, and what is wrong with it.
//! 5. [`event`], [`trigger`], [`filter`], [`schedule`]: whether an event triggers a workflow, and when a schedule does.
//! 6. [`inputs`], [`matrix`], [`plan`]: the jobs of a run, called workflows inlined.
//! 7. [`write`](mod@write): a model back to text.
//!
//! Nothing here does I/O, reads a clock or the environment. Parsing never fails: it returns a model, possibly
//! partial, and diagnostics.

pub mod diagnostic;
pub mod event;
pub mod expr;
pub mod filter;
mod hash;
pub mod inputs;
pub mod lint;
pub mod matrix;
pub mod model;
pub mod permissions;
pub mod plan;
pub mod read;
pub mod resolve;
pub mod rule;
pub mod schedule;
pub mod schema;
pub mod source;
pub mod template;
pub mod trigger;
pub mod types;
pub mod write;
pub mod yaml;
