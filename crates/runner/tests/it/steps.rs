//! `run` steps: shells, variables, conditions, files, time.

use run::event::JobEvent;
use run::status::Conclusion;

use crate::fixture::{Job, job, steps};

fn check_log(job: Job, expected: &str) {
    job.check(|ended| {
        assert_eq!(ended.conclusion(), Conclusion::Success);
        assert_eq!(ended.log(), expected);
    });
}

pub(crate) fn output_and_ends() {
    let job = steps(
        "
        - run: echo one; echo two >&2
        - name: fails ${{ github.ref_name }}
          run: exit 3
        - run: echo not reached
        - run: echo always
          if: always()
        ",
    );
    job.check(|ended| {
        assert_eq!(ended.log(), "one\ntwo\nalways\n");
        assert_eq!(ended.conclusion(), Conclusion::Failure);
        assert_eq!(
            ended.steps(),
            [
                "Run echo one; echo two >&2: success/success",
                "fails main: failure/failure",
                "Run echo not reached: skipped/skipped",
                "Run echo always: success/success"
            ]
        );
        assert_eq!(ended.errors(), "Process completed with exit code 3.\n");
    });
}

pub(crate) fn variables_win_in_order() {
    let text = "
        env:
          A: job
          B: job
          C: job
          D: ${{ github.sha }}
        steps:
          - run: |
              echo \"$A $B $C $D $CI $GITHUB_ACTIONS\"
              echo B=file >> $GITHUB_ENV
              echo C=file >> $GITHUB_ENV
              echo GITHUB_SHA=forged >> $GITHUB_ENV
          - run: echo \"$A $B $C ${{ env.C }} $GITHUB_SHA\"
            env:
              C: step
        ";
    check_log(job(text), "job job job 0123456789 true true\njob file step step 0123456789\n");
}

pub(crate) fn outputs_and_contexts() {
    let text = "
        outputs:
          answer: ${{ steps.a.outputs.answer }}
          hidden: ${{ steps.a.outputs.hidden }}
        steps:
          - id: a
            run: |
              echo answer=42 >> $GITHUB_OUTPUT
              echo 'hidden=hunter2' >> $GITHUB_OUTPUT
          - run: echo '${{ steps.a.outputs.answer }} ${{ steps.a.outcome }} ${{ job.status }} ${{ runner.os }} ${{ github.event.number }}'
        ";
    job(text).secret("PASSWORD", "hunter2").check(|ended| {
        assert!(ended.log().starts_with("42 success success Linux 7\n"), "{}", ended.log());
        assert_eq!(ended.output("answer"), Some("42"));
        assert_eq!(ended.output("hidden"), None);
        assert!(ended.log().contains("Skip output 'hidden' since it may contain secret."));
    });
}

pub(crate) fn paths_and_shells() {
    let job = steps(
        "
        - run: |
            mkdir -p $RUNNER_TEMP/bin
            printf '#!/bin/sh\\necho found me\\n' > $RUNNER_TEMP/bin/tool
            chmod +x $RUNNER_TEMP/bin/tool
            echo $RUNNER_TEMP/bin >> $GITHUB_PATH
        - run: tool
        - run: 'false | true; echo no pipefail'
        - run: 'false | true; echo not reached'
          shell: bash
          continue-on-error: true
        - run: import sys; print('python', sys.argv[0].endswith('.py'))
          shell: python
        - run: cat
          shell: cat {0}
        - run: pwd | sed s,.*/,,
          working-directory: sub
        ",
    );
    check_log(job.file("sub/file", ""), "found me\nno pipefail\npython True\ncat\nsub\n");
}

pub(crate) fn missing_shells_and_folders_are_named() {
    let job = steps(
        "
        - run: x
          shell: nosuchshell {0}
          continue-on-error: true
        - run: x
          shell: cmd
          continue-on-error: true
        - run: x
          shell: perl
          continue-on-error: true
        - run: x
          working-directory: no/such
          continue-on-error: true
        ",
    );
    job.check(|ended| {
        assert_eq!(ended.conclusion(), Conclusion::Success);
        let errors = ended.errors();
        assert!(
            errors.contains("the shell `nosuchshell` is not on this machine; there is `bash`, `sh`"),
            "{errors}"
        );
        assert!(errors.contains("the shell `cmd` exists only on Windows"), "{errors}");
        assert!(errors.contains("Invalid shell option."), "{errors}");
        assert!(errors.contains("no/such"), "{errors}");
    });
}

pub(crate) fn defaults_and_conditions() {
    let text = "
        defaults:
          run:
            shell: sh -x {0}
            working-directory: sub
        steps:
          - id: a
            run: exit 1
            continue-on-error: true
          - run: echo in $(basename $PWD)
            if: steps.a.outcome == 'failure' && steps.a.conclusion == 'success'
          - run: echo never
            if: failure()
        ";
    job(text).file("sub/file", "").check(|ended| {
        assert_eq!(ended.conclusion(), Conclusion::Success);
        assert!(ended.log().contains("+ echo in sub\nin sub\n"), "{}", ended.log());
        assert!(!ended.log().contains("never"));
    });
}

