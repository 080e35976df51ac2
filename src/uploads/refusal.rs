//! Why a request is refused, in the words of the business. [`crate::http::error`] gives each its status.

use crate::metadata::{self, quota::OverQuota};
use crate::part::{PartIndex, PlacementError, describe_ranges};
use crate::storage::{BodyError, SealError, WriteError};

/// Why a request is refused. The messages are for the client, but for `Internal`.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // each message says it
pub enum Refusal {
    #[error(transparent)]
    Placement(#[from] PlacementError),
    #[error(transparent)]
    Body(BodyError),
    #[error(
        "uuid is missing: chunk {index} must carry the file_uuid that chunk 0 was answered with"
    )]
    UuidMissing { index: PartIndex },
    #[error("there is no such upload or file")]
    NotFound,
    #[error("this upload was cancelled or this file was deleted; its uuid can't be used again")]
    Removed,
    #[error("this upload expired before it was finished: start again at chunk 0")]
    Expired,
    #[error("chunk {index} is stored already, with other bytes than these")]
    ChunkConflict { index: PartIndex },
    #[error("this upload is finished; chunk {index} is not one that it received")]
    UploadFinished { index: PartIndex },
    #[error("this uuid already names another file: its bytes are not the ones sent now")]
    FileConflict,
    #[error("another request changed this upload meanwhile: send the chunk again")]
    Raced,
    #[error(
        "you have {max} unfinished uploads, all of them less than an hour idle; the limit is {max}: \
         finish or cancel one first"
    )]
    TooManyUnfinished { max: u32 },
    #[error("totalparts is {sent}, but a file may have at most {max} chunks: use larger ones")]
    TooManyParts { sent: u64, max: u32 },
    #[error("the file has {size} bytes, but the limit is {max} bytes")]
    FileTooLarge { size: u64, max: u64 },
    #[error("the file is larger than the limit of {max} bytes")]
    FileTooLong { max: u64 },
    #[error("the chunk is larger than the limit of {max} bytes: use smaller chunks")]
    ChunkTooLarge { max: u64 },
    #[error("the chunk has more bytes than the {declared} that its request announces")]
    LongerThanDeclared { declared: u64 },
    #[error("chunks are missing: {}", describe_ranges(.ranges))]
    MissingParts { ranges: Vec<(PartIndex, PartIndex)> },
    #[error(
        "the chunks don't lie end to end: chunk {index} begins at byte {start}, but the ones before \
         it end at byte {expected}"
    )]
    NotContiguous { index: PartIndex, start: u64, expected: u64 },
    #[error("totalfilesize is {declared}, but {actual} bytes were received")]
    TotalSizeMismatch { declared: u64, actual: u64 },
    #[error("md5 is {declared}, but that of the received bytes is {actual}")]
    Md5Mismatch { declared: String, actual: String },
    #[error("the file is still being verified: ask again in a few seconds")]
    Verifying,
    #[error("the disk failed to keep what was received: start again at chunk 0")]
    NotDurable,
    #[error("a thumbnail must be an image, but these bytes are {found}")]
    NotAnImage { found: String },
    #[error("parentuuid names no file or upload of yours")]
    NoParent,
    #[error("a message shows this file: it can't be changed or deleted any more")]
    Attached,
    #[error(transparent)]
    OverQuota(OverQuota),
    #[error("the server's storage is full")]
    StorageFull,
    #[error("something failed inside the server")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<metadata::Error> for Refusal {
    fn from(error: metadata::Error) -> Self {
        match error {
            metadata::Error::Full => Self::StorageFull,
            metadata::Error::Failed(source) => Self::Internal(source),
        }
    }
}

impl From<OverQuota> for Refusal {
    fn from(over: OverQuota) -> Self {
        match over {
            OverQuota::Storage => Self::StorageFull,
            of_user => Self::OverQuota(of_user),
        }
    }
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        match error.kind() {
            StorageFull | QuotaExceeded => Self::StorageFull,
            _ => Self::Internal(Box::new(error)),
        }
    }
}

impl From<SealError> for Refusal {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Lost(error) | SealError::Failed(error) => error.into(),
        }
    }
}

impl Refusal {
    /// Of a failed write; `too_long` says what more bytes than allowed mean here.
    pub(super) fn of_write(error: WriteError, too_long: impl FnOnce(u64) -> Self) -> Self {
        match error {
            WriteError::Body(error) => Self::Body(error),
            WriteError::TooLong { limit } => too_long(limit),
            WriteError::Store(error) => error.into(),
        }
    }
}
