//! What a client sees when a request is refused: the only map from refusals to status codes.
//!
//! Use [`Refusal`] below the routes and [`ApiError`] in them. One shape for all
//! (protocol, section 7), so that each client finds what it reads. A failure inside the server is logged
//! once ([`log_failure`]) and shown as a plain 500.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CONNECTION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde_json::{Value, json};

use crate::admission::TooMany;
use crate::auth::AuthError;
use crate::links::LinkError;
use crate::metadata;
use crate::part::PlacementError;
use crate::storage::BodyError;
use crate::telemetry::chain;
use crate::uploads::Refusal;

/// A refused request, ready to be answered.
#[derive(Debug)]
pub struct ApiError(Box<Answer>); // boxed: every handler's result carries it

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    code: &'static str,
    field: Option<&'static str>,
    message: String,
    prevent_retry: bool,
    reset: bool,
    extra: Option<(&'static str, Value)>,
    header: Option<(HeaderName, HeaderValue)>,
    /// For the log.
    cause: Option<String>,
}

impl ApiError {
    /// An error of the request as a whole.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self(Box::new(Answer {
            status,
            code,
            field: None,
            message: message.into(),
            prevent_retry: false,
            reset: false,
            extra: None,
            header: None,
            cause: None,
        }))
    }

    /// A malformed field: the same request can never succeed.
    pub fn bad_field(field: &'static str, code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message).field(field).never()
    }

    /// A malformed request: it can never succeed.
    pub fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message).never()
    }

    /// Somebody between may have read this head otherwise: nothing more of the connection is believed.
    pub fn ambiguous(message: &'static str) -> Self {
        Self::bad_request("malformed_request", message).header(CONNECTION, "close")
    }

    /// There is nothing of that name for this caller.
    pub fn not_found() -> Self {
        Refusal::NotFound.into()
    }

    /// The caller may not do this.
    pub fn forbidden(message: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message).never()
    }

    /// The method doesn't exist on this path.
    pub fn method_not_allowed(allowed: &'static str) -> Self {
        let message = format!("this path answers {allowed} only");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
            .never()
            .header(ALLOW, allowed)
    }

    /// The body has a type that isn't understood here.
    pub fn unsupported_media_type(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message).never()
    }

    /// No range of a file of `size` bytes was asked for.
    pub fn range_not_satisfiable(content_range: &str, size: u64) -> Self {
        let message = format!("the file has {size} bytes; no such range of it");
        Self::new(StatusCode::RANGE_NOT_SATISFIABLE, "range_not_satisfiable", message)
            .header(http::header::CONTENT_RANGE, content_range)
    }

    fn internal(error: &dyn std::error::Error) -> Self {
        let message = "something failed inside the server; it has been logged";
        let mut answer = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message);
        answer.0.cause = Some(chain(error));
        answer
    }

    /// Whether another request came between: the same one again may succeed.
    pub fn is_raced(&self) -> bool {
        self.0.code == "raced"
    }

    fn field(mut self, field: &'static str) -> Self {
        self.0.field = Some(field);
        self
    }

    fn never(mut self) -> Self {
        self.0.prevent_retry = true;
        self
    }

    fn reset(mut self) -> Self {
        self.0.reset = true;
        self
    }

    fn header(mut self, name: HeaderName, value: &str) -> Self {
        self.0.header = HeaderValue::from_str(value).ok().map(|value| (name, value));
        self
    }

    fn retry_after(self, secs: u32) -> Self {
        self.header(RETRY_AFTER, &secs.to_string())
    }
}

/// What failed inside the server, on its way to the log; never sent.
#[derive(Clone, Debug)]
struct Cause(String);

