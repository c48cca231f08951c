//! Whole jobs on real machines.
//!
//! The binary is its own guest agent: started with the argument `agent` it serves on descriptor 0.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod actions;
mod ends;
mod fixture;
mod output;
mod rewind;
mod steps;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

/// Names each test after its function.
macro_rules! trials {
    ($($module:ident :: $test:ident),* $(,)?) => {
        vec![$(Trial::test(concat!(stringify!($module), "::", stringify!($test)), || {
            $module::$test();
            Ok(())
        })),*]
    };
}

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("agent") {
        return guest::serve::main();
    }
    let trials = trials![
        actions::local_composites_have_inputs_and_outputs,
        actions::composites_nest_and_fail,
        actions::composites_that_use_themselves_end,
        actions::javascript_actions_have_three_phases,
        actions::a_pre_has_its_post_even_without_main,
        actions::posts_of_nested_actions_run_in_reverse,
        actions::missing_actions_are_named,
        actions::actions_stay_in_their_repositories,
        actions::checkouts_are_repositories,
        actions::steps_may_name_their_own_repository,
        actions::checkouts_of_other_repositories_are_actions,
        ends::a_cancelled_job_cleans_up,
        ends::a_cancelled_composite_cleans_up,
        ends::a_composite_shares_the_time_of_its_step,
        ends::a_step_whose_condition_holds_goes_on,
        ends::the_second_request_ends_everything,
        ends::steps_and_jobs_have_time_limits,
        ends::a_step_that_goes_on_is_interrupted_then_terminated_then_killed,
        ends::a_step_that_must_end_leaves_nothing_behind,
        ends::children_do_not_keep_a_step,
        ends::a_lost_machine_fails_the_job,
        ends::a_failing_report_ends_the_job,
        ends::a_control_plane_that_does_not_answer_ends_the_runner,
        ends::a_mistake_in_the_runner_fails_the_job_that_met_it,
        ends::a_checkout_ends_in_time,
        ends::a_background_step_that_waits_for_a_slot_can_be_cancelled,
        ends::foreign_systems_and_containers_are_missing,
        ends::background_steps_run_beside_others,
        ends::a_background_failure_fails_the_job,
        output::much_output_keeps_its_order,
        output::one_endless_line_is_bounded,
        output::two_hundred_megabytes_are_bounded,
        output::invalid_text_is_replaced,
        rewind::a_job_goes_on_from_what_was_kept,
        rewind::a_virtual_machine_goes_on_with_its_processes,
        rewind::a_lost_machine_is_rolled_back,
        steps::output_and_ends,
        steps::variables_win_in_order,
        steps::outputs_and_contexts,
        steps::paths_and_shells,
        steps::missing_shells_and_folders_are_named,
        steps::defaults_and_conditions,
        steps::secrets_never_show,
        steps::secrets_never_show_in_what_is_no_line,
        steps::commands_have_effects,
        steps::matchers_last_for_the_job,
        steps::a_late_write_to_a_command_file_is_no_other_steps,
        steps::broken_command_files_fail_the_step,
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
