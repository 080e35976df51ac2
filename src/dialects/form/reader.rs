//! Reads the fields before and after the file in a form.

use axum::body::Body;
use bytes::Bytes;
use futures_util::{Stream, stream};

use super::error::FormError;
use super::fields::{Form, canonical};
use crate::http::body::{BodyLimits, LimitedBody};
use crate::http::error::ApiError;
use crate::http::multipart::{Boundary, Limits as MultipartLimits, Multipart, MultipartError};
use crate::storage::BodyError;
use crate::words;

/// A multipart form, read up to the file, through the file, and to the end.
pub struct FormReader {
    multipart: Multipart<LimitedBody>,
    limits: BodyLimits,
    /// The fields that have arrived so far.
    pub form: Form,
}

impl FormReader {
    /// Creates a reader without polling the body.
    pub fn new(body: Body, boundary: &Boundary, form: Form, limits: BodyLimits) -> Self {
        let parts = MultipartLimits { max_parts: limits.max_fields, ..MultipartLimits::default() };
        let multipart = Multipart::new(LimitedBody::new(body, limits), boundary, parts);
        Self { multipart, limits, form }
    }

    /// Reads fields up to the first byte of a file. Returns `false` if no file follows.
    pub async fn until_file(&mut self) -> Result<bool, FormError> {
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

    /// The bytes of the file that [`FormReader::until_file`] found.
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

    /// Reads the fields after the file, to the end of the body. Returns whether there were any.
    pub async fn rest(&mut self) -> Result<bool, FormError> {
        let known = self.form.count();
        if self.until_file().await? {
            return Err(ApiError::bad_field(
                "file",
                "more_than_one",
                "send only one file per request",
            )
            .into());
        }
        Ok(self.form.count() > known)
    }

    async fn field(&mut self, name: &str) -> Result<String, FormError> {
        let mut value = Vec::new();
        while let Some(frame) = self.multipart.data().await? {
            if value.len() + frame.len() > self.limits.max_field_bytes {
                let limit = self.limits.max_field_bytes;
                let field = canonical(name).unwrap_or("a field");
                let message =
                    format!("{field} is longer than the limit of {}", words::bytes(limit as u64));
                return Err(ApiError::bad_request("field_too_long", message).into());
            }
            value.extend_from_slice(&frame);
        }
        Ok(String::from_utf8_lossy(&value).into_owned())
    }
}
