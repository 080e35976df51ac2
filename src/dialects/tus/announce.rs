//! What every reply of the tus dialect has, and what a client can ask for first (`OPTIONS`).

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

/// The extensions of tus that the server has.
const EXTENSIONS: &str = "creation,creation-with-upload,creation-defer-length,expiration,checksum,termination,concatenation";

/// Adds to every reply which version it speaks, and that it isn't to be kept; to a question about the server (whose
/// reply is otherwise that to a preflight), what it can.
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

/// Adds what the server can.
pub fn add_abilities(headers: &mut HeaderMap, max_size: u64) {
    headers.insert(TUS_VERSION, HeaderValue::from_static(VERSION));
    headers.insert(TUS_EXTENSION, HeaderValue::from_static(EXTENSIONS));
    headers.insert(TUS_MAX_SIZE, HeaderValue::from(max_size));
    if let Ok(algorithms) = HeaderValue::from_str(&algorithms()) {
        headers.insert(TUS_CHECKSUM_ALGORITHM, algorithms);
    }
}
