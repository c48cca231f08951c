//! The rules, one file each.

mod deprecated_command;
mod hardcoded_credentials;
mod insecure_commands;
mod moved_reference;
mod schedule_never;
mod short_commit;
mod unpinned_action;
mod unpinned_image;

use crate::rule::Rule;

/// The rules in the order of their codes.
#[rustfmt::skip]
pub(crate) static RULES: &[&Rule] = &[
    &deprecated_command::RULE,
    &hardcoded_credentials::RULE,
    &super::ignore::RULE,
    &insecure_commands::RULE,
    &moved_reference::RULE,
    &schedule_never::RULE,
    &short_commit::RULE,
    &unpinned_action::RULE,
    &unpinned_image::RULE,
];
