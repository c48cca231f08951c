//! The machines of this process: made, found, removed.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use machine::admission::Memory;
use machine::leftovers::ProcessIdentity;
use machine::lifecycle::{Event, State};
use machine::{Backend, BootError, Machine, MachineSpec, Size};
use store::{Admission, MachineRow, Store};
use tokio::sync::{Notify, oneshot};
use uuid::Uuid;

use super::collect::collect;
use super::entry::Entry;
use super::error::ApiError;
use super::model::{Description, Wanted};
use super::record::Recorder;
use super::snapshots::leftovers;
use super::warm::Pool;

/// Most machines of one process.
const MAX_MACHINES: usize = 256;

/// How machines are made here.
#[derive(Debug)]
pub struct Settings {
    /// What makes them.
    pub backend: Arc<dyn Backend>,
    /// What each is to be; its name and size are replaced.
    pub spec: MachineSpec,
    /// The size of a machine for which nobody asks for another.
    pub size: Size,
    /// What they are made from, if they are made from an image.
    pub image: Option<String>,
    /// Where leases are kept.
    pub store: Store,
    /// The socket at which this process listens.
    pub endpoint: PathBuf,
    /// Where snapshots are kept.
    pub snapshots: PathBuf,
    /// Whether a machine's snapshots stay when it is removed.
    pub keeps_snapshots: bool,
    /// How long the body of a request may take.
    pub body_deadline: Duration,
    /// How many machines are kept ready.
    pub warm: usize,
    /// Says something to whoever runs the server.
    pub report: fn(&str),
}

/// The machines of this process. Clones share them.
#[derive(Debug, Clone)]
pub struct Machines {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) settings: Settings,
    owner: String,
    entries: Mutex<HashMap<String, Arc<Entry>>>,
    recorder: Arc<Recorder>,
    pub(crate) pool: Pool,
    is_ending: AtomicBool,
    /// Told whenever a machine has been removed.
    removed: Notify,
}

/// What a machine is made from.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// Nothing.
    New,
    /// The snapshot in this folder.
    Snapshot(PathBuf),
}

