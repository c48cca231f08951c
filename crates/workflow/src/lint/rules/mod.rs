//! The rules, one file each.

mod comparison;
mod constant_condition;
mod context_access;
mod deprecated_command;
mod expression_type;
mod hardcoded_credentials;
mod insecure_commands;
mod moved_reference;
mod repeated_condition;
mod schedule_never;
mod short_commit;
mod unpinned_action;
mod unpinned_image;
mod value_in_text;

use crate::rule::Rule;

/// The rules in the order of their codes.
#[rustfmt::skip]
pub(crate) static RULES: &[&Rule] = &[
    &comparison::RULE,
    &constant_condition::RULE,
    &context_access::RULE,
    &deprecated_command::RULE,
    &expression_type::RULE,
    &hardcoded_credentials::RULE,
    &super::ignore::RULE,
    &insecure_commands::RULE,
    &moved_reference::RULE,
    &repeated_condition::RULE,
    &schedule_never::RULE,
    &short_commit::RULE,
    &unpinned_action::RULE,
    &unpinned_image::RULE,
    &value_in_text::RULE,
];
