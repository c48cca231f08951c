//! How an event is kept: the text of a log as it is, every other event as JSON.

use futures_util::TryStreamExt;
use run::event::{Event, EventKind, JobEvent};
use run::id::{JobId, LeaseId, RunId};
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use crate::connection::{Done, Store};
use crate::error::StoreError;

/// The `kind` of a log's row.
const LOG: &str = "log";
/// The `kind` of every other event's row.
const OTHER: &str = "event";
/// A page ends after the event with which it has this many bytes.
pub(crate) const PAGE_BYTES: usize = 1024 * 1024;
/// Most events of one statement: each number of them is a statement that is kept ready.
const TOGETHER: usize = 16;
/// Most events of a page.
const PAGE_EVENTS: u32 = 1000;

/// The columns of an event beside its place. Only logs are looked for by job and step.
pub(crate) struct EventRow<'a> {
    kind: &'static str,
    job: Option<&'a str>,
    step: Option<u32>,
    lease: Option<&'a str>,
    body: Vec<u8>,
}

/// The columns that keep `kind`.
pub(crate) fn encode(kind: &EventKind) -> Result<EventRow<'_>, serde_json::Error> {
    if let EventKind::Reported { job, lease, event: JobEvent::Log { step, text } } = kind {
        return Ok(EventRow {
            kind: LOG,
            job: Some(job.as_str()),
            step: *step,
            lease: Some(lease.as_str()),
            body: text.as_bytes().to_vec(),
        });
    }
    Ok(EventRow { kind: OTHER, job: None, step: None, lease: None, body: serde_json::to_vec(kind)? })
}

fn decode(row: &sqlx::sqlite::SqliteRow) -> Result<Event, sqlx::Error> {
    let corrupt = |error: Box<dyn std::error::Error + Send + Sync>| sqlx::Error::Decode(error);
    let body: &[u8] = row.try_get(6)?;
    let kind = if row.try_get::<&str, _>(2)? == LOG {
        let text = String::from_utf8(body.to_vec()).map_err(|error| corrupt(Box::new(error)))?;
        EventKind::Reported {
            job: JobId(row.try_get(3)?),
            lease: LeaseId(row.try_get(5)?),
            event: JobEvent::Log { step: row.try_get(4)?, text },
        }
    } else {
        serde_json::from_slice(body).map_err(|error| corrupt(Box::new(error)))?
    };
    Ok(Event { sequence: row.try_get::<i64, _>(0)?.cast_unsigned(), at: row.try_get(1)?, kind })
}

/// Adds events. Those of one statement share its way to SQLite's thread and back.
pub(crate) async fn insert(
    connection: &mut SqliteConnection,
    run: &RunId,
    rows: Vec<(&Event, EventRow<'_>)>,
) -> Result<(), sqlx::Error> {
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let mut query = QueryBuilder::<Sqlite>::new(
            "INSERT INTO events (run, sequence, at, kind, job, step, lease, body) ",
        );
        query.push_values(rows.by_ref().take(TOGETHER), |mut values, (event, row)| {
            values
                .push_bind(run.as_str())
                .push_bind(event.sequence.cast_signed())
                .push_bind(event.at)
                .push_bind(row.kind)
                .push_bind(row.job)
                .push_bind(row.step)
                .push_bind(row.lease)
                .push_bind(row.body);
        });
        query.build().execute(&mut *connection).await?;
    }
    Ok(())
}

impl Store {
    /// The events of a run after the one with the number `sequence` (0: from the first), in order. At most `limit`,
    /// 1,000 and about a megabyte of them: an empty answer means that there is none yet, a short one does not.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn events_after(
        &self,
        run: &RunId,
        sequence: u64,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        let query = "SELECT sequence, at, kind, job, step, lease, body FROM events \
                     WHERE run = $1 AND sequence > $2 ORDER BY sequence LIMIT $3";
        self.read("read events", |connection| self.page(connection, query, run, sequence, limit)).await
    }

    /// Like [`Store::events_after`], but only what a run's state follows from: of the logs, the first of each lease,
    /// which shows that the job has begun, and the run's last event whatever it is. Their numbers have gaps.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn outline_after(
        &self,
        run: &RunId,
        sequence: u64,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        let query = "SELECT sequence, at, kind, job, step, lease, body FROM events \
                     WHERE run = $1 AND sequence > $2 AND (kind = 'event' \
                     OR sequence = (SELECT sequence FROM runs WHERE id = $1) \
                     OR sequence IN (SELECT min(sequence) FROM events WHERE run = $1 AND kind = 'log' GROUP BY lease)) \
                     ORDER BY sequence LIMIT $3";
        self.read("read events", |connection| self.page(connection, query, run, sequence, limit)).await
    }

    async fn page(
        &self,
        mut connection: SqliteConnection,
        query: &'static str,
        run: &RunId,
        sequence: u64,
        limit: u32,
    ) -> Done<Vec<Event>> {
        let failed = |source| self.failed("read events", source);
        let mut rows = sqlx::query(query)
            .bind(run.as_str())
            .bind(sequence.cast_signed())
            .bind(limit.min(PAGE_EVENTS))
            .fetch(&mut connection);
        let (mut events, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.try_next().await.map_err(failed)? {
            bytes += row.try_get::<&[u8], _>(6).map_err(failed)?.len();
            events.push(decode(&row).map_err(failed)?);
            if bytes >= PAGE_BYTES {
                break;
            }
        }
        drop(rows);
        Ok((connection, events))
    }
}
