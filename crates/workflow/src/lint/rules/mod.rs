//! The rules, one file each.

mod action_inputs;
mod action_metadata;
mod comparison;
mod constant_condition;
mod context_access;
mod deprecated_command;
mod deprecated_input;
mod expression_type;
mod hardcoded_credentials;
mod insecure_commands;
mod local_action;
mod moved_reference;
mod outdated_action;
mod repeated_condition;
mod schedule_never;
mod script_injection;
mod short_commit;
mod unpinned_action;
mod unpinned_image;
mod value_in_text;

use crate::rule::Rule;

/// The rules in the order of their codes.
#[rustfmt::skip]
pub(crate) static RULES: &[&Rule] = &[
    &action_inputs::RULE,
    &action_metadata::RULE,
    &comparison::RULE,
    &constant_condition::RULE,
    &context_access::RULE,
    &deprecated_command::RULE,
    &deprecated_input::RULE,
    &expression_type::RULE,
    &hardcoded_credentials::RULE,
    &super::ignore::RULE,
    &insecure_commands::RULE,
    &local_action::RULE,
    &moved_reference::RULE,
    &outdated_action::RULE,
    &repeated_condition::RULE,
    &schedule_never::RULE,
    &script_injection::RULE,
    &short_commit::RULE,
    &unpinned_action::RULE,
    &unpinned_image::RULE,
    &value_in_text::RULE,
];
