//! Error replies of the tus dialect: the statuses of tus, and the JSON body of every error (protocol, section 7).
//!
//! Errors that are the same in every dialect are in [`crate::http::error`] and [`crate::http::refusal`].

use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::StatusCode;
use http::header::CONNECTION;
use serde_json::Value;

use super::names::VERSION;
use crate::http::error::ApiError;
use crate::http::refusal::{common, too_large};
use crate::storage::BodyError;
use crate::uploads::Refusal;
use crate::words::bytes;

/// The status of a request whose bytes don't have the checksum that it declares (tus, *Checksum*).
const CHECKSUM_MISMATCH: u16 = 460;

/// A refused request, ready to be answered.
#[derive(Debug)]
pub struct TusError {
    error: ApiError,
    /// Whether to close the connection after the reply, because the rest of the body could be taken for the next
    /// request.
    closes: bool,
}

impl TusError {
    /// A wrong header. `what` continues a sentence that begins with the header's name.
    pub fn header(name: &'static str, code: &'static str, what: impl Into<String>) -> Self {
        ApiError::bad_field(name, code, format!("{name} {}", what.into())).into()
    }

    /// A header whose value has the wrong form.
    pub fn malformed(name: &'static str, right: impl Into<String>) -> Self {
        Self::header(name, "malformed", format!("must be {}", right.into()))
    }

    /// A request for another version, or without one.
    pub fn version(sent: Option<&str>) -> Self {
        let message = match sent {
            Some(_) => {
                format!("Tus-Resumable must be {VERSION}, the only version that this server speaks")
            }
            None => format!("Tus-Resumable is missing: send {VERSION}"),
        };
        let error = ApiError::new(StatusCode::PRECONDITION_FAILED, "unsupported_version", message);
        error.field("Tus-Resumable").never().into()
    }
}

