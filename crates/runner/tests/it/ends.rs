//! How jobs end that somebody, or something, ends.

use std::pin::Pin;
use std::sync::Arc;

use machine::{Backend, BackendName, BootError, Booted, MachineSpec};
use run::lease::Cancel;
use run::status::Conclusion;

use crate::fixture::{job, steps};

pub(crate) fn a_cancelled_job_cleans_up() {
    let job = steps(
        "
        - run: echo started; sleep 1000; echo not reached
        - run: echo not reached
        - run: echo cleaning
          if: always()
        - run: echo cancelled ${{ job.status }}
          if: cancelled()
        - run: echo not reached
          if: failure()
        ",
    );
    job.cancel_at("started", Cancel::Graceful).check(|ended| {
        assert_eq!(ended.conclusion(), Conclusion::Cancelled);
        assert_eq!(ended.log(), "started\ncleaning\ncancelled cancelled\n");
        assert_eq!(ended.steps()[0], "Run echo started; sleep 1000; echo not reached: cancelled/cancelled");
    });
}

pub(crate) fn a_cancelled_composite_cleans_up() {
    let action = "
name: n
description: d
runs:
  using: composite
  steps:
    - { shell: bash, run: 'echo started; sleep 1000; echo not reached' }
    - { shell: bash, run: 'echo not reached' }
    - { shell: bash, run: 'echo cleaning inside', if: cancelled() }
";
    let job = steps(
        "
        - uses: ./action
        - run: echo cleaning outside
          if: always()
        ",
    );
    job.file("action/action.yml", action).cancel_at("started", Cancel::Graceful).check(|ended| {
        assert_eq!(ended.conclusion(), Conclusion::Cancelled);
        assert_eq!(ended.log(), "started\ncleaning inside\ncleaning outside\n");
        assert_eq!(ended.steps()[0], "Run ./action: cancelled/cancelled");
    });
}

pub(crate) fn a_composite_shares_the_time_of_its_step() {
    let action = "{name: n, description: d, runs: {using: composite, steps: [
        {shell: bash, run: sleep 1000}, {shell: bash, run: echo not reached, if: always()}]}}";
    let job = steps(
        "
        - uses: ./action
          timeout-minutes: 0.01
        ",
    );
    job.file("action/action.yml", action).check(|ended| {
        assert_eq!(ended.conclusion(), Conclusion::Failure);
        assert_eq!(ended.errors(), "The action 'Run ./action' has timed out after 0.01 minutes.\n");
    });
}

pub(crate) fn a_step_whose_condition_holds_goes_on() {
    let job = steps(
        "
        - run: echo started; sleep 0.2; echo finished
          if: always()
        ",
    );
    job.cancel_at("started", Cancel::Graceful).check(|ended| {
        assert_eq!(ended.log(), "started\nfinished\n");
        assert_eq!(ended.conclusion(), Conclusion::Cancelled);
    });
}

pub(crate) fn the_second_request_ends_everything() {
    let job = steps(
        "
        - run: |
            trap 'echo ignored' INT TERM
            echo started
            while true; do sleep 1 || true; done
        - run: echo not reached
          if: always()
        ",
    );
    job.cancel_at("started", Cancel::Graceful).cancel_at("ignored", Cancel::Now).check(|ended| {
        assert_eq!(ended.conclusion(), Conclusion::Cancelled);
        assert_eq!(ended.log(), "started\nignored\n");
        assert_eq!(ended.steps().len(), 1, "{:?}", ended.steps());
    });
}