impl Machines {
    /// No machines yet. Starts the tasks that keep leases and warm machines; needs a runtime.
    ///
    /// # Errors
    /// When this process cannot be told from others.
    pub fn new(settings: Settings) -> std::io::Result<Self> {
        let recorder = Arc::new(Recorder::default());
        tokio::spawn(Arc::clone(&recorder).write(settings.store.clone(), settings.report));
        let machines = Self {
            inner: Arc::new(Inner {
                owner: ProcessIdentity::own()?.to_string(),
                entries: Mutex::default(),
                recorder,
                pool: Pool::new(settings.warm, settings.backend.has_snapshots()),
                is_ending: AtomicBool::new(false),
                removed: Notify::new(),
                settings,
            }),
        };
        if machines.inner.pool.is_wanted() {
            tokio::spawn(machines.clone().keep_warm());
        }
        Ok(machines)
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<String, Arc<Entry>>> {
        self.inner.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All machines, the oldest first.
    pub fn list(&self) -> Vec<Description> {
        let mut entries: Vec<Arc<Entry>> = self.entries().values().cloned().collect();
        entries.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        entries.iter().map(|entry| entry.describe()).collect()
    }

    pub(crate) fn get(&self, id: &str) -> Result<Arc<Entry>, ApiError> {
        self.entries().get(id).cloned().ok_or_else(|| ApiError::NoMachine { id: id.to_owned() })
    }

    /// Makes a machine that answers commands.
    ///
    /// # Errors
    /// When there is no room for it or it cannot be made; then nothing of it is left.
    pub async fn create(&self, wanted: Wanted, lifetime: Option<Duration>) -> Result<Description, ApiError> {
        Ok(self.make(wanted, Origin::New, lifetime).await?.describe())
    }

    /// Makes a machine that goes on from the snapshot in a folder.
    ///
    /// # Errors
    /// As [`Machines::create`].
    pub async fn create_from(
        &self,
        snapshot: PathBuf,
        wanted: Wanted,
        lifetime: Option<Duration>,
    ) -> Result<Description, ApiError> {
        Ok(self.make(wanted, Origin::Snapshot(snapshot), lifetime).await?.describe())
    }

    /// Makes a machine in a task of its own. One that nobody waits for any more is removed again.
    pub(crate) async fn make(
        &self,
        wanted: Wanted,
        origin: Origin,
        lifetime: Option<Duration>,
    ) -> Result<Arc<Entry>, ApiError> {
        let (answer, answered) = oneshot::channel();
        let machines = self.clone();
        tokio::spawn(async move {
            let made = machines.make_once(wanted, &origin, lifetime).await;
            if let Err(Ok(entry)) = answer.send(made) {
                // It may have been removed already.
                let _ = machines.remove_now(&entry.id).await;
            }
        });
        answered.await.map_err(|_| ApiError::Ending)?
    }

    async fn make_once(
        &self,
        wanted: Wanted,
        origin: &Origin,
        lifetime: Option<Duration>,
    ) -> Result<Arc<Entry>, ApiError> {
        let size = wanted.size;
        let is_usual = matches!(origin, Origin::New) && size == self.inner.settings.size;
        let warm = is_usual.then(|| self.inner.pool.take()).flatten();
        let id = warm.as_ref().map_or_else(new_id, |warm| warm.id.clone());
        let row = self.row(&id, wanted, lifetime);
        let entry = Arc::new(Entry::new(
            row.id.clone(),
            row.name.clone(),
            row.kind.clone(),
            size,
            row.created,
            Arc::clone(&self.inner.recorder),
        ));
        let leased = match &warm {
            Some(_) => self.inner.settings.store.adopt_machine(&row).await.map_err(ApiError::from),
            None => self.admit(&row).await,
        };
        let begin = match origin {
            Origin::New => Event::Boot,
            Origin::Snapshot(_) => Event::Restore,
        };
        let begun = leased.and_then(|()| self.add(&entry)).and_then(|()| entry.apply(&begin));
        let made = match begun {
            Ok(()) => self.bring_up(&entry, origin, warm.map(|warm| warm.machine)).await,
            Err(error) => {
                if let Some(warm) = warm {
                    warm.machine.stop().await;
                }
                Err(error)
            }
        };
        if let Err(error) = made {
            self.entries().remove(&entry.id);
            self.forget(&entry.id).await;
            return Err(error);
        }
        if let Some(lifetime) = lifetime {
            self.remove_after(entry.id.clone(), lifetime);
        }
        Ok(entry)
    }

    /// The row of a machine that is to be made.
    pub(crate) fn row(&self, id: &str, wanted: Wanted, lifetime: Option<Duration>) -> MachineRow {
        let settings = &self.inner.settings;
        let created = Timestamp::now().as_millisecond();
        let lifetime = lifetime.map(|lifetime| i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX));
        MachineRow {
            id: id.to_owned(),
            name: wanted.name.unwrap_or_else(|| id.to_owned()),
            kind: wanted.kind.unwrap_or_else(|| settings.backend.name().to_string()),
            backend: settings.backend.name().to_string(),
            image: settings.image.clone(),
            vcpus: wanted.size.vcpus,
            memory_mib: wanted.size.memory_mib,
            state: State::Created.name().to_owned(),
            reason: None,
            owner: self.inner.owner.clone(),
            endpoint: settings.endpoint.display().to_string(),
            leftovers: String::new(),
            created,
            expires: lifetime.map(|lifetime| created.saturating_add(lifetime)),
        }
    }

    /// Gives a machine its lease if there is memory for it. What dead owners have left is removed before one is refused.
    pub(crate) async fn admit(&self, row: &MachineRow) -> Result<(), ApiError> {
        let settings = &self.inner.settings;
        let wanted_mib = u64::from(row.memory_mib);
        // A host that does not say what it has is taken at the caller's word.
        let memory = Memory::of_host();
        let available_mib = memory.map_or(u64::MAX, |memory| memory.for_next_mib());
        if wanted_mib > available_mib {
            return Err(ApiError::NoMemoryNow { wanted_mib, available_mib });
        }
        let capacity_mib = memory.map_or(u64::MAX, |memory| memory.for_machines_mib());
        if settings.store.admit_machine(row, capacity_mib).await? == Admission::Admitted {
            return Ok(());
        }
        collect(&settings.store, &settings.spec.scratch).await?;
        match settings.store.admit_machine(row, capacity_mib).await? {
            Admission::Admitted => Ok(()),
            Admission::Refused { committed_mib } => {
                Err(ApiError::NoMemory { wanted_mib, committed_mib, capacity_mib })
            }
        }
    }

    fn add(&self, entry: &Arc<Entry>) -> Result<(), ApiError> {
        let mut entries = self.entries();
        if self.inner.is_ending.load(Ordering::SeqCst) {
            return Err(ApiError::Ending);
        }
        if entries.len() >= MAX_MACHINES {
            return Err(ApiError::TooMany { what: "machines", limit: MAX_MACHINES });
        }
        entries.insert(entry.id.clone(), Arc::clone(entry));
        Ok(())
    }

    /// Makes the machine itself.
    pub(crate) async fn boot(&self, id: &str, size: Size, origin: &Origin) -> Result<Machine, BootError> {
        let settings = &self.inner.settings;
        let spec = MachineSpec { name: id.to_owned(), size: Some(size), ..settings.spec.clone() };
        match origin {
            Origin::New => Machine::start(&*settings.backend, &spec).await,
            Origin::Snapshot(folder) => Machine::restore(&*settings.backend, &spec, folder).await,
        }
    }

    /// Makes the machine of an entry that is booting, unless there is one already, and lets it be used. A machine that is not wanted any more has
    /// been ended when this returns.
    pub(crate) async fn bring_up(
        &self,
        entry: &Arc<Entry>,
        origin: &Origin,
        machine: Option<Machine>,
    ) -> Result<(), ApiError> {
        let id = &entry.id;
        let machine = match machine {
            Some(machine) => machine,
            None => {
                let booted = self.boot(id, entry.size, origin).await;
                booted.map_err(|source| ApiError::Boot { id: id.clone(), source })?
            }
        };
        let noted = self.inner.settings.store.set_machine_leftovers(id, &leftovers(&machine)).await;
        if let Err(error) = noted {
            machine.stop().await;
            return Err(error.into());
        }
        match entry.booted(machine) {
            Ok((machine, generation)) => {
                let entry = Arc::clone(entry);
                tokio::spawn(async move {
                    let reason = machine.lost().await;
                    if let Some(lost) = entry.lose(&generation, reason) {
                        lost.stop().await;
                    }
                });
                Ok(())
            }
            Err(unwanted) => {
                unwanted.stop().await;
                Err(ApiError::Changed { id: id.clone() })
            }
        }
    }

    fn remove_after(&self, id: String, lifetime: Duration) {
        let machines = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(lifetime).await;
            // It may have been removed before its time.
            let _ = machines.remove_now(&id).await;
        });
    }

    /// Stops a machine and removes it, in a task of its own.
    ///
    /// # Errors
    /// When there is none with that id.
    pub async fn remove(&self, id: &str) -> Result<(), ApiError> {
        let (machines, id) = (self.clone(), id.to_owned());
        let removing = tokio::spawn(async move { machines.remove_now(&id).await });
        removing.await.map_err(|_| ApiError::Ending)?
    }

    pub(crate) async fn remove_now(&self, id: &str) -> Result<(), ApiError> {
        let entry = self.get(id)?;
        let no_machine = |_| ApiError::NoMachine { id: id.to_owned() };
        let taken = entry.take_away(&Event::Stop).map_err(no_machine)?;
        if let Some(machine) = taken.machine {
            machine.stop().await;
        }
        // What the store refuses keeps no machine here: the lease is still there for whoever collects it.
        let snapshots = match self.inner.settings.keeps_snapshots {
            true => Ok(()),
            false => self.remove_snapshots(id).await,
        };
        // Whoever still makes it removes its lease when it is gone.
        let lease = match taken.was_booting {
            true => Ok(()),
            false => self.inner.settings.store.remove_machine(id, &self.inner.owner).await,
        };
        self.entries().remove(id);
        self.inner.removed.notify_waiters();
        snapshots.and(lease.map_err(ApiError::from))
    }

    /// Removes the lease of a machine of which nothing is left.
    pub(crate) async fn forget(&self, id: &str) {
        if let Err(error) = self.inner.settings.store.remove_machine(id, &self.inner.owner).await {
            (self.inner.settings.report)(&format!("warning: cannot forget the machine `{id}`: {error}"));
        }
        self.inner.removed.notify_waiters();
    }

    /// Waits until there is no machine.
    pub async fn until_empty(&self) {
        loop {
            let removed = self.inner.removed.notified();
            let mut removed = std::pin::pin!(removed);
            // Before the look, so that a removal after it is seen.
            removed.as_mut().enable();
            if self.entries().is_empty() {
                return;
            }
            removed.await;
        }
    }

    /// Stops and removes every machine; from now on none is made.
    pub async fn end(&self) {
        self.inner.is_ending.store(true, Ordering::SeqCst);
        let ids: Vec<String> = self.entries().keys().cloned().collect();
        let removals = ids.iter().map(|id| self.remove(id));
        for removed in futures_util::future::join_all(removals).await {
            if let Err(error @ ApiError::Store(_)) = removed {
                (self.inner.settings.report)(&format!("warning: {}", error.text()));
            }
        }
        self.end_warm().await;
        // What was being made when the end came is removed by whoever makes it.
        self.until_empty().await;
    }
}

pub(crate) fn new_id() -> String {
    let (_, low) = Uuid::new_v4().as_u64_pair();
    format!("vm-{:012x}", low & 0xffff_ffff_ffff)
}
