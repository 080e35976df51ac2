//! The page at `/`: files from `page/` that are compiled into the binary. Knows their types and how browsers must treat
//! them, not what they do.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, StatusCode, Uri};

use super::request::text;
use crate::http::context::Context;
use crate::http::error::ApiError;
use crate::http::options::Options;
use crate::http::range::if_none_match;

const INDEX: &str = include_str!("../../page/index.html");
const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// The files that `index.html` loads.
const FILES: &[(&str, &str, &str)] = &[
    ("api.js", SCRIPT, include_str!("../../page/api.js")),
    ("app.js", SCRIPT, include_str!("../../page/app.js")),
    ("chunks.js", SCRIPT, include_str!("../../page/chunks.js")),
    ("claims.js", SCRIPT, include_str!("../../page/claims.js")),
    ("clipboard.js", SCRIPT, include_str!("../../page/clipboard.js")),
    ("dom.js", SCRIPT, include_str!("../../page/dom.js")),
    ("filelist.js", SCRIPT, include_str!("../../page/filelist.js")),
    ("files.css", STYLE, include_str!("../../page/files.css")),
    ("files.js", SCRIPT, include_str!("../../page/files.js")),
    ("format.js", SCRIPT, include_str!("../../page/format.js")),
    ("gate.js", SCRIPT, include_str!("../../page/gate.js")),
    ("icon.svg", "image/svg+xml", include_str!("../../page/icon.svg")),
    ("intake.js", SCRIPT, include_str!("../../page/intake.js")),
    ("kinds.js", SCRIPT, include_str!("../../page/kinds.js")),
    ("meter.js", SCRIPT, include_str!("../../page/meter.js")),
    ("notice.js", SCRIPT, include_str!("../../page/notice.js")),
    ("preview.css", STYLE, include_str!("../../page/preview.css")),
    ("preview.js", SCRIPT, include_str!("../../page/preview.js")),
    ("queue.js", SCRIPT, include_str!("../../page/queue.js")),
    ("selection.js", SCRIPT, include_str!("../../page/selection.js")),
    ("session.js", SCRIPT, include_str!("../../page/session.js")),
    ("store.js", SCRIPT, include_str!("../../page/store.js")),
    ("style.css", STYLE, include_str!("../../page/style.css")),
    ("tile.js", SCRIPT, include_str!("../../page/tile.js")),
    ("totals.js", SCRIPT, include_str!("../../page/totals.js")),
    ("trash.js", SCRIPT, include_str!("../../page/trash.js")),
    ("undo.js", SCRIPT, include_str!("../../page/undo.js")),
    ("upload.js", SCRIPT, include_str!("../../page/upload.js")),
    ("uploads.css", STYLE, include_str!("../../page/uploads.css")),
    ("uploads.js", SCRIPT, include_str!("../../page/uploads.js")),
    ("withdrawn.js", SCRIPT, include_str!("../../page/withdrawn.js")),
];

/// `GET /`.
pub async fn index(State(context): State<Arc<Context>>, headers: HeaderMap) -> Response {
    respond(&context.options, &headers, HTML, INDEX)
}

/// `GET /page/{file}`.
pub async fn file(
    State(context): State<Arc<Context>>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let Path(name) = path.map_err(|_| ApiError::not_found())?;
    let known = FILES.iter().find(|(known, ..)| *known == name);
    let (_, media_type, body) = known.ok_or_else(ApiError::not_found)?;
    Ok(respond(&context.options, &headers, media_type, body))
}

fn respond(
    options: &Options,
    request: &HeaderMap,
    media_type: &str,
    content: &'static str,
) -> Response {
    let etag = format!("\"{:08x}\"", crc32fast::hash(content.as_bytes()));
    let known = text(request, IF_NONE_MATCH).is_some_and(|header| if_none_match(header, &etag));
    let headers = [
        (CONTENT_TYPE, media_type.to_owned()),
        (ETAG, etag),
        (CACHE_CONTROL, "no-cache".to_owned()), // revalidated each time, so that files of different versions are never mixed
        (CONTENT_SECURITY_POLICY, policy(options)),
        (X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (REFERRER_POLICY, "no-referrer".to_owned()),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin".to_owned()),
    ];
    if known {
        (StatusCode::NOT_MODIFIED, headers).into_response()
    } else {
        (headers, content).into_response()
    }
}

/// Allows scripts and styles only from this origin, and images and media also from the origin of links.
fn policy(options: &Options) -> String {
    let links = options.public_url.as_ref().and_then(|url| origin(url.as_str()));
    let links = links.map(|origin| format!(" {origin}")).unwrap_or_default();
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:{links}; \
         media-src 'self' blob:{links}; connect-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
}

/// The scheme and authority of an address. `None` if the authority contains characters that could end a directive.
fn origin(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    let authority = uri.authority()?.as_str();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    authority
        .bytes()
        .all(plain)
        .then(|| format!("{}://{authority}", uri.scheme_str().unwrap_or("https")))
}
