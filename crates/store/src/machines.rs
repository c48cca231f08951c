//! The leases on machines: which there are, who owns each and what it leaves if its owner dies; and their snapshots.
//!
//! A machine has its row before anything of it is made, and loses it after everything of it is gone. So whoever finds a row
//! whose owner is dead knows all that is to be removed.

use run::event::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection, Row, SqliteConnection};

use crate::connection::{Done, Store};
use crate::error::StoreError;

/// Most rows that one reading returns.
const PAGE: i64 = 10_000;

const MACHINE: &str = "SELECT id, name, kind, backend, image, vcpus, memory_mib, state, reason, owner, endpoint, leftovers, \
                       created_at, expires_at FROM machines ORDER BY created_at, id LIMIT $1";

const SNAPSHOT: &str = "SELECT id, machine, name, description, kind, backend, image, vcpus, memory_mib, folder, bytes, \
                        created_at FROM machine_snapshots ORDER BY created_at, id LIMIT $1";

/// A machine and the hold on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineRow {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The kind that was asked for; a label.
    pub kind: String,
    /// What makes it.
    pub backend: String,
    /// What it is made from, if it is made from an image.
    pub image: Option<String>,
    /// Virtual processors.
    pub vcpus: u32,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// The name of its state.
    pub state: String,
    /// Why it failed.
    pub reason: Option<String>,
    /// The process that owns it, told from every other that ever has its number.
    pub owner: String,
    /// The socket at which its owner listens.
    pub endpoint: String,
    /// What it leaves on the host if its owner dies; a line each.
    pub leftovers: String,
    /// Since when.
    pub created: Timestamp,
    /// Until when, if not for ever.
    pub expires: Option<Timestamp>,
}

/// A machine's memory and disk, kept in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotRow {
    /// Its id.
    pub id: String,
    /// The machine that was kept, which need not exist any more.
    pub machine: String,
    /// What people call it.
    pub name: String,
    /// What people say of it.
    pub description: String,
    /// The machine's kind.
    pub kind: String,
    /// The machine's backend.
    pub backend: String,
    /// The machine's image.
    pub image: Option<String>,
    /// The machine's virtual processors.
    pub vcpus: u32,
    /// The machine's memory in MiB.
    pub memory_mib: u32,
    /// Where it is.
    pub folder: String,
    /// What it takes on the disk.
    pub bytes: u64,
    /// Since when.
    pub created: Timestamp,
}

/// What became of a machine that was to be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It has its row.
    Admitted,
    /// All machines together would have more memory than there is for them.
    Refused {
        /// What the others have, in MiB.
        committed_mib: u64,
    },
}

impl Store {
    /// Adds a machine, unless all of them together would have more memory than `capacity_mib`. One of its id that is there
    /// already is [`StoreError::Twice`].
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn admit_machine(&self, row: &MachineRow, capacity_mib: u64) -> Result<Admission, StoreError> {
        self.write("add a machine", |connection| self.admit_once(connection, row, capacity_mib)).await
    }

