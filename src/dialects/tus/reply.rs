//! Replies of the tus dialect to successful requests. They have headers and no bodies.

use std::time::{Duration, UNIX_EPOCH};

use axum::response::{IntoResponse, Response};
use http::header::LOCATION;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::metadata::Metadata;
use super::names::{
    FILE_STATE, FILE_URL, FILE_UUID, UPLOAD_CONCAT, UPLOAD_DEFER_LENGTH, UPLOAD_EXPIRES,
    UPLOAD_LENGTH, UPLOAD_METADATA, UPLOAD_OFFSET,
};
use crate::http::context::Context;
use crate::http::request::base;
use crate::ids::UploadId;
use crate::links::Variant;
use crate::metadata::StoredFile;
use crate::uploads::Progress;

/// The path below which uploads have their addresses.
const PATH: &str = "/api/v2/tus";

/// Creates the replies to one request.
pub struct Replies<'a> {
    context: &'a Context,
    /// Scheme and authority, without a trailing slash.
    base: String,
}

impl<'a> Replies<'a> {
    /// Creates replies to a request with this head. Addresses begin with the one that its client used.
    pub fn new(context: &'a Context, head: &Parts) -> Self {
        Self { context, base: base(context, &head.headers, &head.extensions) }
    }

    /// The reply to the creation of an upload. `progress` is its progress, if bytes were sent with the request.
    pub fn created(&self, id: UploadId, progress: &Progress) -> Response {
        let mut response = StatusCode::CREATED.into_response();
        let headers = response.headers_mut();
        set(headers, LOCATION, &format!("{}{PATH}/{id}", self.base));
        self.add_offset(headers, progress);
        response
    }

    /// The reply to bytes.
    pub fn appended(&self, progress: &Progress) -> Response {
        let mut response = StatusCode::NO_CONTENT.into_response();
        self.add_offset(response.headers_mut(), progress);
        response
    }

    /// The reply to a query of an upload's progress.
    pub fn status(&self, progress: &Progress) -> Response {
        let mut response = StatusCode::OK.into_response();
        let headers = response.headers_mut();
        match progress.total_size {
            Some(total) => headers.insert(UPLOAD_LENGTH, HeaderValue::from(total)),
            None => headers.insert(UPLOAD_DEFER_LENGTH, HeaderValue::from_static("1")),
        };
        let filename = progress.filename.as_ref();
        if let Some(metadata) = Metadata::value(filename, progress.media_type.as_deref()) {
            set(headers, UPLOAD_METADATA, &metadata);
        }
        if progress.is_partial {
            headers.insert(UPLOAD_CONCAT, HeaderValue::from_static("partial"));
        } else if !progress.pieces.is_empty() {
            let addresses = progress.pieces.iter().map(|id| format!("{PATH}/{id}"));
            let addresses = addresses.collect::<Vec<_>>().join(" ");
            set(headers, UPLOAD_CONCAT, &format!("final;{addresses}"));
        }
        self.add_offset(headers, progress);
        response
    }

    /// A redirect to a File's bytes.
    pub fn redirect(&self, file: &StoredFile) -> Response {
        let mut response = StatusCode::FOUND.into_response();
        set(response.headers_mut(), LOCATION, &self.link(file));
        response
    }

    fn add_offset(&self, headers: &mut HeaderMap, progress: &Progress) {
        headers.insert(UPLOAD_OFFSET, HeaderValue::from(progress.offset));
        if let Some(expires) = progress.expires_at {
            let expires = UNIX_EPOCH.checked_add(Duration::from_secs(expires));
            // The format has no dates after the year 9999.
            let last = UNIX_EPOCH + Duration::from_secs(253_402_300_799);
            let expires = expires.map_or(last, |expires| expires.min(last));
            set(headers, UPLOAD_EXPIRES, &httpdate::fmt_http_date(expires));
        }
        let state = match &progress.file {
            Some(file) => {
                set(headers, FILE_UUID, &file.id.to_string());
                set(headers, FILE_URL, &self.link(file));
                "finished"
            }
            None if progress.expires_at.is_none() => "verifying",
            None => return,
        };
        headers.insert(FILE_STATE, HeaderValue::from_static(state));
    }

    fn link(&self, file: &StoredFile) -> String {
        format!("{}{}", self.base, self.context.links.path(file.id, Variant::File))
    }
}

/// Sets a header. All values set in this module are ASCII.
fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
