//! Error replies. All have one shape (protocol, section 7), in which every client finds what it looks for. The errors
//! here are the same in every dialect: tokens, links, limits and bodies. Each dialect maps the refusals of uploads
//! itself. An internal failure is logged once ([`log_failure`]), and the client sees a plain 500.
//!
//! A route answers with a status and headers. The body is written once the reply is about to be sent ([`explain`]),
//! because it contains the request's id.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Not;
use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{
    ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::Value;

use crate::admission::TooMany;
use crate::auth::AuthError;
use crate::links::LinkError;
use crate::storage::BodyError;
use crate::telemetry::chain;
use crate::uploads::NoRoom;
use crate::words;

/// A refused request, ready to be sent.
#[derive(Debug)]
pub struct ApiError(Box<Answer>); // boxed because every handler's result contains it

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
    /// The limit that the request is over.
    limit: Option<&'static str>,
    /// The cause, for the log.
    cause: Option<Cause>,
}

impl ApiError {
    /// An error that concerns the request as a whole.
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
            limit: None,
            cause: None,
        }))
    }

    /// A malformed field. The same request can never succeed.
    pub fn bad_field(field: &'static str, code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message).field(field).never()
    }

    /// A malformed request. It can never succeed.
    pub fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message).never()
    }

    /// An ambiguous head, which a proxy may have understood differently. Closes the connection.
    pub fn ambiguous(message: &'static str) -> Self {
        Self::bad_request("malformed_request", message).header(CONNECTION, "close")
    }

    /// It doesn't exist, or belongs to somebody else.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "there is no such upload or file").never()
    }

    /// It existed, and is gone for good.
    pub fn gone() -> Self {
        let message =
            "this upload was cancelled or this file was deleted; its uuid can't be used again";
        Self::new(StatusCode::GONE, "gone", message).never()
    }

    /// Another request interfered; the same request may succeed if it is sent again.
    pub fn raced() -> Self {
        let message = "another request changed this upload in the meantime: repeat this request";
        Self::new(StatusCode::CONFLICT, "raced", message)
    }

    /// The storage is full. What is used up is only logged, except that a limit is no fault of the disk.
    pub fn storage_full(why: &NoRoom) -> Self {
        let (limit, message) = match why {
            NoRoom::MaxStorage => (
                "max_storage",
                "the server's storage is full: the limit for all users together is reached",
            ),
            NoRoom::MinFree => ("min_free_space", "the server's storage is full"),
            NoRoom::Disk(_) => ("disk", "the server's storage is full"),
        };
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "storage_full", message)
            .over(limit)
            .because_of(Cause::NoRoom(chain(why)))
    }

    /// The caller is not allowed to do this.
    pub fn forbidden(message: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message).never()
    }

    /// The path has no such method.
    pub fn method_not_allowed(allowed: &'static str) -> Self {
        let message = format!("this path supports only {allowed}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
            .never()
            .header(ALLOW, allowed)
    }

    /// The type of the body is not supported here.
    pub fn unsupported_media_type(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message).never()
    }

    /// The requested range is outside a file of `size` bytes.
    pub fn range_not_satisfiable(content_range: &str, size: u64) -> Self {
        let message = format!("the file has {}: the range is outside it", words::bytes(size));
        Self::new(StatusCode::RANGE_NOT_SATISFIABLE, "range_not_satisfiable", message)
            .header(http::header::CONTENT_RANGE, content_range)
    }

    /// An internal failure. It is logged, and the client gets no details.
    pub fn internal(error: &dyn std::error::Error) -> Self {
        let message = "something failed inside the server; it has been logged";
        let mut answer = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message);
        answer.0.cause = Some(Cause::Failure(chain(error)));
        answer
    }

    /// What the server needs can't be reached now. It is logged, and the client may retry.
    pub fn unavailable(error: &dyn std::error::Error) -> Self {
        let message = "the server can't reach its database: repeat this request in a few seconds";
        let mut answer = Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message);
        answer.0.cause = Some(Cause::Failure(chain(error)));
        answer.retry_after(2)
    }

    /// Whether another request interfered, so that a retry may succeed.
    pub fn is_raced(&self) -> bool {
        self.0.code == "raced"
    }

    /// Attributes the error to this field.
    #[must_use]
    pub fn field(mut self, field: &'static str) -> Self {
        self.0.field = Some(field);
        self
    }

    /// Tells the client that the same request can never succeed.
    #[must_use]
    pub fn never(mut self) -> Self {
        self.0.prevent_retry = true;
        self
    }

    /// Tells the client to start the upload again.
    #[must_use]
    pub fn reset(mut self) -> Self {
        self.0.reset = true;
        self
    }

    /// Adds a member to the reply.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: Value) -> Self {
        self.0.extra = Some((name, value));
        self
    }

    /// Tells the client to retry after this many seconds.
    #[must_use]
    pub fn retry_after(self, secs: u32) -> Self {
        self.header(RETRY_AFTER, &secs.to_string())
    }

    fn header(mut self, name: HeaderName, value: &str) -> Self {
        self.0.header = HeaderValue::from_str(value).ok().map(|value| (name, value));
        self
    }

    /// Names the limit that the request is over, for the log and the metrics.
    #[must_use]
    pub fn over(mut self, limit: &'static str) -> Self {
        self.0.limit = Some(limit);
        self
    }

    /// Adds the cause, for the log.
    #[must_use]
    fn because_of(mut self, cause: Cause) -> Self {
        self.0.cause = Some(cause);
        self
    }
}