pub(crate) fn steps_and_jobs_have_time_limits() {
    let text = "
        - run: sleep 1000
          timeout-minutes: 0.01
        - run: echo not reached
        - run: echo failed
          if: failure()
        ";
    steps(text).check(|ended| {
        assert_eq!(ended.conclusion(), Conclusion::Failure);
        assert_eq!(ended.log(), "failed\n");
        assert_eq!(ended.errors(), "The action 'Run sleep 1000' has timed out after 0.01 minutes.\n");
    });
    let text = "
        timeout-minutes: 0.01
        steps:
          - run: sleep 1000
          - run: echo cleaning
            if: cancelled()
        ";
    job(text).check(|ended| {
        assert_eq!(ended.conclusion(), Conclusion::Cancelled);
        assert!(ended.log().contains("The job has exceeded the maximum execution time of 0.01 minutes."));
        assert!(ended.log().ends_with("cleaning\n"), "{}", ended.log());
    });
}

pub(crate) fn a_step_that_goes_on_is_interrupted_then_terminated_then_killed() {
    let job = steps(
        "
        - run: |
            trap 'echo interrupted' INT
            trap 'echo terminated' TERM
            echo started
            while true; do sleep 0.1 || true; done
        - run: echo cleaning
          if: always()
        ",
    );
    job.cancel_at("started", Cancel::Graceful).check(|ended| {
        // The shell may say so of its `sleep`.
        let log = ended.log().replace("Terminated\n", "");
        assert_eq!(log, "started\ninterrupted\nterminated\ncleaning\n");
        assert_eq!(ended.conclusion(), Conclusion::Cancelled);
    });
}

pub(crate) fn a_step_that_must_end_leaves_nothing_behind() {
    // Shells without a terminal keep interrupts from what runs in the background.
    let mark = 5_000_000 + std::process::id();
    let text = format!(
        "
        - run: |
            sleep {mark} > /dev/null 2>&1 &
            setsid sleep {mark} > /dev/null 2>&1 &
            sleep 1000
          timeout-minutes: 0.02
        - run: cat /proc/[0-9]*/cmdline 2> /dev/null | tr '\\0' ' ' | grep -c '[s]leep {mark}' || true
          if: always()
        "
    );
    steps(&text).check(|ended| {
        assert_eq!(ended.log(), "0\n");
        assert!(ended.errors().contains("has timed out"), "{}", ended.errors());
    });
}

pub(crate) fn children_do_not_keep_a_step() {
    let job = steps(
        "
        - run: (sleep 1000 & echo left) ; echo done
        - run: echo next
        ",
    );
    job.check(|ended| assert_eq!(ended.log(), "left\ndone\nnext\n"));
}

pub(crate) fn a_lost_machine_fails_the_job() {
    let job = steps(
        "
        - run: kill -9 $PPID; sleep 1; echo survived
        - run: echo not reached
          if: always()
        ",
    );
    job.check(|ended| {
        // Where the agent is the first process of its own world, nothing in that world can kill it.
        if ended.log().starts_with("survived\n") {
            return;
        }
        assert_eq!(ended.conclusion(), Conclusion::Failure);
        assert!(ended.error().contains("the machine was lost"), "{}", ended.error());
        assert_eq!(ended.steps().len(), 1, "{:?}", ended.steps());
    });
}

pub(crate) fn a_failing_report_ends_the_job() {
    let job = steps("- run: while true; do echo line; done").reports_fail_after(5);
    job.check(|ended| assert!(ended.events.len() < 10_000));
}

pub(crate) fn a_control_plane_that_does_not_answer_ends_the_runner() {
    let job = steps("- run: while true; do echo line; done").unreachable_after(5);
    job.check(|ended| assert!(ended.events.len() < 10_000));
}

/// Makes no machines, but a mistake.
#[derive(Debug)]
struct Broken;

impl Backend for Broken {
    fn name(&self) -> BackendName {
        BackendName::Host
    }

    fn boot<'a>(
        &'a self,
        _: &'a MachineSpec,
    ) -> Pin<Box<dyn Future<Output = Result<Box<dyn Booted>, BootError>> + Send + 'a>> {
        panic!("a mistake with hunter2")
    }
}

