//! Keeping machines and going back to what was kept.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use machine::leftovers::Leftover;
use machine::lifecycle::Event;
use store::SnapshotRow;
use uuid::Uuid;

use super::entry::Entry;
use super::error::ApiError;
use super::registry::{Machines, Origin};

/// Most snapshots of one machine.
const MAX_SNAPSHOTS: usize = 100;

impl Machines {
    /// Keeps a machine, in a task of its own.
    pub(crate) async fn snapshot(
        &self,
        id: &str,
        name: Option<String>,
        description: String,
    ) -> Result<SnapshotRow, ApiError> {
        let (machines, entry) = (self.clone(), self.get(id)?);
        let keeping = tokio::spawn(async move { machines.snapshot_now(&entry, name, description).await });
        keeping.await.map_err(|_| ApiError::Ending)?
    }

    async fn snapshot_now(
        &self,
        entry: &Arc<Entry>,
        name: Option<String>,
        description: String,
    ) -> Result<SnapshotRow, ApiError> {
        let settings = &self.inner.settings;
        if !settings.backend.has_snapshots() {
            return Err(ApiError::NoSnapshots { backend: settings.backend.name() });
        }
        let _turn = entry.turn.lock().await;
        if self.snapshots_of(&entry.id).await?.len() >= MAX_SNAPSHOTS {
            return Err(ApiError::TooMany { what: "snapshots of this machine", limit: MAX_SNAPSHOTS });
        }
        let id = format!("snap-{}", &Uuid::now_v7().simple().to_string()[..20]);
        let folder = settings.snapshots.join(&id);
        let failed = |source| ApiError::Snapshot { id: entry.id.clone(), source };
        std::fs::create_dir_all(&settings.snapshots).map_err(|source| {
            failed(machine::SnapshotError::Write { path: settings.snapshots.clone(), source })
        })?;
        let (machine, generation) = entry.take_part(&Event::Snapshot)?;
        let kept = machine.snapshot(&folder).await;
        entry.apply_to(&generation, &Event::Kept);
        let size = kept.map_err(failed)?;
        let row = SnapshotRow {
            name: name.unwrap_or_else(|| id.clone()),
            id,
            machine: entry.id.clone(),
            description,
            kind: entry.kind.clone(),
            backend: settings.backend.name().to_string(),
            image: settings.image.clone(),
            vcpus: entry.size.vcpus,
            memory_mib: entry.size.memory_mib,
            folder: folder.display().to_string(),
            bytes: size.memory + size.disk,
            created: Timestamp::now().as_millisecond(),
        };
        if let Err(error) = settings.store.add_machine_snapshot(&row).await {
            remove_folder(&folder, settings.report);
            return Err(error.into());
        }
        Ok(row)
    }

    /// The snapshots of a machine, the oldest first.
    pub(crate) async fn snapshots_of(&self, id: &str) -> Result<Vec<SnapshotRow>, ApiError> {
        let all = self.inner.settings.store.machine_snapshots().await?;
        Ok(all.into_iter().filter(|snapshot| snapshot.machine == id).collect())
    }

    /// Brings a machine back to one of its snapshots, in a task of its own.
    pub(crate) async fn rollback(&self, id: &str, snapshot: &str) -> Result<Arc<Entry>, ApiError> {
        let entry = self.get(id)?;
        let found = self.snapshots_of(id).await?.into_iter().find(|row| row.id == snapshot);
        let row = found.ok_or_else(|| ApiError::NoSnapshot { id: snapshot.to_owned() })?;
        let (machines, restored) = (self.clone(), Arc::clone(&entry));
        let restoring = tokio::spawn(async move { machines.rollback_now(&restored, &row).await });
        restoring.await.map_err(|_| ApiError::Ending)??;
        Ok(entry)
    }

    async fn rollback_now(&self, entry: &Arc<Entry>, row: &SnapshotRow) -> Result<(), ApiError> {
        let _turn = entry.turn.lock().await;
        if let Some(machine) = entry.take_away(&Event::Restore)?.machine {
            machine.stop().await;
        }
        let origin = Origin::Snapshot(row.folder.clone().into());
        let restored = self.bring_up(entry, &origin, None).await;
        match &restored {
            // Whoever stopped it leaves the rest to this.
            Err(ApiError::Changed { id }) => self.forget(id).await,
            Err(error) => {
                // The machine stays, failed, for its snapshots' sake; or it has been stopped, with all that is left of it.
                let reason = format!("it could not be restored: {}", error.text());
                if entry.apply(&Event::Fail { reason }).is_err() {
                    self.forget(&entry.id).await;
                }
            }
            Ok(()) => {}
        }
        restored
    }

    /// Removes all snapshots of a machine.
    pub(crate) async fn remove_snapshots(&self, id: &str) -> Result<(), ApiError> {
        let settings = &self.inner.settings;
        for snapshot in self.snapshots_of(id).await? {
            remove_folder(Path::new(&snapshot.folder), settings.report);
            settings.store.remove_machine_snapshot(&snapshot.id).await?;
        }
        Ok(())
    }
}

/// Removes the folder of a snapshot; what cannot be removed is said, and stays.
pub(crate) fn remove_folder(folder: &Path, report: fn(&str)) {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            report(&format!("warning: cannot remove the snapshot in `{}`: {error}", folder.display()));
        }
        _ => {}
    }
}

/// What a machine leaves on the host if its owner dies, as the store keeps it.
pub(crate) fn leftovers(machine: &machine::Machine) -> String {
    machine.leftovers().iter().map(Leftover::to_string).collect::<Vec<_>>().join("\n")
}
