//! Why a store of bytes fails.

use std::io::{self, ErrorKind};

/// Why bytes could not be read, written or deleted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such blob.
    #[error("the bytes are not there")]
    NotFound,
    /// The blob is shorter than what was asked of it.
    #[error("some of the bytes are not there")]
    Short,
    /// The store has no room for more.
    #[error("the storage is full: {0}")]
    Full(#[source] io::Error),
    /// Anything else; for the log, not for the client.
    #[error("the storage failed: {0}")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// A failure that only its message tells apart.
    pub fn other(failure: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Failed(failure.into())
    }

    /// Whether bytes on record are not there to be read.
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::NotFound | Self::Short)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::UnexpectedEof => Self::Short,
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full(error),
            _ => Self::Failed(Box::new(error)),
        }
    }
}

/// For readers of bytes that know [`io::Error`] alone. Going there and back keeps the kind.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound => ErrorKind::NotFound.into(),
            Error::Short => ErrorKind::UnexpectedEof.into(),
            Error::Full(source) => source,
            Error::Failed(source) => Self::other(source),
        }
    }
}
