//! Machines' states on their way to the store.
//!
//! A state may change thousands of times a second; what is written is the last one of each machine, by one task.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use machine::lifecycle::State;
use store::Store;
use tokio::sync::Notify;

/// States that have not been written yet.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    unwritten: Mutex<HashMap<String, State>>,
    changed: Notify,
}

impl Recorder {
    pub(crate) fn note(&self, id: &str, state: &State) {
        let mut unwritten = self.unwritten.lock().unwrap_or_else(PoisonError::into_inner);
        unwritten.insert(id.to_owned(), state.clone());
        self.changed.notify_one();
    }

    fn take(&self) -> HashMap<String, State> {
        std::mem::take(&mut *self.unwritten.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes states for ever; for a task of its own. A state that cannot be written is reported: the machine goes on, and
    /// its lease still says whose it is.
    pub(crate) async fn write(self: Arc<Self>, store: Store, report: fn(&str)) {
        loop {
            self.changed.notified().await;
            for (id, state) in self.take() {
                let reason = match &state {
                    State::Failed { reason } => Some(reason.as_str()),
                    _ => None,
                };
                if let Err(error) = store.set_machine_state(&id, state.name(), reason).await {
                    report(&format!("warning: cannot keep note of the machine `{id}`: {error}"));
                }
            }
        }
    }
}
