//! The one task that writes. What queues up while a transaction runs goes into the next one together.

use std::sync::Arc;

use store::{Outcome, RunWrite, Store, StoreError};
use tokio::sync::{mpsc, oneshot};

/// Writes that wait for the present transaction to end.
const WAITING: usize = 64;
/// Most writes of one transaction.
const TOGETHER: usize = 256;

/// The way to the task. It ends with the last clone.
#[derive(Clone, Debug)]
pub(crate) struct Committer {
    requests: mpsc::Sender<Request>,
}

#[derive(Debug)]
struct Request {
    write: RunWrite,
    reply: oneshot::Sender<Answer>,
}

type Answer = Result<Outcome, Arc<StoreError>>;

impl Committer {
    pub(crate) fn start(store: Store) -> Self {
        let (requests, waiting) = mpsc::channel(WAITING);
        tokio::spawn(write(store, waiting));
        Self { requests }
    }

    /// Returns when the write is kept, or will never be.
    pub(crate) async fn commit(&self, write: RunWrite) -> Answer {
        let (reply, answer) = oneshot::channel();
        let sent = self.requests.send(Request { write, reply }).await;
        sent.expect("the committer runs as long as somebody has a way to it");
        answer.await.expect("the committer answers every request")
    }
}

async fn write(store: Store, mut waiting: mpsc::Receiver<Request>) {
    let mut requests = Vec::new();
    while waiting.recv_many(&mut requests, TOGETHER).await > 0 {
        let (writes, replies): (Vec<_>, Vec<_>) =
            requests.drain(..).map(|request| (request.write, request.reply)).unzip();
        match store.commit(&writes).await {
            Ok(outcomes) => answer(replies, outcomes.into_iter().map(Ok)),
            // It is the fault of one of them, which the others do not pay for.
            Err(error) if writes.len() > 1 && !concerns_all(&error) => {
                for (write, reply) in writes.into_iter().zip(replies) {
                    let alone = store.commit(&[write]).await.map(|outcomes| outcomes[0]);
                    answer([reply], [alone.map_err(Arc::new)]);
                }
            }
            Err(error) => {
                let error = Arc::new(error);
                answer(replies, std::iter::repeat_with(|| Err(Arc::clone(&error))));
            }
        }
    }
}

/// Whether every write to the database fails for the same reason.
fn concerns_all(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Busy { .. }
            | StoreError::Full { .. }
            | StoreError::ReadOnly { .. }
            | StoreError::Corrupt { .. }
            | StoreError::Tables { .. }
    )
}

fn answer(
    replies: impl IntoIterator<Item = oneshot::Sender<Answer>>,
    answers: impl IntoIterator<Item = Answer>,
) {
    for (reply, answer) in replies.into_iter().zip(answers) {
        // Whoever does not wait any more does not want to know.
        reply.send(answer).ok();
    }
}