/// The cause of a reply, for the log. Never sent.
#[derive(Clone, Debug)]
enum Cause {
    /// An internal failure.
    Failure(String),
    /// The token is missing or not valid.
    Token(AuthError),
    /// What the server has no room for, or on which disk.
    NoRoom(String),
}

/// An error whose body is still to be written, as an extension of the reply.
#[derive(Clone)]
struct Unwritten(Arc<Answer>);

/// What the access log says about an error reply, as an extension of the reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// The error's code.
    pub code: &'static str,
    /// Why the token was refused, or what the server has no room for.
    pub reason: Option<Cow<'static, str>>,
    /// The limit that the request is over.
    pub limit: Option<&'static str>,
    guess: bool,
}

impl Explained {
    /// Whether the token has a wrong signature.
    pub fn is_guess(&self) -> bool {
        self.guess
    }
}

/// Writes the body of an error reply, which names this request. Any other reply stays as it is.
pub fn explain(response: &mut Response, request_id: &str) {
    let Some(Unwritten(answer)) = response.extensions_mut().remove() else { return };
    let body = answer.body(request_id);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LENGTH, body.len().into());
    *response.body_mut() = Body::from(body);
    let reason = match &answer.cause {
        // Its message contains an example of the header, which would look like a token in the log.
        Some(Cause::Token(AuthError::Missing)) => Some("no access token was sent".into()),
        Some(Cause::Token(error)) => Some(error.to_string().into()),
        Some(Cause::NoRoom(why)) => Some(why.clone().into()),
        _ => None,
    };
    let guess = matches!(&answer.cause, Some(Cause::Token(AuthError::Invalid)));
    let explained = Explained { code: answer.code, reason, limit: answer.limit, guess };
    response.extensions_mut().insert(explained);
}

/// Logs an internal failure, once, with the request: not its path or query, in which a client can put anything.
pub fn log_failure(method: &str, route: &str, response: &Response) {
    let unwritten: Option<&Unwritten> = response.extensions().get();
    if let Some(Cause::Failure(error)) = unwritten.and_then(|unwritten| unwritten.0.cause.as_ref())
    {
        tracing::error!(method, route, %error, "request failed");
    }
}

/// The body of an error reply, with its members in this order.
#[derive(Serialize)]
struct Written<'a> {
    error: &'a str,
    errors: [Errors<'a>; 1],
    #[serde(flatten)]
    extra: Option<BTreeMap<&'static str, &'a Value>>,
    #[serde(rename = "preventRetry")]
    prevent_retry: bool,
    #[serde(skip_serializing_if = "Not::not")]
    reset: bool,
    success: bool,
    request_id: &'a str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Errors<'a> {
    OfField { field: &'static str, messages: [Message<'a>; 1] },
    OfRequest(Message<'a>),
}

#[derive(Serialize)]
struct Message<'a> {
    code: &'static str,
    message: &'a str,
}

impl Answer {
    fn body(&self, request_id: &str) -> Vec<u8> {
        let message = Message { code: self.code, message: &self.message };
        let errors = match self.field {
            Some(field) => Errors::OfField { field, messages: [message] },
            None => Errors::OfRequest(message),
        };
        let written = Written {
            error: &self.message,
            errors: [errors],
            extra: self.extra.as_ref().map(|(name, value)| BTreeMap::from([(*name, value)])),
            prevent_retry: self.prevent_retry,
            reset: self.reset,
            success: false,
            request_id,
        };
        serde_json::to_vec(&written).unwrap_or_default() // strings and numbers can always be written
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut answer = *self.0;
        let mut response = answer.status.into_response();
        let headers = response.headers_mut();
        if let Some((name, value)) = answer.header.take() {
            headers.insert(name, value);
        }
        if answer.status == StatusCode::REQUEST_TIMEOUT {
            // The rest of the body could be taken for the next request.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response.extensions_mut().insert(Unwritten(Arc::new(answer)));
        response
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
            .header(WWW_AUTHENTICATE, "Bearer")
            .because_of(Cause::Token(error));
        // The same request succeeds later, or with a new token.
        if matches!(error, AuthError::Expired | AuthError::NotYet) {
            answer
        } else {
            answer.never()
        }
    }
}

impl From<TooMany> for ApiError {
    fn from(error: TooMany) -> Self {
        let limit = error.limit.name();
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", error.to_string())
            .retry_after(error.retry_secs)
            .with("limit", limit.into())
            .over(limit)
    }
}

impl From<LinkError> for ApiError {
    fn from(error: LinkError) -> Self {
        Self::new(StatusCode::FORBIDDEN, "bad_link", error.to_string()).never()
    }
}
