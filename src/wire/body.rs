//! Request bodies: time-outs, limits, the fields around a file, and what is done with a refused rest.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::{Instant, Sleep};

use super::error::ApiError;
use super::form::{FieldError, Form, canonical};
use super::multipart::{Boundary, Limits as MultipartLimits, Multipart, MultipartError};
use crate::storage::BodyError;

/// What a body may cost.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// Bytes of the whole body, the form around the file included.
    pub max_bytes: u64,
    /// Time from the head of the request to the end of its body.
    pub total: Duration,
    /// Time without a single byte.
    pub idle: Duration,
    /// Fields of a form.
    pub max_fields: usize,
    /// Bytes of a field other than the file.
    pub max_field_bytes: usize,
}

/// A body as it comes in, within its limits.
pub struct TimedBody {
    frames: BodyDataStream,
    limits: BodyLimits,
    deadline: Instant,
    /// Runs while the sender is waited for.
    patience: Pin<Box<Sleep>>,
    waiting: bool,
    received: u64,
}

impl TimedBody {
    /// Nothing is polled yet.
    pub fn new(body: Body, limits: BodyLimits) -> Self {
        let deadline = Instant::now() + limits.total;
        Self {
            frames: body.into_data_stream(),
            limits,
            deadline,
            patience: Box::pin(tokio::time::sleep_until(deadline)),
            waiting: false,
            received: 0,
        }
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

    fn too_slow(&self) -> BodyError {
        if Instant::now() >= self.deadline {
            let limit = self.limits.total.as_secs();
            BodyError::TooSlow(format!("it was not complete within {limit} s"))
        } else {
            let limit = self.limits.idle.as_secs();
            BodyError::TooSlow(format!("no byte came for {limit} s"))
        }
    }
}

impl Stream for TimedBody {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Poll::Ready(frame) = self.frames.poll_next_unpin(cx) else {
            if !self.waiting {
                let until = self.deadline.min(Instant::now() + self.limits.idle);
                self.patience.as_mut().reset(until);
                self.waiting = true;
            }
            ready!(self.patience.as_mut().poll(cx));
            return Poll::Ready(Some(Err(self.too_slow())));
        };
        self.waiting = false;
        let Some(frame) = frame else {
            return Poll::Ready(None);
        };
        let Ok(frame) = frame else {
            return Poll::Ready(Some(Err(BodyError::Aborted)));
        };
        self.received += frame.len() as u64;
        if self.received > self.limits.max_bytes {
            let limit = self.limits.max_bytes;
            return Poll::Ready(Some(Err(BodyError::TooLong { limit })));
        }
        Poll::Ready(Some(Ok(frame)))
    }
}

/// A multipart form, read up to the file, through the file, and to its end.
pub struct FormReader {
    multipart: Multipart<TimedBody>,
    limits: BodyLimits,
    /// The fields that have arrived so far.
    pub form: Form,
}

impl FormReader {
    /// Nothing is polled yet.
    pub fn new(body: Body, boundary: &Boundary, form: Form, limits: BodyLimits) -> Self {
        let parts = MultipartLimits { max_parts: limits.max_fields, ..MultipartLimits::default() };
        let multipart = Multipart::new(TimedBody::new(body, limits), boundary, parts);
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

    /// Reads the fields behind the file, to the body's end.
    pub async fn rest(&mut self) -> Result<(), ApiError> {
        if self.until_file().await? {
            return Err(ApiError::bad_field("file", "more_than_one", "send one file a request"));
        }
        Ok(())
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

/// So much of a refused body is read and dropped.
const DRAIN_BYTES: u64 = 64 << 20;
/// For so long a refused body is read and dropped.
const DRAIN_TIME: Duration = Duration::from_secs(30);

/// A request's body whose unread rest is read and dropped, up to a cap, when its handler lets go of it. A
/// browser that still sends while the connection closes reports a network error and never shows the
/// reply (protocol, section 7).
pub struct DrainOnDrop<B: http_body::Body<Data = Bytes> + Send + Unpin + 'static> {
    inner: Option<B>,
    /// The client waits for permission to send and would only be told to by reading.
    asks_first: bool,
}

impl<B: http_body::Body<Data = Bytes> + Send + Unpin + 'static> DrainOnDrop<B> {
    /// `asks_first`: the request has `Expect: 100-continue`.
    pub fn new(inner: B, asks_first: bool) -> Self {
        Self { inner: Some(inner), asks_first }
    }
}

impl<B: http_body::Body<Data = Bytes> + Send + Unpin + 'static> http_body::Body for DrainOnDrop<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let Some(inner) = &mut self.inner else {
            return Poll::Ready(None);
        };
        let frame = Pin::new(inner).poll_frame(cx);
        self.asks_first = false; // asked for, the client sends
        let frame = ready!(frame);
        if !matches!(frame, Some(Ok(_))) {
            self.inner = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), http_body::Body::size_hint)
    }
}

impl<B: http_body::Body<Data = Bytes> + Send + Unpin + 'static> Drop for DrainOnDrop<B> {
    fn drop(&mut self) {
        let Some(mut rest) = self.inner.take() else {
            return;
        };
        if self.asks_first || rest.is_end_stream() {
            return;
        }
        tokio::spawn(async move {
            let mut left = DRAIN_BYTES;
            let drain = async {
                while let Some(Ok(frame)) = rest.frame().await {
                    let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                    match left.checked_sub(length) {
                        Some(less) => left = less,
                        None => return,
                    }
                }
            };
            let _ = tokio::time::timeout(DRAIN_TIME, drain).await;
        });
    }
}
