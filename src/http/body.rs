//! Request bodies: limits, and the fields around a file.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};

use super::error::ApiError;
use super::multipart::{Boundary, Limits as MultipartLimits, Multipart, MultipartError};
use super::pace::{Pace, PaceError};
use crate::dialects::form::fields::{FieldError, Form, canonical};
use crate::storage::BodyError;

/// What a form may have around its file, bytes.
pub const FORM_BYTES: u64 = 1 << 20;

/// What a body may cost.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// Bytes of the whole body, the form around the file included.
    pub max_bytes: u64,
    /// How slowly it may come; every body of a connection keeps to it, whoever reads it.
    pub pace: Pace,
    /// Fields of a form.
    pub max_fields: usize,
    /// Bytes of a field other than the file.
    pub max_field_bytes: usize,
}

/// A body as it comes in, within its limits.
pub struct LimitedBody {
    frames: BodyDataStream,
    max_bytes: u64,
    received: u64,
}

impl LimitedBody {
    /// Nothing is polled yet.
    pub fn new(body: Body, limits: BodyLimits) -> Self {
        Self { frames: body.into_data_stream(), max_bytes: limits.max_bytes, received: 0 }
    }

    /// The whole body in memory, at most `max` bytes.
    pub async fn collect(mut self, max: usize) -> Result<Vec<u8>, BodyError> {
        let limit = max as u64;
        if http_body::Body::size_hint(&self.frames).lower() > limit {
            return Err(BodyError::TooLong { limit }); // nobody waits for what is refused anyway
        }
        let mut whole = Vec::new();
        while let Some(frame) = self.next().await.transpose()? {
            if whole.len() + frame.len() > max {
                return Err(BodyError::TooLong { limit });
            }
            whole.extend_from_slice(&frame);
        }
        Ok(whole)
    }
}

impl Stream for LimitedBody {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(frame) = ready!(self.frames.poll_next_unpin(cx)) else {
            return Poll::Ready(None);
        };
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => return Poll::Ready(Some(Err(ended(error)))),
        };
        self.received += frame.len() as u64;
        if self.received > self.max_bytes {
            return Poll::Ready(Some(Err(BodyError::TooLong { limit: self.max_bytes })));
        }
        Poll::Ready(Some(Ok(frame)))
    }
}

/// Why a body ended before its end.
fn ended(error: axum::Error) -> BodyError {
    match error.into_inner().downcast::<PaceError>() {
        Ok(error) => match *error {
            PaceError::TooSlow(why) => BodyError::TooSlow(why),
            PaceError::Aborted => BodyError::Aborted,
        },
        Err(_) => BodyError::Aborted,
    }
}

/// A multipart form, read up to the file, through the file, and to its end.
pub struct FormReader {
    multipart: Multipart<LimitedBody>,
    limits: BodyLimits,
    /// The fields that have arrived so far.
    pub form: Form,
}

impl FormReader {
    /// Nothing is polled yet.
    pub fn new(body: Body, boundary: &Boundary, form: Form, limits: BodyLimits) -> Self {
        let parts = MultipartLimits { max_parts: limits.max_fields, ..MultipartLimits::default() };
        let multipart = Multipart::new(LimitedBody::new(body, limits), boundary, parts);
        Self { multipart, limits, form }
    }

    /// Reads fields up to the file's first byte; `false` when the form has no (further) file.
    pub async fn until_file(&mut self) -> Result<bool, ApiError> {
        while let Some(head) = self.multipart.next_part().await? {
            if canonical(&head.name) == Some("file") {
                self.form.set_file(head.filename, head.content_type);
                return Ok(true);
            }
            let value = self.field(&head.name).await?;
            self.form.set(&head.name, value)?;
        }
        Ok(false)
    }

    /// The file's bytes, after [`FormReader::until_file`] found one.
    pub fn file(&mut self) -> impl Stream<Item = Result<Bytes, BodyError>> + Send {
        stream::unfold(&mut self.multipart, |multipart| async move {
            let frame = multipart.data().await.transpose()?;
            let frame = frame.map_err(|error| match error {
                MultipartError::Body(error) => error,
                MultipartError::Parse(error) => BodyError::Malformed(error.to_string()),
            });
            Some((frame, multipart))
        })
    }

    /// Reads the fields behind the file, to the body's end; whether there were any.
    pub async fn rest(&mut self) -> Result<bool, ApiError> {
        let known = self.form.count();
        if self.until_file().await? {
            return Err(ApiError::bad_field("file", "more_than_one", "send one file a request"));
        }
        Ok(self.form.count() > known)
    }

    async fn field(&mut self, name: &str) -> Result<String, ApiError> {
        let mut value = Vec::new();
        while let Some(frame) = self.multipart.data().await? {
            if value.len() + frame.len() > self.limits.max_field_bytes {
                let limit = self.limits.max_field_bytes;
                let field = canonical(name).unwrap_or("a field");
                let message = format!("{field} is longer than the limit of {limit} bytes");
                return Err(ApiError::bad_request("field_too_long", message));
            }
            value.extend_from_slice(&frame);
        }
        Ok(String::from_utf8_lossy(&value).into_owned())
    }
}

impl From<MultipartError<BodyError>> for ApiError {
    fn from(error: MultipartError<BodyError>) -> Self {
        match error {
            MultipartError::Body(error) => error.into(),
            MultipartError::Parse(error) => BodyError::Malformed(error.to_string()).into(),
        }
    }
}

impl From<FieldError> for ApiError {
    fn from(error: FieldError) -> Self {
        Self::bad_field(error.field, error.code, error.message)
    }
}
