//! Why a step with the records fails.

use crate::storage::Unready;

/// Why the records could not be read or changed. Nothing was changed; only where the database was not available, the
/// change may have been made all the same.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No room for another record.
    #[error("the disk with the records is full: {0}")]
    Full(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database can't be reached, is stopping or hangs. The same may work a little later.
    #[error("the database is not available: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Anything else; for the log, not for the client.
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
