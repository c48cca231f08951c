//! The versions of the database's tables. Migrations only go forward and are never changed once they are released.

use sqlx::{Connection, SqliteConnection};

/// What brings a database from version `index` to `index + 1`.
const MIGRATIONS: [&str; 3] = [
    include_str!("../migrations/0001_runs.sql"),
    include_str!("../migrations/0002_machines.sql"),
    include_str!("../migrations/0003_checkpoints.sql"),
];

/// The newest version that this program knows.
pub(crate) const NEWEST: i64 = MIGRATIONS.len() as i64;

/// The version of the database, 0 when it has no tables yet.
pub(crate) async fn version(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    let found = sqlx::query_scalar("SELECT version FROM schema_version").fetch_one(&mut *connection).await;
    match found {
        Err(sqlx::Error::Database(error)) if error.message().starts_with("no such table") => Ok(0),
        found => found,
    }
}

/// Brings the database to [`NEWEST`], whoever else does so at the same time. Returns the version that it has then,
/// which is a newer one when another program was faster.
pub(crate) async fn migrate(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let found = version(&mut transaction).await?;
    if found >= NEWEST {
        return Ok(found);
    }
    if found == 0 {
        sqlx::raw_sql(
            "CREATE TABLE schema_version (version BIGINT NOT NULL); INSERT INTO schema_version VALUES (0)",
        )
        .execute(&mut *transaction)
        .await?;
    }
    let done = usize::try_from(found).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    for migration in MIGRATIONS.into_iter().skip(done) {
        sqlx::raw_sql(migration).execute(&mut *transaction).await?;
    }
    sqlx::query("UPDATE schema_version SET version = $1").bind(NEWEST).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(NEWEST)
}