impl IntoResponse for TusError {
    fn into_response(self) -> Response {
        let mut response = self.error.into_response();
        if self.closes {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

impl From<ApiError> for TusError {
    fn from(error: ApiError) -> Self {
        Self { error, closes: false }
    }
}

impl From<Refusal> for TusError {
    fn from(refusal: Refusal) -> Self {
        // The bytes received are kept, and the rest may follow. Clients continue only after a 5xx: a 408 would end the
        // upload.
        if let Refusal::Body(error @ BodyError::TooSlow(_)) = refusal {
            let unavailable = StatusCode::SERVICE_UNAVAILABLE;
            let error = ApiError::new(unavailable, "body_too_slow", error.to_string());
            return Self { error: error.retry_after(1), closes: true };
        }
        common(refusal).unwrap_or_else(refused).into()
    }
}

/// The status of a refusal, what was wrong, and what the client should do.
fn refused(refusal: Refusal) -> ApiError {
    use StatusCode as Is;
    let of = |status, code, message: String| ApiError::new(status, code, message);
    let mismatch = StatusCode::from_u16(CHECKSUM_MISMATCH).unwrap_or(Is::BAD_REQUEST);
    match refusal {
        Refusal::Expired => of(
            Is::GONE,
            "expired",
            "this upload expired before it was finished: create another one".into(),
        )
        .reset(),
        Refusal::OffsetMismatch { sent, end } => of(
            Is::CONFLICT,
            "offset_mismatch",
            format!("Upload-Offset is {sent}, but the upload has {}: ask for its offset", bytes(end)),
        )
        .field("Upload-Offset")
        .with("offset", Value::from(end)),
        Refusal::BeyondTotal { total } => too_large(
            "beyond_total",
            format!("the request extends past the end of the file, which has {}", bytes(total)),
        ),
        Refusal::TotalChanged { sent, recorded } => of(
            Is::BAD_REQUEST,
            "changed",
            format!("Upload-Length is {sent}, but an earlier request declared {recorded}"),
        )
        .field("Upload-Length")
        .never(),
        Refusal::ChecksumMismatch { algorithm } => of(
            mismatch,
            "checksum_mismatch",
            format!(
                "the bytes received don't have this {} checksum and were discarded: send them again",
                algorithm.name()
            ),
        )
        .field("Upload-Checksum"),
        Refusal::Md5Mismatch { declared, actual } => of(
            mismatch,
            "md5_mismatch",
            format!(
                "md5 is {declared}, but the file received has {actual}; it was removed: create another upload"
            ),
        )
        .field("Upload-Metadata")
        .reset(),
        Refusal::SentInChunks => ApiError::forbidden(
            "this upload is sent in chunks by forms: nothing can be appended to it",
        ),
        Refusal::Joined => {
            ApiError::forbidden("this upload was joined from others and accepts no bytes")
        }
        Refusal::Partial => {
            ApiError::forbidden("this is a partial upload and not a file of its own")
        }
        Refusal::Incomplete { received, total } => of(
            Is::CONFLICT,
            "bytes_missing",
            match total {
                Some(total) => format!("{} of {} were received", bytes(received), bytes(total)),
                None => format!("{} were received, and the size of the file is not known yet", bytes(received)),
            },
        ),
        Refusal::NotAPiece { id } => of(
            Is::BAD_REQUEST,
            "not_partial",
            format!("{id} is not a partial upload of yours, or is already part of another file"),
        )
        .field("Upload-Concat")
        .never(),
        Refusal::PieceIncomplete { id } => of(
            Is::CONFLICT,
            "bytes_missing",
            format!("{id} is incomplete: send the rest of its bytes, then join it"),
        )
        .field("Upload-Concat"),
        Refusal::Busy => of(
            Is::LOCKED,
            "busy",
            "an earlier request is still writing: try again in a moment".into(),
        )
        .retry_after(2),
        Refusal::Verifying => of(
            Is::SERVICE_UNAVAILABLE,
            "verifying",
            "the file is still being verified: ask again in a few seconds".into(),
        )
        .retry_after(2),
        Refusal::NotDurable => of(
            Is::SERVICE_UNAVAILABLE,
            "not_durable",
            "the server's disk lost bytes it had received: send the file again from its beginning".into(),
        )
        .reset()
        .retry_after(1),
        // These result from requests that this dialect doesn't have.
        other => ApiError::internal(&other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uploads::{Algorithm, NoRoom};

    fn status(refusal: Refusal) -> u16 {
        TusError::from(refusal).into_response().status().as_u16()
    }

    #[test]
    fn clients_see_the_statuses_of_tus() {
        let slow = BodyError::TooSlow("nothing was received for 30 s".into());
        for (refusal, right) in [
            (Refusal::NotFound, 404),
            (Refusal::Removed, 410),
            (Refusal::Expired, 410),
            (Refusal::OffsetMismatch { sent: 1, end: 2 }, 409),
            (Refusal::Body(BodyError::Superseded), 409),
            (Refusal::BeyondTotal { total: 1 }, 413),
            (Refusal::FileTooLarge { size: 2, max: 1 }, 413),
            (Refusal::TotalChanged { sent: 1, recorded: 2 }, 400),
            (Refusal::ChecksumMismatch { algorithm: Algorithm::Sha1 }, 460),
            (Refusal::SentInChunks, 403),
            (Refusal::Joined, 403),
            (Refusal::Busy, 423),
            (Refusal::Body(slow), 503),
            (Refusal::StorageFull(NoRoom::MaxStorage), 507),
        ] {
            let what = format!("{refusal:?}");
            assert_eq!(status(refusal), right, "{what}");
        }
        assert_eq!(TusError::version(None).into_response().status(), 412);
    }

    #[test]
    fn a_slow_sender_is_told_to_retry_on_another_connection() {
        let slow = Refusal::Body(BodyError::TooSlow("…".into()));
        let response = TusError::from(slow).into_response();
        assert_eq!(response.headers()["connection"], "close");
        assert_eq!(response.headers()["retry-after"], "1");
    }
}
