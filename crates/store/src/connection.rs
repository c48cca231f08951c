//! The connections to the database: one that writes and, from the first reading on, one that reads.
//!
//! A connection whose operation failed, or was given up half way, is closed and replaced: SQLite rolls back what it
//! had begun, and nothing of it is carried over to the next operation.

use std::fs::{DirBuilder, OpenOptions};
use std::future::Future;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, SqliteConnection};
use tokio::sync::Mutex;

use crate::error::StoreError;
use crate::migration;

/// How long SQLite waits for another process before one attempt fails.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How often an operation is tried while other processes hold the database.
const BUSY_ATTEMPTS: u32 = 6;
/// How long to wait between two attempts: some locks are not waited for by SQLite itself.
const BUSY_PAUSE: Duration = Duration::from_millis(20);
/// Rows of one query that wait in memory for the reader: rows of logs are large.
const ROW_BUFFER: usize = 2;
/// The write-ahead log is moved into the database when it has this many pages. The next opening after a process ended
/// reads all that is left of it, about a millisecond for 500 pages; each move waits for the disk.
const CHECKPOINT_PAGES: &str = "1000";
/// The write-ahead log's file shrinks to this many bytes after a long one.
const JOURNAL_SIZE_LIMIT: &str = "16777216";

/// A database of runs. Clones share the connections.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    options: SqliteConnectOptions,
    writer: Mutex<Option<SqliteConnection>>,
    reader: Mutex<Option<SqliteConnection>>,
}

/// What an operation gives back: the connection that it was given, fit for the next operation, and its value.
pub(crate) type Done<T> = Result<(SqliteConnection, T), StoreError>;

/// Which connection an operation takes.
#[derive(Clone, Copy, Debug)]
enum Side {
    Writer,
    Reader,
}

impl Store {
    /// Opens the database at `path`. Makes its folder, the file and its tables where they are missing, readable for
    /// the user alone, and brings an older database to the present version.
    ///
    /// # Errors
    /// When the folder or the file cannot be made, opened or written, when `path` is something else than a file, and
    /// when the file is damaged, is no database of firedog or one of a newer version.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        create_file(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .busy_timeout(BUSY_TIMEOUT)
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true)
            .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
            .pragma("journal_size_limit", JOURNAL_SIZE_LIMIT)
            .row_buffer_size(ROW_BUFFER)
            .thread_name(|_| "store".to_owned())
            .disable_statement_logging();
        let inner =
            Inner { path: path.to_owned(), options, writer: Mutex::new(None), reader: Mutex::new(None) };
        let store = Self { inner: Arc::new(inner) };
        let found = store.write("open the database", |connection| store.prepare(connection)).await?;
        if found > migration::NEWEST {
            let path = path.to_owned();
            return Err(StoreError::Newer { path, found, known: migration::NEWEST });
        }
        Ok(store)
    }

    /// Leaves the connections open until the process ends. What is written is kept all the same; but the end does not
    /// move the write-ahead log into the database, which waits for the disk. The next opening reads what is left of it.
    pub fn leave_open(&self) {
        std::mem::forget(self.clone());
    }

    /// The database's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Brings a new or older database to the present version. Returns the version that it has then.
    async fn prepare(&self, mut connection: SqliteConnection) -> Done<i64> {
        let failed = |source| self.failed("open the database", source);
        let found = migration::version(&mut connection).await.map_err(failed)?;
        if found >= migration::NEWEST {
            return Ok((connection, found));
        }
        if found == 0 {
            sqlx::raw_sql("PRAGMA journal_mode = WAL").execute(&mut connection).await.map_err(failed)?;
        }
        let version = migration::migrate(&mut connection).await.map_err(failed)?;
        Ok((connection, version))
    }

    /// Does `operation` on the writing connection, again while other processes hold the database.
    pub(crate) async fn write<T, F: Future<Output = Done<T>>>(
        &self,
        name: &'static str,
        operation: impl FnMut(SqliteConnection) -> F,
    ) -> Result<T, StoreError> {
        self.attempt(Side::Writer, name, operation).await
    }

    /// Does `operation` on the reading connection, again while other processes hold the database.
    pub(crate) async fn read<T, F: Future<Output = Done<T>>>(
        &self,
        name: &'static str,
        operation: impl FnMut(SqliteConnection) -> F,
    ) -> Result<T, StoreError> {
        self.attempt(Side::Reader, name, operation).await
    }

    async fn attempt<T, F: Future<Output = Done<T>>>(
        &self,
        side: Side,
        name: &'static str,
        mut operation: impl FnMut(SqliteConnection) -> F,
    ) -> Result<T, StoreError> {
        let mut slot = match side {
            Side::Writer => self.inner.writer.lock().await,
            Side::Reader => self.inner.reader.lock().await,
        };
        let mut attempt = 1;
        loop {
            // Taken out of its place, so that it is closed if the operation fails or its caller goes away.
            let connected = match slot.take() {
                Some(connection) => Ok(connection),
                None => self.connect(name).await,
            };
            let done = match connected {
                Ok(connection) => operation(connection).await,
                Err(error) => Err(error),
            };
            let error = match done {
                Ok((connection, value)) => {
                    *slot = Some(connection);
                    return Ok(value);
                }
                Err(error) => error,
            };
            if !error.is_busy() || attempt == BUSY_ATTEMPTS {
                return Err(error);
            }
            attempt += 1;
            tokio::time::sleep(BUSY_PAUSE).await;
        }
    }

    async fn connect(&self, operation: &'static str) -> Result<SqliteConnection, StoreError> {
        self.inner.options.connect().await.map_err(|source| self.failed(operation, source))
    }

    /// The error for what SQLite says of `operation`.
    pub(crate) fn failed(&self, operation: &'static str, source: sqlx::Error) -> StoreError {
        StoreError::of(operation, &self.inner.path, source)
    }
}

/// Makes the folder and an empty file that only the user may read. An existing file is left alone: to open and close
/// it here would take away the locks that other connections of this process hold on it.
fn create_file(path: &Path) -> Result<(), StoreError> {
    match path.metadata() {
        Ok(metadata) if metadata.is_file() => return Ok(()),
        Ok(_) => return Err(StoreError::NotAFile { path: path.to_owned() }),
        Err(error) if error.kind() == ErrorKind::NotFound => (),
        Err(source) => return Err(StoreError::Open { path: path.to_owned(), source }),
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|source| StoreError::Folder { path: folder.to_owned(), source })?;
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(source) if source.kind() != ErrorKind::AlreadyExists => {
            Err(StoreError::Open { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}
