//! Delivery: the bytes of a file, by signed link.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::response::Builder;
use http::{Extensions, HeaderName, Method, StatusCode};

use super::request::{Stranger, is_proxied, text};
use crate::http::context::Context;
use crate::http::disposition::{Disposition, content_disposition};
use crate::http::error::ApiError;
use crate::http::range::{Served, if_match, if_none_match, resolve};
use crate::http::refusal::common;
use crate::http::send_memory::Share;
use crate::ids::UploadId;
use crate::links::{LinkError, LinkQuery, Variant};
use crate::media;
use crate::metadata::{Role, StoredFile};
use crate::storage::Outgoing;
use crate::uploads::Refusal;

/// Tells nginx to send the file at this path, inside one of its locations, instead of the response body.
const X_ACCEL_REDIRECT: &str = "x-accel-redirect";

/// A file may display itself and nothing else: no scripts, no forms, no other origins. Other pages may embed it.
const SANDBOX: &str = "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; \
                       style-src 'unsafe-inline'";

/// `GET` and `HEAD` of a `file_url`.
pub async fn get(
    State(context): State<Arc<Context>>,
    stranger: Stranger,
    Extension(share): Extension<Arc<Share>>,
    path: Result<Path<(String, String)>, PathRejection>,
    request: Request,
) -> Result<Response, ApiError> {
    let (id, variant) = named(path).ok_or_else(ApiError::not_found)?;
    let query = request.uri().query().and_then(LinkQuery::parse).ok_or(LinkError::Invalid)?;
    context.links.check(id, variant, &query)?;
    let (head, _) = request.into_parts();
    let shown = match show(&context, id, query.download, &head, &share).await {
        // The uploaded thumbnail has just been replaced by the picture made from it.
        Err(error) if error.is_raced() => show(&context, id, query.download, &head, &share).await,
        shown => shown,
    };
    let (response, bytes) = shown?;
    let body = bytes.map_or_else(Body::empty, |bytes| {
        Body::from_stream(bytes.inspect(move |_| _ = &stranger.permit)) // until the last byte is sent
    });
    respond(response, body)
}

/// Returns the response to a link, and the bytes to send with it, if any.
async fn show(
    context: &Context,
    id: UploadId,
    download: bool,
    head: &Parts,
    share: &Share,
) -> Result<(Builder, Option<Outgoing>), ApiError> {
    let (method, headers) = (&head.method, &head.headers);
    let file = context.files.shown(id).await.map_err(unavailable)?;
    let etag = format!("\"{}-{:08x}\"", file.id, file.crc32);
    let shown = Shown { file: &file, etag: &etag, download };
    if let Some(path) = accelerated(context, &file, &head.extensions) {
        return Ok((shown.described(StatusCode::OK).header(X_ACCEL_REDIRECT, path), None));
    }
    if text(headers, IF_MATCH).is_some_and(|header| !if_match(header, &etag)) {
        return Err(ApiError::new(
            StatusCode::PRECONDITION_FAILED,
            "precondition_failed",
            "the file doesn't match If-Match",
        ));
    }
    if text(headers, IF_NONE_MATCH).is_some_and(|header| if_none_match(header, &etag)) {
        return Ok((shown.described(StatusCode::NOT_MODIFIED), None));
    }
    let range = text(headers, RANGE).filter(|_| *method == Method::GET);
    let served = resolve(range, text(headers, IF_RANGE), &etag, file.size);
    let content_range = served.content_range(file.size);
    let (status, bytes) = match served {
        Served::Whole => (StatusCode::OK, 0..file.size),
        Served::Partial(bytes) => (StatusCode::PARTIAL_CONTENT, bytes),
        Served::Unsatisfiable => {
            let content_range = content_range.unwrap_or_default();
            return Err(ApiError::range_not_satisfiable(&content_range, file.size));
        }
    };
    // Not for a proxy that sends the bytes: nginx adds its own, and would send two.
    let mut response = shown
        .described(status)
        .header(ACCEPT_RANGES, "bytes")
        .header(CONTENT_LENGTH, bytes.end - bytes.start);
    if let Some(content_range) = content_range {
        response = response.header(CONTENT_RANGE, content_range);
    }
    let bytes = match *method {
        Method::HEAD => None,
        _ => Some(context.files.read(&file, bytes, share.piece()).await.map_err(unavailable)?),
    };
    Ok((response, bytes))
}

/// Parses the path of a link.
fn named(path: Result<Path<(String, String)>, PathRejection>) -> Option<(UploadId, Variant)> {
    let Path((uuid, variant)) = path.ok()?;
    Some((UploadId::parse(&uuid)?, Variant::parse(&variant)?))
}

/// Where a trusted proxy finds the bytes, if it is to send them. It then handles ranges and conditions itself.
fn accelerated(context: &Context, file: &StoredFile, extensions: &Extensions) -> Option<String> {
    let prefix = context.options.accel_redirect.as_ref().filter(|_| is_proxied(extensions))?;
    Some(format!("{}{}", prefix.as_str(), context.files.proxy_path(file)?))
}

/// What a link points to.
struct Shown<'a> {
    file: &'a StoredFile,
    etag: &'a str,
    /// Whether to save it, whatever its type.
    download: bool,
}

impl Shown<'_> {
    /// Starts a response with the headers that describe the file and how it may be displayed.
    fn described(&self, status: StatusCode) -> Builder {
        let Self { file, etag, download } = *self;
        let disposition = if file.facts.media_type.is_inline() && !download {
            Disposition::Inline
        } else {
            Disposition::Attachment
        };
        http::Response::builder()
            .status(status)
            .header(ETAG, etag)
            // An uploaded thumbnail is served only until a picture has been made from it.
            .header(
                CACHE_CONTROL,
                if file.role == Role::Thumbnail && file.undrawn {
                    "private, no-cache"
                } else {
                    "private, max-age=86400"
                },
            )
            .header(CONTENT_TYPE, media::content_type_header(&file.facts.media_type))
            .header(CONTENT_DISPOSITION, content_disposition(disposition, &file.filename))
            .header(CONTENT_SECURITY_POLICY, SANDBOX)
            .header(X_CONTENT_TYPE_OPTIONS, "nosniff")
            .header(REFERRER_POLICY, "no-referrer")
            // Without this header, cross-origin isolated pages could not embed links.
            .header(HeaderName::from_static("cross-origin-resource-policy"), "cross-origin")
    }
}

fn respond(response: Builder, body: Body) -> Result<Response, ApiError> {
    let response = response.body(body).map_err(|error| ApiError::internal(&error))?;
    Ok(response.into_response())
}

/// Maps the reason why a file can't be served.
fn unavailable(refusal: Refusal) -> ApiError {
    common(refusal).unwrap_or_else(|other| ApiError::internal(&other))
}
