//! The rules, one file each.

mod deprecated_command;

use crate::rule::Rule;

/// The rules in the order of their codes.
#[rustfmt::skip]
pub(crate) static RULES: &[&Rule] = &[
    &deprecated_command::RULE,
    &super::ignore::RULE,
];
