//! What a client sees when a request is refused: one shape for all (protocol, section 7), so that each client finds
//! what it reads; and the statuses of what is refused alike in every dialect: tokens, links, limits and bodies. What
//! an upload refuses, its dialect words. A failure inside the server is logged once ([`log_cause`]) and shown as a
//! plain 500.

use std::collections::BTreeMap;
use std::ops::Not;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CONNECTION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde::Serialize;
use serde_json::Value;

use crate::admission::TooMany;
use crate::auth::AuthError;
use crate::links::LinkError;
use crate::storage::BodyError;
use crate::telemetry::chain;
use crate::words;

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
    cause: Option<Cause>,
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
        Self::new(StatusCode::NOT_FOUND, "not_found", "there is no such upload or file").never()
    }

    /// There was something of that name, and it is gone for good.
    pub fn gone() -> Self {
        let message =
            "this upload was cancelled or this file was deleted; its uuid can't be used again";
        Self::new(StatusCode::GONE, "gone", message).never()
    }

    /// Another request came between: the same one again may succeed.
    pub fn raced() -> Self {
        let message = "another request changed this upload meanwhile: send the chunk again";
        Self::new(StatusCode::CONFLICT, "raced", message)
    }

    /// The store has no room.
    pub fn storage_full() -> Self {
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "storage_full", "the server's storage is full")
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
        let message = format!("the file has {}; no such range of it", words::bytes(size));
        Self::new(StatusCode::RANGE_NOT_SATISFIABLE, "range_not_satisfiable", message)
            .header(http::header::CONTENT_RANGE, content_range)
    }

    /// Something failed inside the server: it is logged, and not sent.
    pub fn internal(error: &dyn std::error::Error) -> Self {
        let message = "something failed inside the server; it has been logged";
        let mut answer = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message);
        answer.0.cause = Some(Cause::Failure(chain(error)));
        answer
    }

    /// Whether another request came between: the same one again may succeed.
    pub fn is_raced(&self) -> bool {
        self.0.code == "raced"
    }

    /// It is about this field.
    #[must_use]
    pub fn field(mut self, field: &'static str) -> Self {
        self.0.field = Some(field);
        self
    }

    /// The same request can never succeed.
    #[must_use]
    pub fn never(mut self) -> Self {
        self.0.prevent_retry = true;
        self
    }

    /// The upload has to begin again.
    #[must_use]
    pub fn reset(mut self) -> Self {
        self.0.reset = true;
        self
    }

    /// Tells more in a member of its own.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: Value) -> Self {
        self.0.extra = Some((name, value));
        self
    }

    /// The same request may succeed after so many seconds.
    #[must_use]
    pub fn retry_after(self, secs: u32) -> Self {
        self.header(RETRY_AFTER, &secs.to_string())
    }

    fn header(mut self, name: HeaderName, value: &str) -> Self {
        self.0.header = HeaderValue::from_str(value).ok().map(|value| (name, value));
        self
    }

    /// Has it logged why the token was refused.
    #[must_use]
    pub fn because_of(mut self, error: AuthError) -> Self {
        self.0.cause = Some(Cause::Token(error));
        self
    }
}

/// What is logged of an answer; never sent.
#[derive(Clone, Debug)]
enum Cause {
    /// Something failed inside the server.
    Failure(String),
    /// The token is missing or no good.
    Token(AuthError),
}

/// Logs failures inside the server and tokens that are refused, once, with the request they concern. The query
/// stays out of the log: it may hold a signature.
pub fn log_cause(method: &Method, path: &str, response: &Response) {
    match response.extensions().get() {
        Some(Cause::Failure(error)) => {
            tracing::error!(%method, %path, %error, "a request failed inside the server");
        }
        Some(Cause::Token(reason)) => {
            let status = response.status().as_u16();
            let reason = match reason {
                // Its message shows the header, which the log has no example of.
                AuthError::Missing => "no access token was sent".to_owned(),
                other => other.to_string(),
            };
            tracing::debug!(%method, %path, status, %reason, "a request is not authenticated");
        }
        None => {}
    }
}

/// The body of a refusal; members in this order.
#[derive(Serialize)]
struct Body<'a> {
    error: &'a str,
    errors: [Errors<'a>; 1],
    #[serde(flatten)]
    extra: Option<BTreeMap<&'static str, Value>>,
    #[serde(rename = "preventRetry")]
    prevent_retry: bool,
    #[serde(skip_serializing_if = "Not::not")]
    reset: bool,
    success: bool,
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

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let answer = *self.0;
        let message = Message { code: answer.code, message: &answer.message };
        let errors = match answer.field {
            Some(field) => Errors::OfField { field, messages: [message] },
            None => Errors::OfRequest(message),
        };
        let body = Body {
            error: &answer.message,
            errors: [errors],
            extra: answer.extra.map(|member| BTreeMap::from([member])),
            prevent_retry: answer.prevent_retry,
            reset: answer.reset,
            success: false,
        };
        let mut response = (answer.status, Json(body)).into_response();
        if let Some((name, value)) = answer.header {
            response.headers_mut().insert(name, value);
        }
        if let Some(cause) = answer.cause {
            response.extensions_mut().insert(cause);
        }
        if answer.status == StatusCode::REQUEST_TIMEOUT {
            // What is left of the body can't be told from a next request.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
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
            .because_of(error);
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
