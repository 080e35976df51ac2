//! Connections to the database, and the meaning of their errors.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::metadata::Error;

/// How long a connection waits for a lock that another one holds.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// What a connection may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Full,
    ReadOnly,
}

pub(super) fn connect(path: &Path, access: Access) -> Result<Connection, Error> {
    let connection = match access {
        Access::Full => Connection::open(path),
        Access::ReadOnly => {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            Connection::open_with_flags(path, flags)
        }
    }
    .map_err(sqlite)?;
    if access == Access::Full {
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL;
                 PRAGMA synchronous = NORMAL;
                 PRAGMA secure_delete = ON;
                 PRAGMA wal_autocheckpoint = 0;",
            )
            .map_err(sqlite)?;
    }
    connection.execute_batch("PRAGMA temp_store = MEMORY;").map_err(sqlite)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(sqlite)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

pub(super) fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Failed(Box::new(error))
}

pub(super) fn sqlite(error: rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => Error::Full(Box::new(error)),
        _ if is_busy(&error) => {
            let message = format!(
                "another program has locked the database (a backup? an sqlite3 shell?): {error}"
            );
            Error::Failed(message.into())
        }
        _ => failed(error),
    }
}

/// Whether another program has locked the database.
pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy)
}

/// Returns the path of SQLite's write-ahead log of the database at `path`.
pub(super) fn log_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}