    async fn admit_once(
        &self,
        mut connection: SqliteConnection,
        row: &MachineRow,
        capacity_mib: u64,
    ) -> Done<Admission> {
        let failed = |source| self.failed("add a machine", source);
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        let committed: i64 = sqlx::query_scalar("SELECT COALESCE(SUM(memory_mib), 0) FROM machines")
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed)?;
        let committed_mib = committed.cast_unsigned();
        if committed_mib.saturating_add(u64::from(row.memory_mib)) > capacity_mib {
            drop(transaction);
            return Ok((connection, Admission::Refused { committed_mib }));
        }
        insert(&mut transaction, row).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok((connection, Admission::Admitted))
    }

    /// Gives a machine that has its row already another name, kind, state and time.
    ///
    /// # Errors
    /// When the database cannot be written or there is no such machine.
    pub async fn adopt_machine(&self, row: &MachineRow) -> Result<(), StoreError> {
        self.write("name a machine", |mut connection| async move {
            let done = sqlx::query(
                "UPDATE machines SET name = $1, kind = $2, state = $3, created_at = $4, expires_at = $5 WHERE id = $6",
            )
            .bind(&row.name)
            .bind(&row.kind)
            .bind(&row.state)
            .bind(row.created)
            .bind(row.expires)
            .bind(&row.id)
            .execute(&mut connection)
            .await
            .map_err(|source| self.failed("name a machine", source))?;
            match done.rows_affected() {
                1 => Ok((connection, ())),
                _ => Err(StoreError::Missing { operation: "name the machine", subject: row.id.clone() }),
            }
        })
        .await
    }

    /// Notes a machine's state, and why where it failed. One without a row is no error.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn set_machine_state(
        &self,
        id: &str,
        state: &str,
        reason: Option<&str>,
    ) -> Result<(), StoreError> {
        self.write("note a machine's state", |mut connection| async move {
            sqlx::query("UPDATE machines SET state = $1, reason = $2 WHERE id = $3")
                .bind(state)
                .bind(reason)
                .bind(id)
                .execute(&mut connection)
                .await
                .map_err(|source| self.failed("note a machine's state", source))?;
            Ok((connection, ()))
        })
        .await
    }

    /// Notes what a machine leaves if its owner dies, a line each.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn set_machine_leftovers(&self, id: &str, leftovers: &str) -> Result<(), StoreError> {
        self.write("note what a machine leaves", |mut connection| async move {
            sqlx::query("UPDATE machines SET leftovers = $1 WHERE id = $2")
                .bind(leftovers)
                .bind(id)
                .execute(&mut connection)
                .await
                .map_err(|source| self.failed("note what a machine leaves", source))?;
            Ok((connection, ()))
        })
        .await
    }

    /// Forgets a machine that belongs to `owner`: nothing of it is left.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn remove_machine(&self, id: &str, owner: &str) -> Result<(), StoreError> {
        self.write("forget a machine", |mut connection| async move {
            sqlx::query("DELETE FROM machines WHERE id = $1 AND owner = $2")
                .bind(id)
                .bind(owner)
                .execute(&mut connection)
                .await
                .map_err(|source| self.failed("forget a machine", source))?;
            Ok((connection, ()))
        })
        .await
    }

    /// All machines, the oldest first, at most 10,000.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn machines(&self) -> Result<Vec<MachineRow>, StoreError> {
        self.read("read the machines", |mut connection| async move {
            let failed = |source| self.failed("read the machines", source);
            let rows = sqlx::query(MACHINE).bind(PAGE).fetch_all(&mut connection).await.map_err(failed)?;
            let machines: Result<_, _> = rows.iter().map(machine).collect();
            Ok((connection, machines.map_err(failed)?))
        })
        .await
    }

    /// Keeps note of a snapshot.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn add_machine_snapshot(&self, row: &SnapshotRow) -> Result<(), StoreError> {
        self.write("note a snapshot", |mut connection| async move {
            insert_snapshot(&mut connection, row)
                .await
                .map_err(|source| self.failed("note a snapshot", source))?;
            Ok((connection, ()))
        })
        .await
    }

    /// Forgets a snapshot.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn remove_machine_snapshot(&self, id: &str) -> Result<(), StoreError> {
        self.write("forget a snapshot", |mut connection| async move {
            sqlx::query("DELETE FROM machine_snapshots WHERE id = $1")
                .bind(id)
                .execute(&mut connection)
                .await
                .map_err(|source| self.failed("forget a snapshot", source))?;
            Ok((connection, ()))
        })
        .await
    }

    /// All snapshots, the oldest first, at most 10,000.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn machine_snapshots(&self) -> Result<Vec<SnapshotRow>, StoreError> {
        self.read("read the snapshots", |mut connection| async move {
            let failed = |source| self.failed("read the snapshots", source);
            let rows = sqlx::query(SNAPSHOT).bind(PAGE).fetch_all(&mut connection).await.map_err(failed)?;
            let snapshots: Result<_, _> = rows.iter().map(snapshot).collect();
            Ok((connection, snapshots.map_err(failed)?))
        })
        .await
    }
}

async fn insert(connection: &mut SqliteConnection, row: &MachineRow) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO machines (id, name, kind, backend, image, vcpus, memory_mib, state, reason, owner, endpoint, leftovers, \
         created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    )
    .bind(&row.id)
    .bind(&row.name)
    .bind(&row.kind)
    .bind(&row.backend)
    .bind(&row.image)
    .bind(i64::from(row.vcpus))
    .bind(i64::from(row.memory_mib))
    .bind(&row.state)
    .bind(&row.reason)
    .bind(&row.owner)
    .bind(&row.endpoint)
    .bind(&row.leftovers)
    .bind(row.created)
    .bind(row.expires)
    .execute(connection)
    .await?;
    Ok(())
}

async fn insert_snapshot(connection: &mut SqliteConnection, row: &SnapshotRow) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO machine_snapshots (id, machine, name, description, kind, backend, image, vcpus, memory_mib, folder, \
         bytes, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(&row.id)
    .bind(&row.machine)
    .bind(&row.name)
    .bind(&row.description)
    .bind(&row.kind)
    .bind(&row.backend)
    .bind(&row.image)
    .bind(i64::from(row.vcpus))
    .bind(i64::from(row.memory_mib))
    .bind(&row.folder)
    .bind(row.bytes.cast_signed())
    .bind(row.created)
    .execute(connection)
    .await?;
    Ok(())
}

fn machine(row: &SqliteRow) -> Result<MachineRow, sqlx::Error> {
    Ok(MachineRow {
        id: row.try_get(0)?,
        name: row.try_get(1)?,
        kind: row.try_get(2)?,
        backend: row.try_get(3)?,
        image: row.try_get(4)?,
        vcpus: small(row, 5)?,
        memory_mib: small(row, 6)?,
        state: row.try_get(7)?,
        reason: row.try_get(8)?,
        owner: row.try_get(9)?,
        endpoint: row.try_get(10)?,
        leftovers: row.try_get(11)?,
        created: row.try_get(12)?,
        expires: row.try_get(13)?,
    })
}

fn snapshot(row: &SqliteRow) -> Result<SnapshotRow, sqlx::Error> {
    Ok(SnapshotRow {
        id: row.try_get(0)?,
        machine: row.try_get(1)?,
        name: row.try_get(2)?,
        description: row.try_get(3)?,
        kind: row.try_get(4)?,
        backend: row.try_get(5)?,
        image: row.try_get(6)?,
        vcpus: small(row, 7)?,
        memory_mib: small(row, 8)?,
        folder: row.try_get(9)?,
        bytes: row.try_get::<i64, _>(10)?.cast_unsigned(),
        created: row.try_get(11)?,
    })
}

fn small(row: &SqliteRow, index: usize) -> Result<u32, sqlx::Error> {
    u32::try_from(row.try_get::<i64, _>(index)?).map_err(|error| sqlx::Error::Decode(Box::new(error)))
}
