//! The headers common to all replies of the tus dialect, and what the server supports (`OPTIONS`).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::headers::algorithms;
use super::names::{
    TUS_CHECKSUM_ALGORITHM, TUS_EXTENSION, TUS_MAX_SIZE, TUS_RESUMABLE, TUS_VERSION, VERSION,
};
use crate::http::context::Context;

/// The extensions of tus that the server supports.
const EXTENSIONS: &str = "creation,creation-with-upload,creation-defer-length,expiration,checksum,termination,concatenation";

/// Adds to every reply the version of tus, and that it must not be cached. To the reply to `OPTIONS`, which is
/// otherwise that to a preflight, it adds what the server supports.
pub async fn announce(
    State(context): State<Arc<Context>>,
    request: Request,
    next: Next,
) -> Response {
    let asks = request.method() == Method::OPTIONS;
    let mut response = next.run(request).await;
    let status = response.status();
    let headers = response.headers_mut();
    headers.insert(TUS_RESUMABLE, HeaderValue::from_static(VERSION));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if asks {
        add_abilities(headers, context.uploads.max_file_size());
    } else if status == StatusCode::PRECONDITION_FAILED {
        headers.insert(TUS_VERSION, HeaderValue::from_static(VERSION));
    }
    response
}

/// Adds the headers that say what the server supports.
pub fn add_abilities(headers: &mut HeaderMap, max_size: u64) {
    headers.insert(TUS_VERSION, HeaderValue::from_static(VERSION));
    headers.insert(TUS_EXTENSION, HeaderValue::from_static(EXTENSIONS));
    headers.insert(TUS_MAX_SIZE, HeaderValue::from(max_size));
    if let Ok(algorithms) = HeaderValue::from_str(&algorithms()) {
        headers.insert(TUS_CHECKSUM_ALGORITHM, algorithms);
    }
}
