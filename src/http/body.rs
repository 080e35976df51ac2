//! Limits on request bodies.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use super::pace::{Pace, PaceError};
use crate::storage::BodyError;

/// Maximum number of bytes in a form, not counting its file.
pub const FORM_BYTES: u64 = 1 << 20;

/// Limits on a request body.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// Maximum number of bytes in the body, including the form around the file.
    pub max_bytes: u64,
    /// How fast it must arrive.
    pub pace: Pace,
    /// Maximum number of fields in a form.
    pub max_fields: usize,
    /// Maximum number of bytes in a field other than the file.
    pub max_field_bytes: usize,
}

/// A request body with its limits enforced.
pub struct LimitedBody {
    frames: BodyDataStream,
    max_bytes: u64,
    received: u64,
}

impl LimitedBody {
    /// Wraps a body without polling it.
    pub fn new(body: Body, limits: BodyLimits) -> Self {
        Self { frames: body.into_data_stream(), max_bytes: limits.max_bytes, received: 0 }
    }

    /// Reads the whole body into memory, at most `max` bytes.
    pub async fn collect(mut self, max: usize) -> Result<Vec<u8>, BodyError> {
        let limit = max as u64;
        if http_body::Body::size_hint(&self.frames).lower() > limit {
            return Err(BodyError::TooLong { limit }); // refuse at once, without waiting for the rest
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

/// The reason why a body was cut off.
fn ended(error: axum::Error) -> BodyError {
    match error.into_inner().downcast::<PaceError>() {
        Ok(error) => match *error {
            PaceError::TooSlow(why) => BodyError::TooSlow(why),
            PaceError::Aborted => BodyError::Aborted,
        },
        Err(_) => BodyError::Aborted,
    }
}