pub(crate) fn secrets_never_show() {
    let job = steps(
        "
        - name: uses ${{ secrets.PASSWORD }}
          run: |
            echo \"plain $P\"
            printf '%s' \"$P\" | base64
            echo \"::add-mask::later\"
            echo later
            echo \"::error title=$P::bad $P\"
            echo \"::set-output name=o::$P\"
            echo \"# $P\" >> $GITHUB_STEP_SUMMARY
            echo '${{ secrets.PASSWORD }}' >&2
          env:
            P: ${{ secrets.PASSWORD }}
        ",
    );
    job.secret("PASSWORD", "hunter2 and more").check(|ended| {
        let all = format!("{:?}", ended.events);
        assert!(!all.contains("hunter2"), "{all}");
        assert!(!all.contains("later"), "{all}");
        assert!(ended.log().starts_with("plain ***\n***\n***\n***\n"), "{}", ended.log());
    });
}

pub(crate) fn secrets_never_show_in_what_is_no_line() {
    let job = job("
        env: { P: '${{ secrets.PASSWORD }}' }
        outputs: { o: '${{ steps.a.outputs.o }}', x: '${{ steps.a.outputs.x }}' }
        steps:
          - id: a
            run: |
              echo \"::group::title $P\"
              echo \"::endgroup::\"
              echo \"::notice file=$P.c::\"
              echo \"::debug::$P\"
              echo \"::echo::on\"
              echo \"::save-state name=$P::$P\"
              printf 'o<<E\\n%s\\nE\\nx=1\\n%s=2\\n' \"$P\" \"$P\" >> $GITHUB_OUTPUT
              echo \"no pair $P\" >> $GITHUB_ENV
          - run: echo not reached
            working-directory: ${{ secrets.PASSWORD }}
            if: always()
          - run: echo \"::add-matcher::$P\"; echo \"::stop-commands::$P\"
            if: always()
          - uses: ./nowhere
            with: { input: '${{ secrets.PASSWORD }}' }
            if: always() && format(env.P, 1)
          - run: echo ${{ fromJSON(secrets.PASSWORD) }}
            if: always()
        ");
    job.secret("PASSWORD", "hunter2{7}").secret("ACTIONS_STEP_DEBUG", "true").check(|ended| {
        let all = format!("{:?}", ended.events);
        assert!(!all.contains("hunter2"), "{all}");
        assert!(all.contains("title ***") && all.contains("no pair ***"), "{all}");
        assert_eq!((ended.output("o"), ended.output("x")), (None, Some("1")));
        assert_eq!(ended.conclusion(), Conclusion::Failure);
    });
}

pub(crate) fn commands_have_effects() {
    let job = steps(
        r#"
        - id: a
          run: |
            echo "::group::title"
            echo inside
            echo "::endgroup::"
            echo "::notice file=a.c,line=3::hello"
            echo "::set-output name=x::1"
            echo "::debug::hidden"
            echo '##[warning]careful'
        - run: echo ${{ steps.a.outputs.x }}
        - run: |
            echo "::set-env name=X::1"
            echo after
        "#,
    );
    job.check(|ended| {
        assert_eq!(ended.conclusion(), Conclusion::Failure);
        assert!(ended.log().starts_with("inside\n1\n"), "{}", ended.log());
        assert!(ended.log().contains("The `set-env` command is disabled."), "{}", ended.log());
        let annotations = ended.annotations();
        assert_eq!(annotations.len(), 2);
        assert_eq!((annotations[0].message.as_str(), annotations[0].line), ("hello", Some(3)));
        assert!(
            ended
                .events
                .iter()
                .any(|event| matches!(event, JobEvent::GroupStarted { title, .. } if title == "title"))
        );
    });
}

pub(crate) fn matchers_last_for_the_job() {
    let matcher = r#"{"problemMatcher": [{"owner": "o", "pattern": [{"regexp": "^BAD (\\S+):(\\d+) (.*)$",
        "file": 1, "line": 2, "message": 3}]}]}"#;
    let job = steps(
        "
        - run: echo '::add-matcher::m.json'
        - run: |
            echo 'BAD a.c:7 wrong'
            echo '::remove-matcher owner=o::'
            echo 'BAD a.c:8 wrong'
        ",
    );
    job.file("m.json", matcher).check(|ended| {
        assert_eq!(ended.log(), "BAD a.c:7 wrong\nBAD a.c:8 wrong\n");
        let annotations = ended.annotations();
        assert_eq!(annotations.len(), 1);
        assert_eq!((annotations[0].file.as_deref(), annotations[0].line), (Some("a.c"), Some(7)));
    });
}

pub(crate) fn a_late_write_to_a_command_file_is_no_other_steps() {
    let job = steps(
        "
        - run: |
            late() {
              until [ -e go ]; do sleep 0.01; done
              echo out=late >> $GITHUB_OUTPUT
              echo LATE=late >> $GITHUB_ENV
              touch gone
            }
            late > /dev/null 2>&1 &
        - id: next
          run: |
            touch go
            until [ -e gone ]; do sleep 0.01; done
        - run: echo \"[${{ steps.next.outputs.out }}$LATE]\"
        ",
    );
    job.check(|ended| assert_eq!(ended.log(), "[]\n"));
}

pub(crate) fn broken_command_files_fail_the_step() {
    let job = steps(
        "
        - run: echo no format >> $GITHUB_OUTPUT
          continue-on-error: true
        - run: echo NODE_OPTIONS=x >> $GITHUB_ENV
        ",
    );
    job.check(|ended| {
        assert_eq!(ended.conclusion(), Conclusion::Success);
        assert!(
            ended.log().contains("Unable to process file command 'output' successfully."),
            "{}",
            ended.log()
        );
        assert!(ended.log().contains("Invalid format 'no format'"), "{}", ended.log());
        assert!(ended.log().contains("Can't store NODE_OPTIONS"), "{}", ended.log());
    });
}