pub(crate) fn a_mistake_in_the_runner_fails_the_job_that_met_it() {
    let ended = steps("- run: echo not reached").secret("S", "hunter2").run(Arc::new(Broken));
    assert_eq!(ended.conclusion(), Conclusion::Failure);
    assert!(ended.error().starts_with("the runner broke down"), "{}", ended.error());
    assert!(!ended.error().contains("hunter2"));
}

pub(crate) fn a_checkout_ends_in_time() {
    let job = steps(
        "
        - uses: actions/checkout@v4
        - run: |
            mkdir -p .git/hooks
            printf '#!/bin/sh\\nsleep 1000\\n' > .git/hooks/post-checkout
            chmod +x .git/hooks/post-checkout
        - uses: actions/checkout@v4
          with: { ref: v1 }
          timeout-minutes: 0.02
          name: again
        ",
    );
    job.file("first", "1").in_repository().check(|ended| {
        assert_eq!(ended.errors(), "The action 'again' has timed out after 0.02 minutes.\n");
        assert_eq!(ended.conclusion(), Conclusion::Failure);
    });
}

pub(crate) fn a_background_step_that_waits_for_a_slot_can_be_cancelled() {
    let each = |step: fn(u32) -> String| (0..10).map(step).collect::<String>();
    let endless = each(|number| format!("- {{id: s{number}, run: sleep 1000, background: true}}\n"));
    let late = "- {id: late, run: echo not reached, background: true}\n- cancel: late\n";
    let cancels = each(|number| format!("- cancel: s{number}\n"));
    let last = "- run: echo ${{ steps.late.outcome }}\n";
    steps(&[&endless, late, &cancels, last].concat()).check(|ended| {
        assert_eq!(ended.conclusion(), Conclusion::Success);
        assert_eq!(ended.log().lines().last(), Some("cancelled"));
        assert!(ended.log().lines().all(|line| line != "not reached"), "{}", ended.log());
    });
}

pub(crate) fn foreign_systems_and_containers_are_missing() {
    steps("- run: echo no").label("windows-latest").check(|ended| {
        assert!(ended.missing_capability().is_some_and(|missing| missing.contains("Windows")));
    });
    job("container: alpine:3\nsteps:\n  - run: echo no").check(|ended| {
        assert_eq!(ended.conclusion(), Conclusion::Failure);
        assert!(ended.missing_capability().is_some_and(|missing| missing.contains("`container`")));
        assert!(ended.log().is_empty());
    });
    job("container: ${{ matrix.image }}\nsteps:\n  - run: echo yes").check(|ended| {
        assert_eq!(ended.log(), "yes\n");
    });
}

pub(crate) fn background_steps_run_beside_others() {
    let job = steps(
        "
        - id: server
          run: |
            while [ ! -e go ]; do sleep 0.01; done
            echo out=1 >> $GITHUB_OUTPUT
            echo VARIABLE=set >> $GITHUB_ENV
          background: true
        - run: echo \"[${{ steps.server.outcome }}$VARIABLE]\"; touch go
        - wait: [server]
        - run: echo ${{ steps.server.outputs.out }} ${{ steps.server.outcome }} $VARIABLE
        - id: endless
          run: sleep 1000
          background: true
        - cancel: endless
        - run: echo ${{ steps.endless.outcome }}
        ",
    );
    job.check(|ended| {
        assert_eq!(ended.conclusion(), Conclusion::Success);
        let lines: Vec<String> = ended.log().lines().map(str::to_owned).collect();
        assert!(lines.contains(&"[]".to_owned()), "{lines:?}");
        assert!(lines.contains(&"1 success set".to_owned()), "{lines:?}");
        assert!(lines.contains(&"cancelled".to_owned()), "{lines:?}");
    });
}

pub(crate) fn a_background_failure_fails_the_job() {
    let job = steps(
        "
        - run: exit 5
          background: true
        - run: echo beside
        ",
    );
    job.check(|ended| assert_eq!(ended.conclusion(), Conclusion::Failure));
}
