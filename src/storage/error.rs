//! Why a store of bytes fails.

use std::io::{self, ErrorKind};

/// Why bytes could not be read, written or deleted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The blob doesn't exist.
    #[error("the bytes are missing")]
    NotFound,
    /// The blob is shorter than requested.
    #[error("some of the bytes are missing")]
    Short,
    /// The store has no room left.
    #[error("the storage is full: {0}")]
    Full(#[source] io::Error),
    /// Any other failure. For the log, not for clients.
    #[error("the storage failed: {0}")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// A failure described by its message alone.
    pub fn other(failure: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Failed(failure.into())
    }

    /// Whether recorded bytes are missing.
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

/// For readers that only know [`io::Error`]. A conversion there and back preserves the kind.
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
