//! Error replies of the form dialect: the status, code, field and message of every refused upload.
//!
//! Errors that are the same in every dialect are in [`crate::http::error`].

use std::ops::Range;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::Value;

use super::fields::FieldError;
use crate::http::error::ApiError;
use crate::http::multipart::MultipartError;
use crate::http::refusal::{common, too_large};
use crate::part::{PartIndex, PlacementError, StatementSource};
use crate::storage::BodyError;
use crate::uploads::Refusal;
use crate::words::{self, bytes, counted};

/// A refused request, ready to be sent.
#[derive(Debug)]
pub struct FormError(ApiError);

impl IntoResponse for FormError {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

impl From<ApiError> for FormError {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl From<BodyError> for FormError {
    fn from(error: BodyError) -> Self {
        Self(error.into())
    }
}

impl From<MultipartError<BodyError>> for FormError {
    fn from(error: MultipartError<BodyError>) -> Self {
        match error {
            MultipartError::Body(error) => error.into(),
            MultipartError::Parse(error) => BodyError::Malformed(error.to_string()).into(),
        }
    }
}

impl From<FieldError> for FormError {
    fn from(error: FieldError) -> Self {
        Self(ApiError::bad_field(error.field, error.code, error.message))
    }
}

impl From<Refusal> for FormError {
    fn from(refusal: Refusal) -> Self {
        Self(common(refusal).unwrap_or_else(refused))
    }
}

/// The status of a refusal, what was wrong, and what the client should do.
#[allow(clippy::too_many_lines, reason = "a table, one row per refusal")]
fn refused(refusal: Refusal) -> ApiError {
    use StatusCode as Is;
    let of = |status, code, message: String| ApiError::new(status, code, message);
    let bad = |field, code, message: String| ApiError::bad_field(field, code, message);
    match refusal {
        Refusal::Placement(error) => misplaced(&error),
        Refusal::UuidMissing { index } => bad(
            "uuid",
            "required",
            format!(
                "uuid is missing: chunk {index} must carry the file_uuid from the reply to chunk 0"
            ),
        ),
        Refusal::Expired => of(
            Is::GONE,
            "expired",
            "this upload expired before it was finished: start again at chunk 0".into(),
        )
        .reset(),
        Refusal::ChunkConflict { index } => of(
            Is::CONFLICT,
            "chunk_conflict",
            format!("chunk {index} is already stored, with different bytes"),
        )
        .never(),
        Refusal::UploadFinished { index } => of(
            Is::CONFLICT,
            "upload_finished",
            format!("this upload is finished, and chunk {index} was not part of it"),
        )
        .never(),
        Refusal::FileConflict => of(
            Is::CONFLICT,
            "file_conflict",
            "this uuid already belongs to a file with different bytes".into(),
        )
        .never(),
        Refusal::TooManyParts { sent, max } => bad(
            "totalparts",
            "too_many_parts",
            format!(
                "totalparts is {sent}, but a file may have at most {}: use larger ones",
                counted(max, "chunk")
            ),
        ),
        Refusal::ChunkTooLarge { max } => too_large(
            "chunk_too_large",
            format!("the chunk is larger than the limit of {}: use smaller chunks", bytes(max)),
        ),
        Refusal::LongerThanDeclared { declared } => bad(
            "chunksize",
            "size_mismatch",
            format!("the chunk has more than the {} that its request declares", bytes(declared)),
        ),
        Refusal::MissingParts { ranges } => of(
            Is::BAD_REQUEST,
            "chunks_missing",
            format!("chunks are missing: {}", words::ranges(&ranges)),
        )
        .reset()
        .with("missing", missing(&ranges)),
        Refusal::NotContiguous { index, start, expected } => of(
            Is::BAD_REQUEST,
            "parts_not_contiguous",
            format!(
                "the chunks don't lie end to end: chunk {index} begins at byte {start}, but the ones \
                 before it end at byte {expected}"
            ),
        ),
        Refusal::TotalSizeMismatch { declared, actual } => bad(
            "totalfilesize",
            "size_mismatch",
            format!("totalfilesize is {declared}, but the chunks have {} in all", bytes(actual)),
        ),
        Refusal::Md5Mismatch { declared, actual } => bad(
            "md5",
            "md5_mismatch",
            format!("md5 is {declared}, but the received bytes have {actual}"),
        ),
        Refusal::Verifying => of(
            Is::SERVICE_UNAVAILABLE,
            "verifying",
            "the file is still being verified: repeat this request in a few seconds".into(),
        )
        .retry_after(2),
        Refusal::NotDurable => of(
            Is::SERVICE_UNAVAILABLE,
            "not_durable",
            "the server's disk lost what was received: start again at chunk 0".into(),
        )
        .reset()
        .retry_after(1),
        Refusal::NotAnImage { found } => of(
            Is::UNSUPPORTED_MEDIA_TYPE,
            "not_an_image",
            format!("a thumbnail must be an image, but these bytes are {found}"),
        )
        .field("file")
        .never(),
        Refusal::NoParent => {
            of(Is::NOT_FOUND, "not_found", "you have no file or upload with this parentuuid".into())
                .field("parentuuid")
                .never()
        }
        Refusal::SentInOrder => of(
            Is::CONFLICT,
            "sent_in_order",
            "this upload is sent in order, by tus: it takes no chunks".into(),
        )
        .never(),
        Refusal::Partial => of(
            Is::CONFLICT,
            "partial_upload",
            "this upload is a piece of another one, and becomes no file of its own".into(),
        )
        .never(),
        Refusal::Incomplete { received, total } => of(
            Is::BAD_REQUEST,
            "bytes_missing",
            match total {
                Some(total) => format!("{received} of {} were received", bytes(total)),
                None => format!(
                    "{} were received, and the size of the file is not known yet",
                    bytes(received)
                ),
            },
        ),
        // Of requests that this dialect doesn't have, or the same in every dialect.
        other => ApiError::internal(&other),
    }
}

/// Explains why a chunk can't be placed where its request says.
fn misplaced(error: &PlacementError) -> ApiError {
    let (field, code, message) = placed(error);
    let answer = ApiError::new(StatusCode::BAD_REQUEST, code, message).field(field);
    match error {
        PlacementError::Uneven { .. } => answer.reset(),
        PlacementError::OffsetUnknown { .. } => answer, // once other chunks have arrived, this one may be placed
        _ => answer.never(),
    }
}

/// Returns the field, code and message.
fn placed(error: &PlacementError) -> (&'static str, &'static str, String) {
    match error {
        PlacementError::TotalPartsMissing => (
            "totalparts",
            "required",
            "totalparts is missing: send the number of chunks of the file".into(),
        ),
        PlacementError::IndexOutOfRange { index, total } => (
            "partindex",
            "out_of_range",
            format!(
                "partindex {index} is out of range: with totalparts {total} it goes from 0 to {}",
                total.saturating_sub(1)
            ),
        ),
        PlacementError::TotalPartsChanged { sent, recorded } => (
            "totalparts",
            "changed",
            format!("totalparts is {sent} here, but this upload was begun with {recorded}"),
        ),
        PlacementError::TotalSizeChanged { stated, sent, recorded } => {
            let said_by = said_by("totalfilesize", *stated);
            let message = format!(
                "{said_by} says the file has {}, but an earlier request said {recorded}",
                bytes(*sent)
            );
            ("totalfilesize", "changed", message)
        }
        PlacementError::OffsetMismatch { range_start, offset } => (
            "partbyteoffset",
            "offset_mismatch",
            format!("Content-Range begins at byte {range_start}, but partbyteoffset is {offset}"),
        ),
        PlacementError::SizeMismatch { stated, declared, actual } => {
            let said_by = said_by("chunksize", *stated);
            let message =
                format!("{said_by} says {}, but the chunk has {actual}", bytes(*declared));
            ("chunksize", "size_mismatch", message)
        }
        PlacementError::OffsetUnknown { index, total_size_would_help } => {
            let more =
                if *total_size_would_help { ", or totalfilesize with the last chunk" } else { "" };
            let message = format!(
                "can't tell where chunk {index} goes: send partbyteoffset, or a Content-Range header{more}"
            );
            ("partbyteoffset", "offset_unknown", message)
        }
        PlacementError::Uneven { index, size, even } => (
            "chunksize",
            "uneven_chunk",
            format!(
                "chunk {index} has {}, but this upload is cut evenly into chunks of {even}: start again, \
                 with chunks of one size",
                bytes(*size)
            ),
        ),
        PlacementError::Overlap { index, range, other } => (
            "partbyteoffset",
            "overlap",
            format!("chunk {index} {}, which overlaps chunk {other}", bytes_in_words(range)),
        ),
        PlacementError::OutOfOrder { index, range, other } => (
            "partbyteoffset",
            "out_of_order",
            format!(
                "chunk {index} {}, but must come {} chunk {other}: chunks lie in the order of their indexes",
                bytes_in_words(range),
                if other < index { "after" } else { "before" }
            ),
        ),
        PlacementError::BeyondTotal { index, end, total } => (
            "totalfilesize",
            "beyond_total",
            format!("chunk {index} ends at byte {end}, past the file's total of {total}"),
        ),
        PlacementError::Empty { index } => (
            "file",
            "empty_chunk",
            format!("chunk {index} is empty: only a file of 0 bytes in 1 chunk may be"),
        ),
    }
}

/// Where a value was given: in the field or in the header.
fn said_by(field: &'static str, stated: StatementSource) -> &'static str {
    match stated {
        StatementSource::Field => field,
        StatementSource::Range => "Content-Range",
    }
}

/// Describes a range of bytes, or only its beginning if its size isn't known yet.
fn bytes_in_words(range: &Range<u64>) -> String {
    if range.is_empty() {
        format!("begins at byte {}", range.start)
    } else {
        format!("covers bytes {} to {}", range.start, range.end - 1)
    }
}

/// Lists indexes one by one, `[3, 4, 7]`, or as closed ranges, `[[3, 900]]`, if there are many.
fn missing(ranges: &[(PartIndex, PartIndex)]) -> Value {
    const ONE_BY_ONE: u64 = 100;
    let count: u64 = ranges.iter().map(|(first, last)| u64::from(last - first) + 1).sum();
    if count > ONE_BY_ONE {
        return ranges.iter().map(|(first, last)| Value::from(vec![*first, *last])).collect();
    }
    ranges.iter().flat_map(|(first, last)| *first..=*last).collect()
}

#[cfg(test)]
mod tests;
