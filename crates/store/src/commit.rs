//! The only way to change a run: events, queue, leases and the run's row in one transaction.

use std::sync::Arc;

use run::event::{Event, Timestamp};
use run::id::{CheckpointId, JobId, LeaseId, RunId, RunnerId};
use run::status::Conclusion;
use sqlx::{Connection, SqliteConnection};

use crate::checkpoints::CheckpointRow;
use crate::connection::{Done, Store};
use crate::error::StoreError;
use crate::runs::NewRun;
use crate::{checkpoints, events, queue, runs};

/// What is written to one run at a time.
#[derive(Clone, Debug)]
pub struct RunWrite {
    /// The run.
    pub run: RunId,
    /// Who writes: the run's owner.
    pub owner: String,
    /// The sequence number of the last event that the writer knows, 0 for a run that does not exist yet.
    pub after: u64,
    /// What happened since, numbered from `after + 1` without gaps.
    pub events: Arc<[Event]>,
    /// What else changes, in this order.
    pub changes: Vec<Change>,
}

/// What changes beside a run's events.
#[derive(Clone, Debug)]
pub enum Change {
    /// The run begins to exist. Only as the first change of a write with `after` 0.
    Create(NewRun),
    /// The run's first job has started.
    Start {
        /// When.
        at: Timestamp,
    },
    /// The run has ended. Nothing is written to it after this.
    Finish {
        /// When.
        at: Timestamp,
        /// How.
        conclusion: Conclusion,
        /// Why, where no job says so.
        reason: Option<String>,
    },
    /// A job waits for a runner.
    Enqueue {
        /// The job.
        job: JobId,
        /// The labels that its runner must serve.
        labels: Vec<String>,
        /// Since when.
        at: Timestamp,
    },
    /// A job does not wait any more: nobody will run it.
    Dequeue {
        /// The job.
        job: JobId,
    },
    /// A waiting job is held by a runner.
    Claim {
        /// The job.
        job: JobId,
        /// The hold.
        lease: LeaseId,
        /// Who holds it.
        runner: RunnerId,
        /// When the hold ends if it is not renewed; never without a time.
        expires: Option<Timestamp>,
    },
    /// Reports were taken under a lease.
    Taken {
        /// The lease.
        lease: LeaseId,
        /// How many events of it were taken so far.
        taken: u64,
        /// When the hold ends if it is not renewed; never without a time.
        expires: Option<Timestamp>,
    },
    /// A hold is over.
    Release {
        /// The lease.
        lease: LeaseId,
    },
    /// What is there before a step was kept.
    Keep(CheckpointRow),
    /// A checkpoint is gone.
    Drop {
        /// Which.
        checkpoint: CheckpointId,
    },
}

/// What became of a [`RunWrite`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is kept.
    Kept,
    /// Nothing of it is kept: the run has other events after `after`, another owner, or has ended.
    Superseded,
}

impl Store {
    /// Keeps all of `writes`, each with the outcome in its place, in one transaction. A superseded one does not hinder
    /// the others.
    ///
    /// # Errors
    /// When the database cannot be written, or a change names a job or lease that is not there, or is there already:
    /// then nothing of all the writes is kept.
    pub async fn commit(&self, writes: &[RunWrite]) -> Result<Vec<Outcome>, StoreError> {
        self.write("write events", |connection| self.commit_once(connection, writes)).await
    }

    async fn commit_once(&self, mut connection: SqliteConnection, writes: &[RunWrite]) -> Done<Vec<Outcome>> {
        let failed = |source| self.failed("write events", source);
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        let mut outcomes = Vec::with_capacity(writes.len());
        for write in writes {
            outcomes.push(self.write_run(&mut transaction, write).await?);
        }
        transaction.commit().await.map_err(failed)?;
        Ok((connection, outcomes))
    }

    async fn write_run(
        &self,
        connection: &mut SqliteConnection,
        write: &RunWrite,
    ) -> Result<Outcome, StoreError> {
        debug_assert!(
            write.events.iter().zip(write.after + 1..).all(|(event, sequence)| event.sequence == sequence),
            "events are numbered without gaps"
        );
        let failed = |source| self.failed("write events", source);
        let created = if let Some(Change::Create(new)) = write.changes.first() {
            runs::insert(connection, &write.run, &write.owner, new).await.map_err(failed)?;
            1
        } else {
            0
        };
        if !runs::advance(connection, write).await.map_err(failed)? {
            return Ok(Outcome::Superseded);
        }
        let encoded = write.events.iter().map(|event| {
            let row = events::encode(&event.kind).map_err(|source| StoreError::Encode {
                run: write.run.to_string(),
                sequence: event.sequence,
                source,
            });
            Ok((event, row?))
        });
        let rows = encoded.collect::<Result<Vec<_>, StoreError>>()?;
        events::insert(connection, &write.run, rows).await.map_err(failed)?;
        for change in &write.changes[created..] {
            self.change(connection, &write.run, change).await?;
        }
        Ok(Outcome::Kept)
    }

    async fn change(
        &self,
        connection: &mut SqliteConnection,
        run: &RunId,
        change: &Change,
    ) -> Result<(), StoreError> {
        let (operation, subject, found) = match change {
            Change::Create(_) => ("create a second time the run", run.as_str(), Ok(false)),
            Change::Start { at } => ("start the run", run.as_str(), runs::start(connection, run, *at).await),
            Change::Finish { at, conclusion, reason } => (
                "finish the run",
                run.as_str(),
                runs::finish(connection, run, *at, *conclusion, reason.as_deref()).await,
            ),
            Change::Enqueue { job, labels, at } => {
                ("queue the job", job.as_str(), queue::enqueue(connection, run, job, labels, *at).await)
            }
            Change::Dequeue { job } => {
                ("take from the queue the job", job.as_str(), queue::dequeue(connection, run, job).await)
            }
            Change::Claim { job, lease, runner, expires } => (
                "claim the job",
                job.as_str(),
                queue::claim(connection, run, job, lease, runner, *expires).await,
            ),
            Change::Taken { lease, taken, expires } => (
                "count reports of the lease",
                lease.as_str(),
                queue::taken(connection, run, lease, *taken, *expires).await,
            ),
            Change::Release { lease } => {
                ("end the lease", lease.as_str(), queue::release(connection, run, lease).await)
            }
            Change::Keep(row) => {
                ("keep the checkpoint", row.id.as_str(), checkpoints::insert(connection, run, row).await)
            }
            Change::Drop { checkpoint } => {
                let dropped = checkpoints::delete(connection, checkpoint).await;
                ("drop the checkpoint", checkpoint.as_str(), dropped.map(|()| true))
            }
        };
        match found {
            Ok(true) => Ok(()),
            Ok(false) => Err(StoreError::Missing { operation, subject: subject.to_owned() }),
            Err(source) => Err(self.failed(operation, source)),
        }
    }
}
