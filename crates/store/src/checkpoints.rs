//! Which checkpoints of runs there are; what is in them is elsewhere.

use run::event::{CheckpointKind, Timestamp};
use run::id::{CheckpointId, JobId, RunId};
use sqlx::{Connection, Row, SqliteConnection};

use crate::connection::Store;
use crate::error::StoreError;

/// What was kept before a step of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointRow {
    /// The checkpoint.
    pub id: CheckpointId,
    /// The run.
    pub run: RunId,
    /// The job.
    pub job: JobId,
    /// The 0-based index of the step.
    pub step: u32,
    /// What was kept.
    pub kind: CheckpointKind,
    /// How many bytes of the disk that took beyond what was kept before.
    pub bytes: u64,
    /// When.
    pub kept: Timestamp,
}

impl Store {
    /// The checkpoints of a run, in the order of jobs and steps.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn checkpoints(&self, run: &RunId) -> Result<Vec<CheckpointRow>, StoreError> {
        let query = "SELECT id, run, job, step, kind, bytes, kept_at FROM checkpoints WHERE run = $1 \
                     ORDER BY job, step, kept_at, id";
        self.read("list checkpoints", |mut connection| async move {
            let failed = |source| self.failed("list checkpoints", source);
            let rows =
                sqlx::query(query).bind(run.as_str()).fetch_all(&mut connection).await.map_err(failed)?;
            let checkpoints: Result<_, _> = rows.iter().map(checkpoint_row).collect();
            Ok((connection, checkpoints.map_err(failed)?))
        })
        .await
    }

    /// Those of these checkpoints that no run tells of.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn untold_checkpoints(&self, ids: &[String]) -> Result<Vec<String>, StoreError> {
        self.read("list checkpoints", |mut connection| async move {
            let told: Vec<String> = sqlx::query_scalar("SELECT id FROM checkpoints")
                .fetch_all(&mut connection)
                .await
                .map_err(|source| self.failed("list checkpoints", source))?;
            let told: std::collections::HashSet<String> = told.into_iter().collect();
            Ok((connection, ids.iter().filter(|id| !told.contains(*id)).cloned().collect()))
        })
        .await
    }

    /// The newest run with checkpoints.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn latest_with_checkpoints(&self) -> Result<Option<RunId>, StoreError> {
        self.read("find a run with checkpoints", |mut connection| async move {
            let run = sqlx::query_scalar::<_, Option<String>>("SELECT max(run) FROM checkpoints")
                .fetch_one(&mut connection)
                .await
                .map_err(|source| self.failed("find a run with checkpoints", source))?;
            Ok((connection, run.map(RunId)))
        })
        .await
    }

    /// Forgets checkpoints that are not there any more; those that are forgotten already do no harm.
    ///
    /// # Errors
    /// When the database cannot be written: then none is forgotten.
    pub async fn forget_checkpoints(&self, ids: &[CheckpointId]) -> Result<(), StoreError> {
        self.write("forget checkpoints", |mut connection| async move {
            let failed = |source| self.failed("forget checkpoints", source);
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
            for id in ids {
                delete(&mut transaction, id).await.map_err(failed)?;
            }
            transaction.commit().await.map_err(failed)?;
            Ok((connection, ()))
        })
        .await
    }
}

fn checkpoint_row(row: &sqlx::sqlite::SqliteRow) -> Result<CheckpointRow, sqlx::Error> {
    let kind = match row.try_get(4)? {
        "memory" => CheckpointKind::Memory,
        "files" => CheckpointKind::Files,
        other => return Err(sqlx::Error::Decode(format!("unknown kind of checkpoint `{other}`").into())),
    };
    Ok(CheckpointRow {
        id: CheckpointId(row.try_get(0)?),
        run: RunId(row.try_get(1)?),
        job: JobId(row.try_get(2)?),
        step: row.try_get(3)?,
        kind,
        bytes: row.try_get::<i64, _>(5)?.cast_unsigned(),
        kept: row.try_get(6)?,
    })
}

/// One of an id that is there already takes its place: a runner may have kept it again.
pub(crate) async fn insert(
    connection: &mut SqliteConnection,
    run: &RunId,
    row: &CheckpointRow,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "INSERT INTO checkpoints (id, run, job, step, kind, bytes, kept_at) VALUES ($1, $2, $3, $4, $5, $6, $7) \
         ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, bytes = excluded.bytes, kept_at = excluded.kept_at",
    )
    .bind(row.id.as_str())
    .bind(run.as_str())
    .bind(row.job.as_str())
    .bind(row.step)
    .bind(row.kind.as_str())
    .bind(row.bytes.cast_signed())
    .bind(row.kept)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn delete(connection: &mut SqliteConnection, id: &CheckpointId) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM checkpoints WHERE id = $1").bind(id.as_str()).execute(connection).await?;
    Ok(())
}
