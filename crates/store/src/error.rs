//! Why the store did not do what it was asked for.

use std::io;
use std::path::{Path, PathBuf};

/// An operation of the store that failed. Nothing of it was kept.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder for the database cannot be made or entered.
    #[error("cannot create the folder `{path}` for the database")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The database file cannot be made or opened.
    #[error("cannot open the database `{path}`")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Something else than a file is where the database should be.
    #[error("cannot open the database `{path}`: it is not a file")]
    NotAFile {
        /// What is there.
        path: PathBuf,
    },
    /// The file is no database, or a damaged one.
    #[error("cannot {operation} in `{path}`: the file is damaged or is not a database of firedog")]
    Corrupt {
        /// What was being done.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// What SQLite or a decoder says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A newer firedog wrote the database.
    #[error(
        "cannot open the database `{path}`: it has version {found}, this firedog knows versions up to {known}; \
         use a newer firedog or another state folder"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version that the database has.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// The file, or its folder, where SQLite needs two files more, may not be written.
    #[error("cannot {operation} in `{path}`: it or its folder may not be written")]
    ReadOnly {
        /// What was being done.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        source: sqlx::Error,
    },
    /// There is no room for the change.
    #[error("cannot {operation} in `{path}`: the disk is full")]
    Full {
        /// What was being done.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        source: sqlx::Error,
    },
    /// Other processes held the database for all of the time that is allowed for waiting.
    #[error("cannot {operation} in `{path}`: other processes keep it locked")]
    Busy {
        /// What was being done.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        source: sqlx::Error,
    },
    /// A job was claimed that does not wait, or a lease was changed that nobody holds.
    #[error("cannot {operation} `{subject}`: there is no such entry")]
    Missing {
        /// What was being done.
        operation: &'static str,
        /// The job or lease.
        subject: String,
    },
    /// A job is queued, leased or a run made a second time.
    #[error("cannot {operation} in `{path}`: there is one already")]
    Twice {
        /// What was being done.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        source: sqlx::Error,
    },
    /// The tables lack a column, or want one, that this program does not know.
    #[error(
        "cannot {operation} in `{path}`: its tables are not those of this firedog; use another state folder, or move \
         the file away"
    )]
    Tables {
        /// What was being done.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        source: sqlx::Error,
    },
    /// An event cannot be written as JSON.
    #[error("cannot encode event {sequence} of run `{run}`")]
    Encode {
        /// The run.
        run: String,
        /// The event's place.
        sequence: u64,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// The file system failed.
    #[error("cannot {operation} in `{path}`")]
    Failed {
        /// What was being done.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        source: sqlx::Error,
    },
}

/// Result codes of SQLite, <https://www.sqlite.org/rescode.html>: primary ones, and two that tell constraints apart.
mod code {
    pub(super) const ERROR: i32 = 1;
    pub(super) const BUSY: i32 = 5;
    pub(super) const LOCKED: i32 = 6;
    pub(super) const READONLY: i32 = 8;
    pub(super) const CORRUPT: i32 = 11;
    pub(super) const FULL: i32 = 13;
    pub(super) const CANTOPEN: i32 = 14;
    pub(super) const NOT_A_DATABASE: i32 = 26;
    pub(super) const PRIMARY_KEY: i32 = 1555;
    pub(super) const UNIQUE: i32 = 2067;
    pub(super) const NOT_NULL: i32 = 1299;
}

impl StoreError {
    /// The error for what SQLite says of `operation`.
    pub(crate) fn of(operation: &'static str, path: &Path, source: sqlx::Error) -> Self {
        let path = path.to_owned();
        let code = extended_code(&source);
        match code.map(|code| code & 0xff) {
            Some(code::BUSY | code::LOCKED) => Self::Busy { operation, path, source },
            Some(code::READONLY | code::CANTOPEN) => Self::ReadOnly { operation, path, source },
            Some(code::FULL) => Self::Full { operation, path, source },
            _ if matches!(code, Some(code::PRIMARY_KEY | code::UNIQUE)) => {
                Self::Twice { operation, path, source }
            }
            _ if code == Some(code::NOT_NULL) => Self::Tables { operation, path, source },
            Some(code::ERROR) if is_about_tables(&source) => Self::Tables { operation, path, source },
            Some(code::CORRUPT | code::NOT_A_DATABASE) => {
                Self::Corrupt { operation, path, source: Box::new(source) }
            }
            _ if is_decoding(&source) => Self::Corrupt { operation, path, source: Box::new(source) },
            _ => Self::Failed { operation, path, source },
        }
    }

    /// Whether the same operation may succeed when it is tried again.
    pub(crate) fn is_busy(&self) -> bool {
        matches!(self, Self::Busy { .. })
    }
}

/// SQLite's extended code, whose low byte is the primary one.
fn extended_code(error: &sqlx::Error) -> Option<i32> {
    let sqlx::Error::Database(database) = error else { return None };
    database.code()?.parse().ok()
}

/// SQLite has no code of its own for a statement that names what is not there.
fn is_about_tables(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(database) = error else { return false };
    ["no such table", "no such column", "no column named"]
        .iter()
        .any(|words| database.message().contains(words))
}

fn is_decoding(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. })
}
