//! Jobs that go on from what was kept before a step, of memory or of files.

use std::sync::Arc;

use machine::Backend;
use run::event::{CheckpointKind, JobEvent};
use run::id::CheckpointId;
use run::job::{Extent, Resume};
use run::status::Conclusion;
use runner::checkpoint::{Checkpoints, Keep};
use vault::Vault;

use crate::fixture::{Ended, backends, qemu, steps};

const PLENTY: u64 = 1 << 40;

/// Something in the background, variables, outputs and files; then what asks for all of them.
const STEPS: &str = "
    - id: set
      run: |
        RUNNER_TRACKING_ID= nohup sleep 98761 > /dev/null 2>&1 &
        echo \"PROCESS=$!\" >> $GITHUB_ENV
        echo out=put >> $GITHUB_OUTPUT
        echo kept > file
        echo temporary > \"$RUNNER_TEMP/file\"
    - run: |
        cat file \"$RUNNER_TEMP/file\"
        echo changed > file
        echo '${{ steps.set.outputs.out }}'
        if grep -qs 98761 /proc/$PROCESS/cmdline; then echo runs; else echo gone; fi
    - run: cat file
";

fn checkpoints(vault: &Arc<Vault>, retries: u32) -> Checkpoints {
    Checkpoints { vault: Arc::clone(vault), keep: Keep::Steps, renew_workspace: false, retries }
}

fn kept(ended: &Ended) -> Vec<(u32, CheckpointId, CheckpointKind)> {
    let kept = |event: &JobEvent| match event {
        JobEvent::CheckpointKept { step, checkpoint, kind, .. } => Some((*step, checkpoint.clone(), *kind)),
        _ => None,
    };
    ended.events.iter().filter_map(kept).collect()
}

/// Runs the steps, and goes on from the second one twice: the rest, then that step alone.
fn check(backend: &Arc<dyn Backend>, expected: CheckpointKind, process: &str) {
    let folder = tempfile::tempdir().unwrap();
    let vault = Arc::new(Vault::open(folder.path(), PLENTY).unwrap());
    let first = steps(STEPS).keeping(checkpoints(&vault, 0)).run(Arc::clone(backend));
    assert_eq!(first.log(), "kept\ntemporary\nput\nruns\nchanged\n", "{:?}", first.steps());
    let kept = kept(&first);
    assert_eq!(kept.iter().map(|(step, _, _)| *step).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(kept.iter().all(|(_, _, kind)| *kind == expected), "{kept:?}");
    for (extent, rest) in [(Extent::Rest, "changed\n"), (Extent::Step, "")] {
        let resume = Resume { job: "test".into(), step: 1, checkpoint: kept[1].1.clone(), extent };
        let again = steps(STEPS).keeping(checkpoints(&vault, 0)).resuming(resume).run(Arc::clone(backend));
        let log = format!("kept\ntemporary\nput\n{process}\n{rest}");
        assert_eq!((again.log(), again.conclusion()), (log, Conclusion::Success), "{}", again.error());
    }
}

pub(crate) fn a_job_goes_on_from_what_was_kept() {
    for backend in backends() {
        check(&backend, CheckpointKind::Files, "gone");
    }
}

pub(crate) fn a_virtual_machine_goes_on_with_its_processes() {
    if let Some(backend) = qemu() {
        check(&backend, CheckpointKind::Memory, "runs");
    }
}

/// A machine that is lost in the middle of a step is made again, and the step tried again.
pub(crate) fn a_lost_machine_is_rolled_back() {
    let text = "
        - run: echo before > file
        - run: |
            cat file; echo after > file
            test -e /tmp/firedog-test-MARK && exit 0
            touch /tmp/firedog-test-MARK
            kill -9 $(ps -o ppid= $$)
        - run: cat file
    ";
    let Some(host) = backends().into_iter().next() else { return };
    let mark = std::process::id().to_string();
    let folder = tempfile::tempdir().unwrap();
    let vault = Arc::new(Vault::open(folder.path(), PLENTY).unwrap());
    let ended = steps(&text.replace("MARK", &mark)).keeping(checkpoints(&vault, 1)).run(host);
    std::fs::remove_file(format!("/tmp/firedog-test-{mark}")).unwrap();
    assert_eq!((ended.log().as_str(), ended.conclusion()), ("before\nbefore\nafter\n", Conclusion::Success));
    let rolled_back =
        ended.events.iter().filter(|event| matches!(event, JobEvent::RolledBack { .. })).count();
    assert_eq!(rolled_back, 1);
}
