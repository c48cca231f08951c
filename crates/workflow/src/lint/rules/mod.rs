//! The rules, one file each.

mod action_inputs;
mod action_metadata;
mod all_secrets;
mod anchor;
mod artifact_credentials;
mod bot_condition;
mod cache_in_release;
mod call_default;
mod comparison;
mod constant_condition;
mod container_settings;
mod context_access;
mod dangerous_checkout;
mod dangerous_trigger;
mod deprecated_command;
mod deprecated_input;
mod dispatch_options;
mod duplicate_need;
mod env_name;
mod environment_injection;
mod event_payload;
mod excessive_permissions;
mod expression_type;
mod filter_list;
mod filter_pattern;
mod hardcoded_credentials;
mod image_reference;
mod incomplete;
mod insecure_commands;
mod local_action;
mod matrix_duplicate;
mod matrix_exclude;
mod max_parallel;
mod moved_reference;
mod null_input;
mod outdated_action;
mod repeated_condition;
mod runner_conflict;
mod runner_label;
mod schedule_empty;
mod schedule_interval;
mod schedule_never;
mod script_injection;
mod secret_in_script;
mod secrets_inherit;
mod self_hosted_runner;
mod shell_name;
mod short_commit;
mod unpinned_action;
mod unpinned_image;
mod unquoted_version;
mod unsound_contains;
mod value_in_text;

use crate::rule::Rule;

/// The rules in the order of their codes.
#[rustfmt::skip]
pub(crate) static RULES: &[&Rule] = &[
    &action_inputs::RULE,
    &action_metadata::RULE,
    &all_secrets::RULE,
    &anchor::RULE,
    &artifact_credentials::RULE,
    &bot_condition::RULE,
    &cache_in_release::RULE,
    &call_default::RULE,
    &comparison::RULE,
    &constant_condition::RULE,
    &container_settings::RULE,
    &context_access::RULE,
    &dangerous_checkout::RULE,
    &dangerous_trigger::RULE,
    &deprecated_command::RULE,
    &deprecated_input::RULE,
    &dispatch_options::RULE,
    &duplicate_need::RULE,
    &env_name::RULE,
    &environment_injection::RULE,
    &event_payload::RULE,
    &excessive_permissions::RULE,
    &expression_type::RULE,
    &filter_list::RULE,
    &filter_pattern::RULE,
    &hardcoded_credentials::RULE,
    &super::ignore::RULE,
    &image_reference::RULE,
    &incomplete::RULE,
    &insecure_commands::RULE,
    &local_action::RULE,
    &matrix_duplicate::RULE,
    &matrix_exclude::RULE,
    &max_parallel::RULE,
    &moved_reference::RULE,
    &null_input::RULE,
    &outdated_action::RULE,
    &repeated_condition::RULE,
    &runner_conflict::RULE,
    &runner_label::RULE,
    &schedule_empty::RULE,
    &schedule_interval::RULE,
    &schedule_never::RULE,
    &script_injection::RULE,
    &secret_in_script::RULE,
    &secrets_inherit::RULE,
    &self_hosted_runner::RULE,
    &shell_name::RULE,
    &short_commit::RULE,
    &unpinned_action::RULE,
    &unpinned_image::RULE,
    &unquoted_version::RULE,
    &unsound_contains::RULE,
    &value_in_text::RULE,
];
