//! Whole jobs on real machines.
//!
//! The binary is its own guest agent: started with the argument `agent` it serves on descriptor 0.

mod fixture;
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
        steps::output_and_ends,
        steps::variables_win_in_order,
        steps::outputs_and_contexts,
        steps::paths_and_shells,
        steps::missing_shells_and_folders_are_named,
        steps::defaults_and_conditions,
        steps::secrets_never_show,
        steps::commands_have_effects,
        steps::matchers_last_for_the_job,
        steps::broken_command_files_fail_the_step,
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
