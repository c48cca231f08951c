//! The text that jobs wrote, read page by page.

use futures_util::TryStreamExt;
use run::event::Timestamp;
use run::id::{JobId, RunId};
use sqlx::{Row, SqliteConnection};

use crate::connection::{Done, Store};
use crate::error::StoreError;
use crate::events::PAGE_BYTES;

/// Most chunks of a page.
const PAGE_CHUNKS: u32 = 1000;

/// Which text to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// Only that of this job.
    pub job: Option<JobId>,
    /// Only that of this step.
    pub step: Option<u32>,
    /// Only what comes after the event with this number.
    pub after: u64,
}

/// Whole lines that were reported together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogChunk {
    /// The event's number.
    pub sequence: u64,
    /// When it was said.
    pub at: Timestamp,
    /// The job.
    pub job: JobId,
    /// The step; none for what the runner says of the job as a whole.
    pub step: Option<u32>,
    /// The lines, each ended by a newline.
    pub text: String,
}

/// The text of a run's jobs, page by page, in the order in which it was reported.
#[derive(Debug)]
pub struct Logs {
    store: Store,
    run: RunId,
    query: LogQuery,
}

impl Store {
    /// The logs of a run.
    #[must_use]
    pub fn logs(&self, run: &RunId, query: LogQuery) -> Logs {
        Logs { store: self.clone(), run: run.clone(), query }
    }
}

impl Logs {
    /// The next page: at most 1,000 chunks and about a megabyte. Empty when there is no more yet; a later call finds
    /// what was added since.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn next(&mut self) -> Result<Vec<LogChunk>, StoreError> {
        let chunks = self.store.read("read logs", |connection| self.page(connection)).await?;
        if let Some(last) = chunks.last() {
            self.query.after = last.sequence;
        }
        Ok(chunks)
    }

    async fn page(&self, mut connection: SqliteConnection) -> Done<Vec<LogChunk>> {
        let query = match &self.query.job {
            None => {
                "SELECT sequence, at, job, step, body FROM events WHERE run = $1 AND sequence > $2 AND kind = 'log' \
                 AND $3 IS NULL AND ($4 IS NULL OR step = $4) ORDER BY sequence LIMIT $5"
            }
            Some(_) => {
                "SELECT sequence, at, job, step, body FROM events WHERE run = $1 AND sequence > $2 AND kind = 'log' \
                 AND job = $3 AND ($4 IS NULL OR step = $4) ORDER BY sequence LIMIT $5"
            }
        };
        let failed = |source| self.store.failed("read logs", source);
        let mut rows = sqlx::query(query)
            .bind(self.run.as_str())
            .bind(self.query.after.cast_signed())
            .bind(self.query.job.as_ref().map(JobId::as_str))
            .bind(self.query.step)
            .bind(PAGE_CHUNKS)
            .fetch(&mut connection);
        let (mut chunks, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.try_next().await.map_err(failed)? {
            let chunk = chunk(&row).map_err(failed)?;
            bytes += chunk.text.len();
            chunks.push(chunk);
            if bytes >= PAGE_BYTES {
                break;
            }
        }
        drop(rows);
        Ok((connection, chunks))
    }
}

fn chunk(row: &sqlx::sqlite::SqliteRow) -> Result<LogChunk, sqlx::Error> {
    let text = String::from_utf8(row.try_get(4)?).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    Ok(LogChunk {
        sequence: row.try_get::<i64, _>(0)?.cast_unsigned(),
        at: row.try_get(1)?,
        job: JobId(row.try_get(2)?),
        step: row.try_get(3)?,
        text,
    })
}
