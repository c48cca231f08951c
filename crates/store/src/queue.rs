//! The jobs that wait for a runner, and the leases on those that have one.
//!
//! A job is in the queue or under a lease or in neither, never in two of them: to claim is to move it.

use run::event::Timestamp;
use run::id::{JobId, LeaseId, RunId, RunnerId};
use sqlx::{Row, SqliteConnection};

use crate::connection::Store;
use crate::error::StoreError;

/// Most rows that one reading of the queue or the leases returns.
const PAGE: i64 = 1000;

/// A job that waits for a runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingJob {
    /// Its run.
    pub run: RunId,
    /// The job.
    pub job: JobId,
    /// The labels that its runner must serve.
    pub labels: Vec<String>,
    /// Since when.
    pub queued: Timestamp,
}

/// A runner's hold on a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldLease {
    /// The hold.
    pub lease: LeaseId,
    /// The job's run.
    pub run: RunId,
    /// The job.
    pub job: JobId,
    /// Who holds it.
    pub runner: RunnerId,
    /// How many of its events were taken.
    pub taken: u64,
    /// When it ends if it is not renewed.
    pub expires: Option<Timestamp>,
}

impl Store {
    /// The jobs of `owner`'s runs that wait for a runner, those that wait longest first, at most 1,000.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn waiting(&self, owner: &str) -> Result<Vec<WaitingJob>, StoreError> {
        let query = "SELECT queue.run, queue.job, queue.labels, queue.queued_at FROM queue \
                     JOIN runs ON runs.id = queue.run WHERE runs.owner = $1 AND runs.status <> 'completed' \
                     ORDER BY queue.queued_at, queue.run, queue.job LIMIT $2";
        self.read("read the queue", |mut connection| async move {
            let failed = |source| self.failed("read the queue", source);
            let rows =
                sqlx::query(query).bind(owner).bind(PAGE).fetch_all(&mut connection).await.map_err(failed)?;
            let jobs: Result<_, _> = rows.iter().map(waiting_job).collect();
            Ok((connection, jobs.map_err(failed)?))
        })
        .await
    }

    /// The leases on jobs of `run`, at most 1,000.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn leases(&self, run: &RunId) -> Result<Vec<HeldLease>, StoreError> {
        let query =
            "SELECT id, run, job, runner, taken, expires_at FROM leases WHERE run = $1 ORDER BY id LIMIT $2";
        self.read("read leases", |mut connection| async move {
            let failed = |source| self.failed("read leases", source);
            let rows = sqlx::query(query)
                .bind(run.as_str())
                .bind(PAGE)
                .fetch_all(&mut connection)
                .await
                .map_err(failed)?;
            let leases: Result<_, _> = rows.iter().map(held_lease).collect();
            Ok((connection, leases.map_err(failed)?))
        })
        .await
    }

    /// The leases on jobs of `owner`'s runs that were to be renewed before `now`, at most 1,000.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn expired(&self, owner: &str, now: Timestamp) -> Result<Vec<HeldLease>, StoreError> {
        let query = "SELECT leases.id, leases.run, leases.job, leases.runner, leases.taken, leases.expires_at \
                     FROM leases JOIN runs ON runs.id = leases.run \
                     WHERE leases.expires_at < $1 AND runs.owner = $2 ORDER BY leases.expires_at LIMIT $3";
        self.read("read leases", |mut connection| async move {
            let failed = |source| self.failed("read leases", source);
            let rows = sqlx::query(query)
                .bind(now)
                .bind(owner)
                .bind(PAGE)
                .fetch_all(&mut connection)
                .await
                .map_err(failed)?;
            let leases: Result<_, _> = rows.iter().map(held_lease).collect();
            Ok((connection, leases.map_err(failed)?))
        })
        .await
    }
}

fn waiting_job(row: &sqlx::sqlite::SqliteRow) -> Result<WaitingJob, sqlx::Error> {
    let labels =
        serde_json::from_str(row.try_get(2)?).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    Ok(WaitingJob {
        run: RunId(row.try_get(0)?),
        job: JobId(row.try_get(1)?),
        labels,
        queued: row.try_get(3)?,
    })
}

fn held_lease(row: &sqlx::sqlite::SqliteRow) -> Result<HeldLease, sqlx::Error> {
    Ok(HeldLease {
        lease: LeaseId(row.try_get(0)?),
        run: RunId(row.try_get(1)?),
        job: JobId(row.try_get(2)?),
        runner: RunnerId(row.try_get(3)?),
        taken: row.try_get::<i64, _>(4)?.cast_unsigned(),
        expires: row.try_get(5)?,
    })
}

pub(crate) async fn enqueue(
    connection: &mut SqliteConnection,
    run: &RunId,
    job: &JobId,
    labels: &[String],
    at: Timestamp,
) -> Result<bool, sqlx::Error> {
    let labels = serde_json::to_string(labels).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    let done = sqlx::query("INSERT INTO queue (run, job, labels, queued_at) VALUES ($1, $2, $3, $4)")
        .bind(run.as_str())
        .bind(job.as_str())
        .bind(labels)
        .bind(at)
        .execute(connection)
        .await?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn dequeue(
    connection: &mut SqliteConnection,
    run: &RunId,
    job: &JobId,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query("DELETE FROM queue WHERE run = $1 AND job = $2")
        .bind(run.as_str())
        .bind(job.as_str())
        .execute(connection)
        .await?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn claim(
    connection: &mut SqliteConnection,
    run: &RunId,
    job: &JobId,
    lease: &LeaseId,
    runner: &RunnerId,
    expires: Option<Timestamp>,
) -> Result<bool, sqlx::Error> {
    if !dequeue(connection, run, job).await? {
        return Ok(false);
    }
    let done = sqlx::query(
        "INSERT INTO leases (id, run, job, runner, taken, expires_at) VALUES ($1, $2, $3, $4, 0, $5)",
    )
    .bind(lease.as_str())
    .bind(run.as_str())
    .bind(job.as_str())
    .bind(runner.as_str())
    .bind(expires)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn taken(
    connection: &mut SqliteConnection,
    run: &RunId,
    lease: &LeaseId,
    taken: u64,
    expires: Option<Timestamp>,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query("UPDATE leases SET taken = $1, expires_at = $2 WHERE id = $3 AND run = $4")
        .bind(taken.cast_signed())
        .bind(expires)
        .bind(lease.as_str())
        .bind(run.as_str())
        .execute(connection)
        .await?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn release(
    connection: &mut SqliteConnection,
    run: &RunId,
    lease: &LeaseId,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query("DELETE FROM leases WHERE id = $1 AND run = $2")
        .bind(lease.as_str())
        .bind(run.as_str())
        .execute(connection)
        .await?;
    Ok(done.rows_affected() == 1)
}
