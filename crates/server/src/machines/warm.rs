//! Machines that are ready before anybody asks for one.
//!
//! One machine is made and kept as a snapshot; the others are restored from it, with their agents greeted, and wait. Whoever
//! takes one gets it in no time, and another is restored meanwhile. Only for backends with snapshots of memory: elsewhere a
//! machine is made as fast as one is restored.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use machine::Machine;
use tokio::sync::Notify;

use super::error::ApiError;
use super::model::Wanted;
use super::registry::{Machines, Origin, new_id};
use super::snapshots::{leftovers, remove_folder};

/// The kind that a machine has until somebody takes it.
const WARM: &str = "warm";

/// Machines that wait to be taken.
#[derive(Debug)]
pub(crate) struct Pool {
    size: usize,
    waiting: Mutex<Waiting>,
    taken: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    machines: Vec<Warm>,
    /// What they are restored from.
    origin: Option<PathBuf>,
    is_closed: bool,
}

/// A machine that waits, with its lease.
#[derive(Debug)]
pub(crate) struct Warm {
    pub(crate) id: String,
    pub(crate) machine: Machine,
}

impl Pool {
    pub(crate) fn new(size: usize, has_snapshots: bool) -> Self {
        let size = if has_snapshots { size } else { 0 };
        Self { size, waiting: Mutex::default(), taken: Notify::new() }
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.size > 0
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The machine that has waited longest.
    pub(crate) fn take(&self) -> Option<Warm> {
        let mut waiting = self.waiting();
        if waiting.machines.is_empty() {
            return None;
        }
        let warm = waiting.machines.remove(0);
        self.taken.notify_one();
        Some(warm)
    }
}

impl Machines {
    /// How many machines wait to be taken.
    pub fn warm(&self) -> usize {
        self.inner.pool.waiting().machines.len()
    }

    /// Keeps as many machines ready as are wanted, for ever; for a task of its own. What fails is said, and tried again when
    /// the next machine is taken.
    pub(crate) async fn keep_warm(self) {
        let pool = &self.inner.pool;
        loop {
            while pool.waiting().machines.len() < pool.size && !pool.waiting().is_closed {
                if let Err(error) = self.add_warm().await {
                    (self.inner.settings.report)(&format!("warning: no warm machine: {}", error.text()));
                    break;
                }
            }
            if pool.waiting().is_closed {
                return;
            }
            pool.taken.notified().await;
        }
    }

    async fn add_warm(&self) -> Result<(), ApiError> {
        let origin = self.warm_origin().await?;
        let warm = self.lease_warm(&Origin::Snapshot(origin)).await?;
        let unwanted = {
            let mut waiting = self.inner.pool.waiting();
            match waiting.is_closed {
                true => Some(warm),
                false => {
                    waiting.machines.push(warm);
                    None
                }
            }
        };
        if let Some(warm) = unwanted {
            self.end_one(warm).await;
        }
        Ok(())
    }

    /// The snapshot that warm machines are restored from, made the first time.
    async fn warm_origin(&self) -> Result<PathBuf, ApiError> {
        if let Some(origin) = self.inner.pool.waiting().origin.clone() {
            return Ok(origin);
        }
        let warm = self.lease_warm(&Origin::New).await?;
        let settings = &self.inner.settings;
        let folder = settings.snapshots.join(format!("warm-{}", warm.id));
        let failed = |source| ApiError::Snapshot { id: warm.id.clone(), source };
        let made = std::fs::create_dir_all(&settings.snapshots)
            .map_err(|source| machine::SnapshotError::Write { path: settings.snapshots.clone(), source });
        let kept = match made {
            Ok(()) => warm.machine.snapshot(&folder).await.map(drop),
            Err(error) => Err(error),
        };
        let kept = kept.map_err(failed);
        self.end_one(warm).await;
        kept?;
        self.inner.pool.waiting().origin = Some(folder.clone());
        Ok(folder)
    }

    async fn lease_warm(&self, origin: &Origin) -> Result<Warm, ApiError> {
        let (id, size) = (new_id(), self.inner.settings.size);
        let wanted = Wanted { name: Some(WARM.to_owned()), kind: Some(WARM.to_owned()), size };
        self.admit(&self.row(&id, wanted, None)).await?;
        match self.boot(&id, size, origin).await {
            Ok(machine) => {
                let noted = self.inner.settings.store.set_machine_leftovers(&id, &leftovers(&machine)).await;
                let warm = Warm { id, machine };
                if let Err(error) = noted {
                    self.end_one(warm).await;
                    return Err(error.into());
                }
                Ok(warm)
            }
            Err(source) => {
                self.forget(&id).await;
                Err(ApiError::Boot { id, source })
            }
        }
    }

    async fn end_one(&self, warm: Warm) {
        warm.machine.stop().await;
        self.forget(&warm.id).await;
    }

    /// Ends the machines that wait, and what they were restored from.
    pub(crate) async fn end_warm(&self) {
        let (machines, origin) = {
            let mut waiting = self.inner.pool.waiting();
            waiting.is_closed = true;
            (std::mem::take(&mut waiting.machines), waiting.origin.take())
        };
        self.inner.pool.taken.notify_one();
        for warm in machines {
            self.end_one(warm).await;
        }
        if let Some(origin) = origin {
            remove_folder(&origin, self.inner.settings.report);
        }
    }
}
