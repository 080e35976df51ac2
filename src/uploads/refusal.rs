//! Why a request is refused, as data: what, which limit, which index. Each dialect chooses the wording and the status.

use std::fmt;

use super::Algorithm;
use crate::ids::UploadId;
use crate::metadata::{self, quota::OverQuota};
use crate::part::{PartIndex, PlacementError};
use crate::storage::{self, BodyError, SettleError, WriteError};

/// Why a request is refused.
#[derive(Debug)]
#[allow(missing_docs)] // the fields explain themselves
pub enum Refusal {
    Placement(PlacementError),
    Body(BodyError),
    /// Only the first part may begin an upload that has no uuid yet.
    UuidMissing {
        index: PartIndex,
    },
    NotFound,
    /// It was cancelled or deleted, and its uuid is used up.
    Removed,
    /// The upload expired; the client must start again.
    Expired,
    /// The part is stored with different bytes.
    ChunkConflict {
        index: PartIndex,
    },
    /// The upload was finished without this part.
    UploadFinished {
        index: PartIndex,
    },
    /// The uuid belongs to a File with different bytes.
    FileConflict,
    /// Another request interfered. The same request may succeed if it is repeated.
    Raced,
    TooManyUnfinished {
        max: u32,
    },
    TooManyParts {
        sent: u64,
        max: u32,
    },
    FileTooLarge {
        size: u64,
        max: u64,
    },
    /// Too large, by an unknown amount.
    FileTooLong {
        max: u64,
    },
    ChunkTooLarge {
        max: u64,
    },
    LongerThanDeclared {
        declared: u64,
    },
    /// Inclusive ranges of part indexes.
    MissingParts {
        ranges: Vec<(PartIndex, PartIndex)>,
    },
    NotContiguous {
        index: PartIndex,
        start: u64,
        expected: u64,
    },
    TotalSizeMismatch {
        declared: u64,
        actual: u64,
    },
    /// In hexadecimal.
    Md5Mismatch {
        declared: String,
        actual: String,
    },
    /// The bytes of a request don't have the checksum that it declares.
    ChecksumMismatch {
        algorithm: Algorithm,
    },
    /// The bytes were sent for an offset other than the end of the upload.
    OffsetMismatch {
        sent: u64,
        end: u64,
    },
    /// More bytes than the file has.
    BeyondTotal {
        total: u64,
    },
    /// The file's size is known and can't be changed.
    TotalChanged {
        sent: u64,
        recorded: u64,
    },
    /// Bytes are missing of an upload whose bytes arrive in order.
    Incomplete {
        received: u64,
        total: Option<u64>,
    },
    /// The bytes of this upload arrive in order: it accepts no parts with indexes.
    SentInOrder,
    /// The parts of this upload have indexes: nothing can be appended to it.
    SentInChunks,
    /// This upload is a piece to be joined, and no file of its own.
    Partial,
    /// This upload was joined from others and accepts no bytes.
    Joined,
    /// This upload is not a piece, or was already joined into another upload.
    NotAPiece {
        id: UploadId,
    },
    /// Bytes of this piece are missing.
    PieceIncomplete {
        id: UploadId,
    },
    /// Another sender is still writing.
    Busy,
    /// Not finished yet; ask again later.
    Verifying,
    /// The disk lost bytes: the upload starts over.
    NotDurable,
    /// What was sent as a thumbnail is not an image but of this type.
    NotAnImage {
        found: String,
    },
    /// The media to which it should belong doesn't exist.
    NoParent,
    /// The File belongs to a message.
    Attached,
    /// A limit for this user.
    OverQuota(OverQuota),
    StorageFull(NoRoom),
    /// The records can't be reached; a little later they may be.
    Unavailable(Box<dyn std::error::Error + Send + Sync>),
    Internal(Box<dyn std::error::Error + Send + Sync>),
}

/// Why the store has no room.
#[derive(Debug, thiserror::Error)]
pub enum NoRoom {
    /// The limit for all users together.
    #[error("the limit for all users together (--max-storage) has been reached")]
    MaxStorage,
    /// A part of the disk must stay free.
    #[error("free disk space is down to --min-free-space")]
    MinFree,
    /// The disk is full.
    #[error(transparent)]
    Disk(Box<dyn std::error::Error + Send + Sync>),
}

/// For logs and operators. Dialects have their own wording for clients.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Internal(_) => "something failed inside the server",
            Self::Unavailable(_) => "the database is not available",
            Self::StorageFull(_) => "the server's storage is full",
            Self::NotFound => "there is no such upload or file",
            Self::Removed => "the upload or file was removed",
            Self::Expired => "the upload expired",
            Self::Raced => "another request changed the upload in the meantime",
            Self::Verifying => "the file is still being verified",
            Self::NotDurable => "the disk failed to keep the bytes; the upload starts over",
            Self::Attached => "the file is attached to a message",
            Self::MissingParts { .. } | Self::NotContiguous { .. } | Self::Incomplete { .. } => {
                "bytes are missing"
            }
            Self::TotalSizeMismatch { .. }
            | Self::Md5Mismatch { .. }
            | Self::ChecksumMismatch { .. } => "the bytes don't match what was declared",
            _ => "a request was refused",
        })
    }
}

impl std::error::Error for Refusal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Internal(source) | Self::Unavailable(source) => Some(source.as_ref()),
            Self::StorageFull(why) => Some(why),
            _ => None,
        }
    }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

impl From<PlacementError> for Refusal {
    fn from(error: PlacementError) -> Self {
        Self::Placement(error)
    }
}

impl From<metadata::Error> for Refusal {
    fn from(error: metadata::Error) -> Self {
        match error {
            full @ metadata::Error::Full(_) => Self::StorageFull(NoRoom::Disk(Box::new(full))),
            metadata::Error::Unavailable(source) => Self::Unavailable(source),
            metadata::Error::Failed(source) => Self::Internal(source),
        }
    }
}

impl From<OverQuota> for Refusal {
    fn from(over: OverQuota) -> Self {
        match over {
            OverQuota::Storage => Self::StorageFull(NoRoom::MaxStorage),
            of_user => Self::OverQuota(of_user),
        }
    }
}

impl From<storage::Error> for Refusal {
    fn from(error: storage::Error) -> Self {
        match error {
            full @ storage::Error::Full(_) => Self::StorageFull(NoRoom::Disk(Box::new(full))),
            storage::Error::Failed(source) => Self::Internal(source),
            lost => Self::Internal(Box::new(lost)),
        }
    }
}

impl From<SettleError> for Refusal {
    fn from(error: SettleError) -> Self {
        match error {
            SettleError::Lost(error) | SettleError::Failed(error) => error.into(),
        }
    }
}

impl Refusal {
    /// Converts a failed write. `too_long` maps the exceeded limit to a refusal.
    pub(super) fn of_write(error: WriteError, too_long: impl FnOnce(u64) -> Self) -> Self {
        match error {
            WriteError::BrokenOff { error, .. } => Self::Body(error),
            WriteError::TooLong { limit } => too_long(limit),
            WriteError::Store(error) => error.into(),
        }
    }
}
