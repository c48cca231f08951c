//! The row of each run: where it comes from, who owns it, how far it is.

use run::event::{EVENT_VERSION, Timestamp};
use run::id::RunId;
use run::status::Conclusion;
use sqlx::{Row, SqliteConnection};

use crate::commit::RunWrite;
use crate::connection::Store;
use crate::error::StoreError;

/// Most rows that one reading of the runs returns.
const PAGE: u32 = 1000;

/// A run that begins to exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRun {
    /// The repository's root folder, or its name where it has no folder here.
    pub root: String,
    /// The workflow's name, or its file where it has none.
    pub workflow: String,
    /// The workflow's file, as given.
    pub file: String,
    /// The event's name.
    pub event: String,
    /// The ref, such as `refs/heads/main`.
    pub reference: String,
    /// The commit.
    pub sha: String,
    /// The plan, in the encoding of whoever makes it.
    pub plan: Vec<u8>,
    /// When it was made.
    pub created: Timestamp,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunStatus {
    /// No job has started.
    Queued,
    /// A job has started.
    Running,
    /// The run has ended.
    Completed,
}

impl RunStatus {
    /// GitHub's word, `in_progress` apart, which is `running`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Completed => "completed",
        }
    }
}

/// A run as it is kept, without its plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRow {
    /// The run.
    pub id: RunId,
    /// The repository's root folder, or its name where it has no folder here.
    pub root: String,
    /// The workflow's name, or its file where it has none.
    pub workflow: String,
    /// The workflow's file, as given.
    pub file: String,
    /// The event's name.
    pub event: String,
    /// The ref.
    pub reference: String,
    /// The commit.
    pub sha: String,
    /// Who appends to it.
    pub owner: String,
    /// How far it is.
    pub status: RunStatus,
    /// How it ended.
    pub conclusion: Option<Conclusion>,
    /// Why it ended so, where no job says it.
    pub reason: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// When its first job started.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub finished: Option<Timestamp>,
    /// The version of the vocabulary that its events are written in.
    pub event_version: u32,
    /// The sequence number of its last event.
    pub sequence: u64,
}

/// Which runs to list.
#[derive(Clone, Debug, Default)]
pub struct RunQuery {
    /// Only those of this repository.
    pub root: Option<String>,
    /// Only those whose id begins so.
    pub prefix: Option<String>,
    /// Only those that are older than this one.
    pub before: Option<RunId>,
    /// How many at most, 1,000 in any case.
    pub limit: u32,
}

const COLUMNS: usize = 16;

impl Store {
    /// The run, if there is one.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn run(&self, id: &RunId) -> Result<Option<RunRow>, StoreError> {
        let query = "SELECT id, root, workflow, file, event, ref, sha, owner, status, conclusion, reason, created_at, \
                     started_at, finished_at, event_version, sequence FROM runs WHERE id = $1";
        self.read("read a run", |mut connection| async move {
            let failed = |source| self.failed("read a run", source);
            let row =
                sqlx::query(query).bind(id.as_str()).fetch_optional(&mut connection).await.map_err(failed)?;
            let run = row.as_ref().map(run_row).transpose().map_err(failed)?;
            Ok((connection, run))
        })
        .await
    }

    /// The runs that fit, the newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn runs(&self, wanted: &RunQuery) -> Result<Vec<RunRow>, StoreError> {
        let query = "SELECT id, root, workflow, file, event, ref, sha, owner, status, conclusion, reason, created_at, \
                     started_at, finished_at, event_version, sequence FROM runs \
                     WHERE ($1 IS NULL OR root = $1) AND ($2 IS NULL OR substr(id, 1, length($2)) = $2) \
                     AND ($3 IS NULL OR id < $3) ORDER BY id DESC LIMIT $4";
        self.read("list runs", |mut connection| async move {
            let failed = |source| self.failed("list runs", source);
            let rows = sqlx::query(query)
                .bind(wanted.root.as_deref())
                .bind(wanted.prefix.as_deref())
                .bind(wanted.before.as_ref().map(RunId::as_str))
                .bind(wanted.limit.min(PAGE))
                .fetch_all(&mut connection)
                .await
                .map_err(failed)?;
            let runs: Result<_, _> = rows.iter().map(run_row).collect();
            Ok((connection, runs.map_err(failed)?))
        })
        .await
    }

    /// How many runs there are of the workflow `file` of the repository `root`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn runs_of(&self, root: &str, file: &str) -> Result<u64, StoreError> {
        self.read("count runs", |mut connection| async move {
            let count =
                sqlx::query_scalar::<_, i64>("SELECT count(*) FROM runs WHERE root = $1 AND file = $2")
                    .bind(root)
                    .bind(file)
                    .fetch_one(&mut connection)
                    .await
                    .map_err(|source| self.failed("count runs", source))?;
            Ok((connection, count.cast_unsigned()))
        })
        .await
    }

    /// The runs that have not ended, with their owners, the oldest first, at most 1,000.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn unfinished(&self) -> Result<Vec<(RunId, String)>, StoreError> {
        let query = "SELECT id, owner FROM runs WHERE status <> 'completed' ORDER BY id LIMIT $1";
        self.read("list unfinished runs", |mut connection| async move {
            let failed = |source| self.failed("list unfinished runs", source);
            let rows =
                sqlx::query_as::<_, (String, String)>(query).bind(PAGE).fetch_all(&mut connection).await;
            let runs = rows.map_err(failed)?.into_iter().map(|(id, owner)| (RunId(id), owner)).collect();
            Ok((connection, runs))
        })
        .await
    }

    /// The plan of a run, as it was given, if there is such a run.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn plan(&self, id: &RunId) -> Result<Option<Vec<u8>>, StoreError> {
        self.read("read a plan", |mut connection| async move {
            let plan = sqlx::query_scalar("SELECT body FROM plans WHERE run = $1")
                .bind(id.as_str())
                .fetch_optional(&mut connection)
                .await
                .map_err(|source| self.failed("read a plan", source))?;
            Ok((connection, plan))
        })
        .await
    }
}