/// Logs failures inside the server, once, with the request they concern. The query stays out of the log: it
/// may hold a signature.
pub fn log_failure(method: &Method, path: &str, response: &Response) {
    if let Some(Cause(error)) = response.extensions().get() {
        tracing::error!(%method, path, error, "a request failed inside the server");
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let answer = *self.0;
        let item = json!({"code": answer.code, "message": answer.message});
        let errors = match answer.field {
            Some(field) => json!([{"field": field, "messages": [item]}]),
            None => json!([item]),
        };
        let mut body = json!({
            "errors": errors,
            "success": false,
            "error": answer.message,
            "preventRetry": answer.prevent_retry,
        });
        if answer.reset {
            body["reset"] = Value::Bool(true);
        }
        if let Some((name, value)) = answer.extra {
            body[name] = value;
        }
        let mut response = (answer.status, Json(body)).into_response();
        if let Some((name, value)) = answer.header {
            response.headers_mut().insert(name, value);
        }
        if let Some(cause) = answer.cause {
            response.extensions_mut().insert(Cause(cause));
        }
        if answer.status == StatusCode::REQUEST_TIMEOUT {
            // What is left of the body can't be told from a next request.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        let bad = |field, code| Self::bad_field(field, code, message.clone());
        let of = |status, code| Self::new(status, code, message.clone());
        match refusal {
            Refusal::Placement(error) => error.into(),
            Refusal::Body(error) => error.into(),
            Refusal::UuidMissing { .. } => bad("uuid", "required"),
            Refusal::NotFound => of(StatusCode::NOT_FOUND, "not_found").never(),
            Refusal::Removed => of(StatusCode::GONE, "gone").never(),
            Refusal::Expired => of(StatusCode::GONE, "expired").reset(),
            Refusal::ChunkConflict { .. } => of(StatusCode::CONFLICT, "chunk_conflict").never(),
            Refusal::UploadFinished { .. } => of(StatusCode::CONFLICT, "upload_finished").never(),
            Refusal::FileConflict => of(StatusCode::CONFLICT, "file_conflict").never(),
            Refusal::Raced => of(StatusCode::CONFLICT, "raced"),
            Refusal::TooManyUnfinished { .. } => {
                of(StatusCode::TOO_MANY_REQUESTS, "too_many_unfinished_uploads").retry_after(60)
            }
            Refusal::TooManyParts { .. } => bad("totalparts", "too_many_parts"),
            Refusal::FileTooLarge { .. } | Refusal::FileTooLong { .. } => {
                of(StatusCode::PAYLOAD_TOO_LARGE, "file_too_large").field("file").never()
            }
            Refusal::ChunkTooLarge { .. } => {
                of(StatusCode::PAYLOAD_TOO_LARGE, "chunk_too_large").field("file").never()
            }
            Refusal::LongerThanDeclared { .. } => bad("chunksize", "size_mismatch"),
            Refusal::MissingParts { ref ranges } => {
                let mut error = of(StatusCode::BAD_REQUEST, "chunks_missing").reset();
                error.0.extra = Some(("missing", missing(ranges)));
                error
            }
            Refusal::NotContiguous { .. } => of(StatusCode::BAD_REQUEST, "parts_not_contiguous"),
            Refusal::TotalSizeMismatch { .. } => bad("totalfilesize", "size_mismatch"),
            Refusal::Md5Mismatch { .. } => bad("md5", "md5_mismatch"),
            Refusal::Verifying => of(StatusCode::SERVICE_UNAVAILABLE, "verifying").retry_after(2),
            Refusal::NotDurable => {
                of(StatusCode::SERVICE_UNAVAILABLE, "not_durable").reset().retry_after(1)
            }
            Refusal::NotAnImage { .. } => {
                of(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_an_image").field("file").never()
            }
            Refusal::NoParent => of(StatusCode::NOT_FOUND, "not_found").field("parentuuid").never(),
            Refusal::Attached => of(StatusCode::CONFLICT, "attached").never(),
            Refusal::OverQuota(_) => {
                of(StatusCode::PAYLOAD_TOO_LARGE, "quota_exceeded").field("file").never()
            }
            Refusal::StorageFull => of(StatusCode::INSUFFICIENT_STORAGE, "storage_full"),
            Refusal::Internal(source) => Self::internal(source.as_ref()),
        }
    }
}

impl From<PlacementError> for ApiError {
    fn from(error: PlacementError) -> Self {
        let (field, code) = match &error {
            PlacementError::TotalPartsMissing => ("totalparts", "required"),
            PlacementError::IndexOutOfRange { .. } => ("partindex", "out_of_range"),
            PlacementError::TotalPartsChanged { .. } => ("totalparts", "changed"),
            PlacementError::TotalSizeChanged { .. } => ("totalfilesize", "changed"),
            PlacementError::OffsetMismatch { .. } => ("partbyteoffset", "offset_mismatch"),
            PlacementError::OffsetUnknown { .. } => ("partbyteoffset", "offset_unknown"),
            PlacementError::SizeMismatch { .. } => ("chunksize", "size_mismatch"),
            PlacementError::Uneven { .. } => ("chunksize", "uneven_chunk"),
            PlacementError::Overlap { .. } => ("partbyteoffset", "overlap"),
            PlacementError::BeyondTotal { .. } => ("totalfilesize", "beyond_total"),
            PlacementError::Empty { .. } => ("file", "empty_chunk"),
        };
        let reset = matches!(error, PlacementError::Uneven { .. });
        // Once other chunks have arrived, this one may be placed.
        let later = matches!(error, PlacementError::OffsetUnknown { .. });
        let answer = Self::new(StatusCode::BAD_REQUEST, code, error.to_string()).field(field);
        match (reset, later) {
            (true, _) => answer.reset(),
            (_, true) => answer,
            _ => answer.never(),
        }
    }
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        let message = error.to_string();
        let of = |status, code| Self::new(status, code, message.clone());
        match error {
            BodyError::Aborted => of(StatusCode::BAD_REQUEST, "body_incomplete"),
            BodyError::Malformed(_) => of(StatusCode::BAD_REQUEST, "malformed_body").never(),
            BodyError::TooSlow { .. } => of(StatusCode::REQUEST_TIMEOUT, "body_too_slow"),
            BodyError::TooLong { .. } => {
                of(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large").never()
            }
            BodyError::Unreadable => Self::internal(&error),
            BodyError::Superseded => of(StatusCode::CONFLICT, "superseded"),
        }
    }
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        let answer = Self::new(StatusCode::UNAUTHORIZED, "not_authenticated", error.to_string())
            .header(WWW_AUTHENTICATE, "Bearer");
        // A client that refreshes its token, or waits, succeeds with the same request.
        if matches!(error, AuthError::Expired | AuthError::NotYet) {
            answer
        } else {
            answer.never()
        }
    }
}

impl From<TooMany> for ApiError {
    fn from(error: TooMany) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", error.to_string())
            .retry_after(error.retry_secs)
    }
}

impl From<LinkError> for ApiError {
    fn from(error: LinkError) -> Self {
        Self::new(StatusCode::FORBIDDEN, "bad_link", error.to_string()).never()
    }
}

impl From<metadata::Error> for ApiError {
    fn from(error: metadata::Error) -> Self {
        Refusal::from(error).into()
    }
}

/// The indexes one by one, `[3, 4, 7]`; when they are many, as closed ranges, `[[3, 900]]`.
fn missing(ranges: &[(u32, u32)]) -> Value {
    const ONE_BY_ONE: u64 = 100;
    let count: u64 = ranges.iter().map(|(first, last)| u64::from(last - first) + 1).sum();
    if count > ONE_BY_ONE {
        return json!(ranges);
    }
    ranges.iter().flat_map(|(first, last)| *first..=*last).collect()
}
