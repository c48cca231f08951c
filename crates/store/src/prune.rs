//! What is forgotten.

use sqlx::Connection;

use crate::connection::Store;
use crate::error::StoreError;

impl Store {
    /// Forgets the runs that have ended, but for the newest `keep` of all runs, with their events and logs. Each in its
    /// own transaction, so that others are not kept waiting. The file keeps its size; the room is used again.
    /// Returns how many were forgotten.
    ///
    /// # Errors
    /// When the database cannot be written: what was forgotten before stays so.
    pub async fn prune(&self, keep: u32) -> Result<u64, StoreError> {
        let mut forgotten = 0;
        while self.prune_one(keep).await? {
            forgotten += 1;
        }
        Ok(forgotten)
    }

    async fn prune_one(&self, keep: u32) -> Result<bool, StoreError> {
        let query = "DELETE FROM runs WHERE id = (SELECT id FROM runs WHERE status = 'completed' AND id NOT IN \
                     (SELECT id FROM runs ORDER BY id DESC LIMIT $1) ORDER BY id LIMIT 1)";
        self.write("forget runs", |mut connection| async move {
            let failed = |source| self.failed("forget runs", source);
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
            let done = sqlx::query(query).bind(keep).execute(&mut *transaction).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)?;
            Ok((connection, done.rows_affected() == 1))
        })
        .await
    }
}
