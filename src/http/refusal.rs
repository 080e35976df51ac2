//! Refusals of uploads that are answered in the same way in every dialect.

use http::StatusCode;

use super::error::ApiError;
use crate::uploads::Refusal;
use crate::words::{bytes, counted};

/// Converts a refusal that doesn't depend on how a dialect sends bytes. Other refusals are returned unchanged.
pub fn common(refusal: Refusal) -> Result<ApiError, Refusal> {
    Ok(match refusal {
        Refusal::Body(error) => error.into(),
        Refusal::Internal(source) => ApiError::internal(source.as_ref()),
        Refusal::Unavailable(source) => ApiError::unavailable(source.as_ref()),
        Refusal::NotFound => ApiError::not_found(),
        Refusal::Removed => ApiError::gone(),
        Refusal::Raced => ApiError::raced(),
        Refusal::StorageFull(why) => ApiError::storage_full(&why),
        Refusal::Attached => ApiError::new(
            StatusCode::CONFLICT,
            "attached",
            "this file is attached to a message, so it can no longer be changed or deleted",
        )
        .never(),
        Refusal::TooManyUnfinished { max } => ApiError::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_unfinished_uploads",
            format!(
                "you have {}, none of which has been idle for an hour; the limit is {max}: finish or cancel \
                 one first",
                counted(max, "unfinished upload")
            ),
        )
        .retry_after(60)
        .over("unfinished_uploads"),
        Refusal::FileTooLarge { size, max } => {
            let (size, max) = (bytes(size), bytes(max));
            too_large("file_too_large", format!("the file has {size}, but the limit is {max}"))
        }
        Refusal::FileTooLong { max } => {
            let message = format!("the file is larger than the limit of {}", bytes(max));
            too_large("file_too_large", message)
        }
        Refusal::OverQuota(over) => {
            too_large("quota_exceeded", over.to_string()).over("user_quota")
        }
        // Each dialect answers these itself, in its `error.rs`. They are listed so that the compiler asks
        // where a new refusal is answered.
        own @ (Refusal::Placement(_)
            | Refusal::UuidMissing { .. }
            | Refusal::Expired
            | Refusal::ChunkConflict { .. }
            | Refusal::UploadFinished { .. }
            | Refusal::FileConflict
            | Refusal::TooManyParts { .. }
            | Refusal::ChunkTooLarge { .. }
            | Refusal::LongerThanDeclared { .. }
            | Refusal::MissingParts { .. }
            | Refusal::NotContiguous { .. }
            | Refusal::TotalSizeMismatch { .. }
            | Refusal::Md5Mismatch { .. }
            | Refusal::ChecksumMismatch { .. }
            | Refusal::OffsetMismatch { .. }
            | Refusal::BeyondTotal { .. }
            | Refusal::TotalChanged { .. }
            | Refusal::Incomplete { .. }
            | Refusal::SentInOrder
            | Refusal::SentInChunks
            | Refusal::Partial
            | Refusal::Joined
            | Refusal::NotAPiece { .. }
            | Refusal::PieceIncomplete { .. }
            | Refusal::Busy
            | Refusal::Verifying
            | Refusal::NotDurable
            | Refusal::NotAnImage { .. }
            | Refusal::NoParent) => return Err(own),
    })
}

/// The error for too many bytes.
pub fn too_large(code: &'static str, message: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, code, message).field("file").never()
}
