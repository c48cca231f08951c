//! What the machine's network refuses, told with the step that runs then.
//!
//! A destination is told of at once when a step meets it for the first time, and when the step ends with how often it was
//! met since. Names are text of the machine, so they are masked: a name that is asked for can carry a secret.

use std::future::Future;
use std::sync::PoisonError;

use machine::network::Refused;
use run::event::{JobEvent, NetworkRefusal};
use tokio::sync::oneshot;

use crate::job::Job;
use crate::sink::SinkFailed;

/// Runs the steps, and tells of refusals while they run and of the last ones after them.
pub(crate) async fn telling<T>(job: &Job, steps: impl Future<Output = T>) -> T {
    let (ended, end) = oneshot::channel::<()>();
    let steps = async {
        let result = steps.await;
        drop(ended);
        result
    };
    let (result, ()) = tokio::join!(steps, tell(job, end));
    // Where it cannot be told, reporting failed, which ends the job with the reason.
    let _ = tell_rest(job).await;
    result
}

async fn tell(job: &Job, mut end: oneshot::Receiver<()>) {
    let Some(refusals) = job.machine.refusals() else { return };
    loop {
        let refused = tokio::select! {
            biased;
            refused = refusals.next() => refused,
            _ = &mut end => return,
        };
        if job.sink.send(event(job, refused)).await.is_err() {
            return;
        }
    }
}

/// Tells what was refused and not yet told; the next step begins anew.
pub(crate) async fn tell_rest(job: &Job) -> Result<(), SinkFailed> {
    let refusals = job.machine.refusals().map(machine::network::Refusals::drain).unwrap_or_default();
    job.sink.send_all(refusals.into_iter().map(|refused| event(job, refused)).collect()).await
}

fn event(job: &Job, refused: Refused) -> JobEvent {
    let step = *job.current.lock().unwrap_or_else(PoisonError::into_inner);
    let refusal = NetworkRefusal {
        name: refused.name.map(|name| job.masker.mask(&name)),
        address: refused.address.map(|address| address.to_string()),
        port: refused.port,
        transport: refused.transport.word().to_owned(),
        reason: refused.reason.word().to_owned(),
        count: refused.count,
    };
    JobEvent::NetworkRefused { step, refusal }
}
