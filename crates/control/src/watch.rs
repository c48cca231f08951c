//! A run's events for one reader: those that are kept already, then those that follow, each once and in order.

use std::sync::Arc;

use run::event::{Event, EventKind};
use run::id::RunId;
use store::Store;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::error::WatchError;

/// Events of one reading of the store.
const PAGE: u32 = 256;

/// Events that are kept, and the room that they take as long as a watcher has not taken them.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) events: Arc<[Event]>,
    pub(crate) _room: Arc<Vec<OwnedSemaphorePermit>>,
}

/// What a watcher gets to begin with.
#[derive(Debug)]
pub(crate) struct Joined {
    /// The number of the last event that is kept already; later ones come as batches.
    pub(crate) sequence: u64,
    /// All of these, where they are still in memory.
    pub(crate) events: Option<Arc<[Event]>>,
}

/// The events of one run, from the first on.
#[derive(Debug)]
pub struct Watch {
    store: Store,
    run: RunId,
    /// The number of the last event that was given out.
    given: u64,
    /// What is to be read from the store before the batches.
    kept: u64,
    first: Option<Arc<[Event]>>,
    batches: Option<mpsc::UnboundedReceiver<Batch>>,
    ended: bool,
}

impl Watch {
    /// A run that is live here: its batches come after what is kept already.
    pub(crate) fn live(
        store: Store,
        run: RunId,
        joined: Joined,
        batches: mpsc::UnboundedReceiver<Batch>,
    ) -> Self {
        let batches = Some(batches);
        Self { store, run, given: 0, kept: joined.sequence, first: joined.events, batches, ended: false }
    }

    /// A run that is not live here: what is kept of it.
    pub(crate) fn kept(store: Store, run: RunId, sequence: u64) -> Self {
        Self { store, run, given: 0, kept: sequence, first: None, batches: None, ended: false }
    }

    /// The next events. `None` after the last one: of a run that has ended, that is `RunFinished`; of one that is not
    /// live here any more, what is kept.
    ///
    /// # Errors
    /// When the events cannot be read.
    pub async fn next(&mut self) -> Result<Option<Arc<[Event]>>, WatchError> {
        loop {
            if self.ended {
                return Ok(None);
            }
            let events = if let Some(first) = self.first.take() {
                first
            } else if self.given < self.kept {
                self.read().await?
            } else {
                self.receive().await?
            };
            let Some(last) = events.last() else {
                self.ended = true;
                continue;
            };
            self.given = last.sequence;
            self.ended = matches!(last.kind, EventKind::RunFinished { .. });
            return Ok(Some(events));
        }
    }

    /// A page of what is kept; empty when there is no more.
    async fn read(&self) -> Result<Arc<[Event]>, WatchError> {
        // What comes as a batch is not given out twice.
        let limit = u32::try_from(self.kept - self.given).unwrap_or(PAGE).min(PAGE);
        let page = self.store.events_after(&self.run, self.given, limit).await;
        let page = page.map_err(|source| WatchError::Store { run: self.run.clone(), source })?;
        Ok(page.into())
    }

    /// The next batch; when there will be none any more, what somebody else has written since.
    async fn receive(&mut self) -> Result<Arc<[Event]>, WatchError> {
        if let Some(batches) = &mut self.batches {
            if let Some(batch) = batches.recv().await {
                return Ok(batch.events);
            }
            self.batches = None;
        }
        self.kept = u64::MAX;
        self.read().await
    }
}