fn run_row(row: &sqlx::sqlite::SqliteRow) -> Result<RunRow, sqlx::Error> {
    debug_assert_eq!(row.len(), COLUMNS);
    Ok(RunRow {
        id: RunId(row.try_get(0)?),
        root: row.try_get(1)?,
        workflow: row.try_get(2)?,
        file: row.try_get(3)?,
        event: row.try_get(4)?,
        reference: row.try_get(5)?,
        sha: row.try_get(6)?,
        owner: row.try_get(7)?,
        status: status(row.try_get(8)?)?,
        conclusion: row.try_get::<Option<&str>, _>(9)?.map(conclusion).transpose()?,
        reason: row.try_get(10)?,
        created: row.try_get(11)?,
        started: row.try_get(12)?,
        finished: row.try_get(13)?,
        event_version: row.try_get(14)?,
        sequence: row.try_get::<i64, _>(15)?.cast_unsigned(),
    })
}

fn status(text: &str) -> Result<RunStatus, sqlx::Error> {
    [RunStatus::Queued, RunStatus::Running, RunStatus::Completed]
        .into_iter()
        .find(|status| status.as_str() == text)
        .ok_or_else(|| sqlx::Error::Decode(format!("unknown status `{text}`").into()))
}

fn conclusion(text: &str) -> Result<Conclusion, sqlx::Error> {
    [Conclusion::Success, Conclusion::Failure, Conclusion::Cancelled, Conclusion::Skipped]
        .into_iter()
        .find(|conclusion| conclusion.as_str() == text)
        .ok_or_else(|| sqlx::Error::Decode(format!("unknown conclusion `{text}`").into()))
}

pub(crate) async fn insert(
    connection: &mut SqliteConnection,
    run: &RunId,
    owner: &str,
    new: &NewRun,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO runs (id, root, workflow, file, event, ref, sha, owner, status, created_at, event_version, \
         sequence) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'queued', $9, $10, 0)",
    )
    .bind(run.as_str())
    .bind(new.root.as_str())
    .bind(new.workflow.as_str())
    .bind(new.file.as_str())
    .bind(new.event.as_str())
    .bind(new.reference.as_str())
    .bind(new.sha.as_str())
    .bind(owner)
    .bind(new.created)
    .bind(EVENT_VERSION)
    .execute(&mut *connection)
    .await?;
    sqlx::query("INSERT INTO plans (run, body) VALUES ($1, $2)")
        .bind(run.as_str())
        .bind(new.plan.as_slice())
        .execute(connection)
        .await?;
    Ok(())
}

/// Moves the run's last sequence number on. False when the run is not where the writer believes it to be.
pub(crate) async fn advance(
    connection: &mut SqliteConnection,
    write: &RunWrite,
) -> Result<bool, sqlx::Error> {
    let last = write.after + write.events.len() as u64;
    let done = sqlx::query(
        "UPDATE runs SET sequence = $1 WHERE id = $2 AND owner = $3 AND sequence = $4 AND status <> 'completed'",
    )
    .bind(last.cast_signed())
    .bind(write.run.as_str())
    .bind(write.owner.as_str())
    .bind(write.after.cast_signed())
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn start(
    connection: &mut SqliteConnection,
    run: &RunId,
    at: Timestamp,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE runs SET status = 'running', started_at = $1 WHERE id = $2 AND status = 'queued'",
    )
    .bind(at)
    .bind(run.as_str())
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn finish(
    connection: &mut SqliteConnection,
    run: &RunId,
    at: Timestamp,
    conclusion: Conclusion,
    reason: Option<&str>,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE runs SET status = 'completed', finished_at = $1, conclusion = $2, reason = $3 WHERE id = $4",
    )
    .bind(at)
    .bind(conclusion.as_str())
    .bind(reason)
    .bind(run.as_str())
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}
