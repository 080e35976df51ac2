//! Errors of the records.

use crate::storage::Unready;

/// Why the records could not be read or changed. Nothing was changed, except that the change may have been committed if
/// the database was not available.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no space for another record.
    #[error("the disk with the records is full: {0}")]
    Full(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database can't be reached, is stopping, or doesn't respond. Repeating the call later may succeed.
    #[error("the database is not available: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Anything else. The cause is for the log, not for the client.
    #[error("the database failed: {0}")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<Error> for Unready {
    fn from(error: Error) -> Self {
        match error {
            Error::Unavailable(source) => Self::Unreachable(source),
            error => Self::Failed { what: "records", source: Box::new(error) },
        }
    }
}
