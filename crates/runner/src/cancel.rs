//! Ending what runs: by request, when its time is over, or because the job is lost.

use std::time::Duration;

use machine::{MachineError, Scope, Signaller};
use tokio::sync::watch;
use tokio::time::Instant;

/// From the interrupt to the request to terminate.
pub(crate) const INTERRUPT_GRACE: Duration = Duration::from_millis(7500);

/// From the request to terminate to the kill.
pub(crate) const TERMINATE_GRACE: Duration = Duration::from_millis(2500);

const SIGINT: i32 = 2;
const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

/// Whether a job goes on; it never becomes less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stop {
    /// It goes on.
    No,
    /// The current step ends; steps whose conditions hold, and post steps, run.
    Graceful,
    /// Everything ends.
    Now,
}

/// What can end a step.
#[derive(Clone, Debug)]
pub(crate) struct StepStop {
    /// The job's end.
    pub(crate) job: watch::Receiver<Stop>,
    /// `cancel` of a background step.
    pub(crate) own: Option<watch::Receiver<bool>>,
    /// `timeout-minutes` of the step.
    pub(crate) deadline: Option<Instant>,
}

/// Why a step must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The job is cancelled.
    Job,
    /// A `cancel` step asks for it.
    Own,
    /// Its time is over.
    Deadline,
    /// The whole job ends at once.
    Now,
}

impl StepStop {
    /// Waits until the step must end. With `ignore_cancel` a graceful end of the job is none of the step's.
    pub(crate) async fn wait(&mut self, ignore_cancel: bool) -> Reason {
        let least = if ignore_cancel { Stop::Now } else { Stop::Graceful };
        let deadline = self.deadline;
        let own = self.own.as_mut();
        tokio::select! {
            biased;
            reason = wait_for_job(&mut self.job, least) => reason,
            () = wait_for_own(own) => Reason::Own,
            () = wait_for_deadline(deadline) => Reason::Deadline,
        }
    }

    /// Whether the job has been asked to end since `wait` said so, or the step began.
    pub(crate) fn job(&self) -> Stop {
        *self.job.borrow()
    }
}

async fn wait_for_job(job: &mut watch::Receiver<Stop>, least: Stop) -> Reason {
    match job.wait_for(|stop| *stop >= least).await.map(|stop| *stop) {
        Ok(Stop::Now) => Reason::Now,
        Ok(_) => Reason::Job,
        Err(_) => std::future::pending().await,
    }
}

async fn wait_for_own(own: Option<&mut watch::Receiver<bool>>) {
    if let Some(own) = own
        && own.wait_for(|asked| *asked).await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

async fn wait_for_deadline(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Ends a process: an interrupt to its group, as Ctrl-C would send it, then a request to terminate, then the kill of
/// its whole tree. A process that ends sooner takes what is left of its tree with it. `stop` ending the job at once skips
/// to the kill. Returns when the last signal is sent.
pub(crate) async fn end_process(
    process: &Signaller,
    reason: Reason,
    job: &mut watch::Receiver<Stop>,
) -> Result<(), MachineError> {
    process.kill_rest().await?;
    if reason != Reason::Now {
        process.send(SIGINT, Scope::Group).await?;
        if !ends_now_within(job, INTERRUPT_GRACE).await {
            process.send(SIGTERM, Scope::Group).await?;
            ends_now_within(job, TERMINATE_GRACE).await;
        }
    }
    process.send(SIGKILL, Scope::Tree).await
}

async fn ends_now_within(job: &mut watch::Receiver<Stop>, time: Duration) -> bool {
    let now = async {
        if job.wait_for(|stop| *stop == Stop::Now).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::time::timeout(time, now).await.is_ok()
}
