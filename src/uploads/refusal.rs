//! Why a request is refused, as data: what, which limit, which index. Each dialect words it and gives it a status.

use std::fmt;

use super::Algorithm;
use crate::ids::UploadId;
use crate::metadata::{self, quota::OverQuota};
use crate::part::{PartIndex, PlacementError};
use crate::storage::{self, BodyError, SettleError, WriteError};

/// Why a request is refused.
#[derive(Debug)]
#[allow(missing_docs)] // the fields say it
pub enum Refusal {
    Placement(PlacementError),
    Body(BodyError),
    /// Only the first part may begin an upload that has no uuid yet.
    UuidMissing {
        index: PartIndex,
    },
    NotFound,
    /// Cancelled or deleted; the uuid is used up.
    Removed,
    /// The upload begins anew.
    Expired,
    /// The part is stored, with other bytes.
    ChunkConflict {
        index: PartIndex,
    },
    /// The upload is finished, without this part.
    UploadFinished {
        index: PartIndex,
    },
    /// The uuid names a File of other bytes.
    FileConflict,
    /// Another request came between: the same one again may succeed.
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
    /// Too large, by how much isn't known.
    FileTooLong {
        max: u64,
    },
    ChunkTooLarge {
        max: u64,
    },
    LongerThanDeclared {
        declared: u64,
    },
    /// Closed ranges of indexes.
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
    /// In hexadecimal digits.
    Md5Mismatch {
        declared: String,
        actual: String,
    },
    /// The bytes of a request have another checksum than it says.
    ChecksumMismatch {
        algorithm: Algorithm,
    },
    /// Bytes were sent for another place than the end of the upload.
    OffsetMismatch {
        sent: u64,
        end: u64,
    },
    /// More bytes than the file has.
    BeyondTotal {
        total: u64,
    },
    /// The file's size is known already.
    TotalChanged {
        sent: u64,
        recorded: u64,
    },
    /// Not all bytes of an upload are there that come in order.
    Incomplete {
        received: u64,
        total: Option<u64>,
    },
    /// The bytes of this upload come in order: it takes no parts with indexes.
    SentInOrder,
    /// The parts of this upload have indexes: it takes no bytes at its end.
    SentInChunks,
    /// This upload is a piece of one to come, and no file of its own.
    Partial,
    /// This upload was joined from others, and takes no bytes.
    Joined,
    /// This upload is no piece of one to come, or was joined into another one.
    NotAPiece {
        id: UploadId,
    },
    /// Not all bytes of this piece are there.
    PieceIncomplete {
        id: UploadId,
    },
    /// Somebody is still writing.
    Busy,
    /// Not done yet: asking again later tells.
    Verifying,
    /// The disk failed to keep the bytes: the upload begins anew.
    NotDurable,
    /// What was sent as a thumbnail is of this type.
    NotAnImage {
        found: String,
    },
    /// The media that it is to belong to isn't there.
    NoParent,
    /// A message shows the File.
    Attached,
    /// A limit of this user's.
    OverQuota(OverQuota),
    StorageFull(NoRoom),
    Internal(Box<dyn std::error::Error + Send + Sync>),
}

/// Why the store takes no more.
#[derive(Debug, thiserror::Error)]
pub enum NoRoom {
    /// The limit for all users together.
    #[error("the limit for all users together (--max-storage) is reached")]
    MaxStorage,
    /// Some of the disk must stay free.
    #[error("no more is free than must stay free (--min-free-space)")]
    MinFree,
    /// The disk takes no more.
    #[error(transparent)]
    Disk(Box<dyn std::error::Error + Send + Sync>),
}

/// For logs and operators; clients are told by their dialect.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Internal(_) => "something failed inside the server",
            Self::StorageFull(_) => "the server's storage is full",
            Self::NotFound => "there is no such upload or file",
            Self::Removed => "the upload or file was removed",
            Self::Expired => "the upload expired",
            Self::Raced => "another request changed the upload meanwhile",
            Self::Verifying => "the file is still being verified",
            Self::NotDurable => "the disk failed to keep the bytes; the upload begins again",
            Self::Attached => "a message shows the file",
            Self::MissingParts { .. } | Self::NotContiguous { .. } | Self::Incomplete { .. } => {
                "bytes are missing"
            }
            Self::TotalSizeMismatch { .. }
            | Self::Md5Mismatch { .. }
            | Self::ChecksumMismatch { .. } => "the bytes are not those that were declared",
            _ => "a request was refused",
        })
    }
}

impl std::error::Error for Refusal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Internal(source) => Some(source.as_ref()),
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
    /// Of a failed write; `too_long` says what more bytes than allowed mean here.
    pub(super) fn of_write(error: WriteError, too_long: impl FnOnce(u64) -> Self) -> Self {
        match error {
            WriteError::BrokenOff { error, .. } => Self::Body(error),
            WriteError::TooLong { limit } => too_long(limit),
            WriteError::Store(error) => error.into(),
        }
    }
}
