//! Handles every request before and after its route.
//!
//! One function instead of middleware layers, because each layer costs a dozen allocations per request.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{
    CONTENT_RANGE, CONTENT_TYPE, EXPECT, HOST, TRANSFER_ENCODING, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, Version};
use hyper::body::Incoming;
use tower::ServiceExt as _;

use super::context::Context;
use super::error::{ApiError, Explained, explain, log_failure};
use super::pace::{Pace, PacedBody};
use super::request::Client;
use super::requests::{Notes, Routes, Seen, reply};
use super::send_memory::Share;

/// Answers a request.
pub async fn answer(
    context: Arc<Context>,
    routes: Arc<Routes>,
    mut request: Request<Incoming>,
    peer: IpAddr,
    share: Arc<Share>,
) -> Result<Response, Infallible> {
    if let Some(uri) = undoubled(request.uri()) {
        *request.uri_mut() = uri;
    }
    let client = Client::new(&context, peer, request.headers());
    let route = routes.route(request.uri().path());
    let (peer, proxied) = (client.ip(), client.is_proxied());
    let (method, headers) = (request.method(), request.headers());
    let seen = context.requests.begin(peer, proxied, method, headers, route);
    let request_context = Arc::clone(seen.context());
    let answer = async {
        let response = routed(&context, &routes, request, client, share, &seen).await?;
        Ok(reply(seen, response))
    };
    request_context.of(answer).await
}

/// The reply of a request's route, and what every reply has.
async fn routed(
    context: &Context,
    routes: &Routes,
    request: Request<Incoming>,
    client: Client,
    share: Arc<Share>,
    seen: &Seen,
) -> Result<Response, Infallible> {
    let ambiguity = ambiguity(request.version(), request.headers());
    let request = prepare(request, client, share, seen.notes(), context.options.body.pace);
    let mut response = match ambiguity {
        Some(what) => ApiError::ambiguous(what).into_response(),
        None => routes.router.clone().oneshot(request).await?,
    };
    log_failure(seen.method(), seen.route(), &response);
    explain(&mut response, seen.id());
    if response.status().is_client_error() {
        let guessed = response.extensions().get().is_some_and(Explained::is_guess);
        client.hold_back(context, seen.notes(), guessed).await;
    }
    // Browsers must not guess another type: even JSON contains names chosen by clients.
    let nosniff = HeaderValue::from_static("nosniff");
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, nosniff);
    Ok(response)
}

/// Prepares a request for its route: adds the client and what is noted about the request, wraps the body so that it keeps
/// pace and is drained if refused, and takes the host from the request target if there is one (RFC 9112, section 3.2.2).
fn prepare(
    request: Request<Incoming>,
    client: Client,
    share: Arc<Share>,
    notes: &Notes,
    pace: Pace,
) -> Request<Body> {
    let asks_first = request.headers().contains_key(EXPECT);
    let received = Arc::clone(notes.received());
    let paced = |body| Body::new(PacedBody::new(body, pace, asks_first, received));
    let mut request = request.map(paced);
    request.extensions_mut().insert(client);
    request.extensions_mut().insert(share);
    request.extensions_mut().insert(notes.clone());
    let host = request.uri().authority().map(|host| HeaderValue::from_str(host.as_str()));
    if let Some(Ok(host)) = host {
        request.headers_mut().insert(HOST, host);
    }
    request
}

/// Explains why a head is ambiguous, if two readers could understand it differently (RFC 9112, sections 3.2, 6.1 and
/// 11.2). hyper handles lengths: it refuses a length that isn't a single number, and closes the connection after a
/// request with both a length and chunked encoding.
fn ambiguity(version: Version, headers: &HeaderMap) -> Option<&'static str> {
    let count = |name: HeaderName| headers.get_all(name).iter().count();
    let is_chunked = |value: &[u8]| value.trim_ascii().eq_ignore_ascii_case(b"chunked");
    if count(HOST) > 1 || (count(HOST) == 0 && version == Version::HTTP_11) {
        Some("a request must have exactly one Host header")
    } else if count(CONTENT_TYPE) > 1 || count(CONTENT_RANGE) > 1 {
        Some("Content-Type and Content-Range may each be sent only once")
    } else if count(TRANSFER_ENCODING) > 1
        || headers.get(TRANSFER_ENCODING).is_some_and(|value| !is_chunked(value.as_bytes()))
    {
        Some("Transfer-Encoding must be chunked, and sent only once")
    } else {
        None
    }
}

/// The path without duplicate slashes (Fine Uploader's delete sends some) and without one at the end. `None` if there
/// are no duplicates.
fn undoubled(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    if !path.contains("//") {
        return None;
    }
    let segments = path.split('/').filter(|segment| !segment.is_empty());
    let mut whole = segments.fold(String::new(), |path, segment| path + "/" + segment);
    if whole.is_empty() {
        whole.push('/');
    }
    if let Some(query) = uri.query() {
        whole.push('?');
        whole.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = whole.parse().ok();
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn duplicate_slashes_make_no_difference() {
        let undoubled =
            |uri: &str| super::undoubled(&uri.parse().unwrap()).map(|uri| uri.to_string());
        assert_eq!(undoubled("/api/v2/pm//upload/?done"), Some("/api/v2/pm/upload?done".into()));
        assert_eq!(undoubled("/api/v2/pm/upload//abc"), Some("/api/v2/pm/upload/abc".into()));
        assert_eq!(undoubled("/api/v2/pm/upload/"), None);
        assert_eq!(undoubled("/"), None);
        assert_eq!(undoubled("//"), Some("/".into()));
    }
}
