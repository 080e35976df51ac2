//! Every route, one line each, and what surrounds them.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use http::header::{
    ACCEPT, ACCEPT_RANGES, AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_RANGE, CONTENT_TYPE, EXPECT, HOST, RANGE, RETRY_AFTER, TRANSFER_ENCODING,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};
use hyper::body::Incoming;
use tower::ServiceExt as _;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::app::App;
use crate::config::{Config, CorsHeader};
use crate::dialects::form::{files, tokens, uploads};
use crate::http::error::{ApiError, log_failure};
use crate::http::pace::{Pace, PacedBody};
use crate::http::request::Client;
use crate::http::send_memory::Share;
use crate::http::{delivery, ops, page};

/// The whole HTTP interface (protocol, section 1), for [`answer`].
///
/// What is the same for every route stands there: a layer costs each request a dozen allocations.
pub fn router(app: Arc<App>) -> Router {
    let cors = cors(&app.config);
    let page = if app.config.page { page_routes() } else { Router::new() };
    let upload = get(uploads::status).delete(uploads::delete);
    let api = [
        ("/api/v2/pm/upload", only("GET, POST", get(uploads::list).post(uploads::post))),
        ("/api/v2/pm/upload/{uuid}", only("GET, DELETE", upload)),
        ("/api/v2/pm/upload/{uuid}/file", only("GET", get(files::one))),
        ("/api/v2/pm/files", only("POST", post(files::many))),
        ("/api/v2/jwt/verify_token", only("POST", post(tokens::verify))),
        ("/media/{uuid}/{variant}", only("GET, HEAD", get(delivery::get))),
        ("/health/live", only("GET", get(ops::live))),
        ("/health/ready", only("GET", get(ops::ready))),
    ];
    let mut router = Router::new();
    for (path, methods) in api {
        let with_slash = format!("{path}/"); // means the same
        router = router.route(path, methods.clone()).route(&with_slash, methods);
    }
    router
        .fallback(|| async { ApiError::not_found() })
        .layer(cors)
        .merge(page) // after CORS: pages of other origins have no business with it
        .with_state(app)
}

/// The page for people, where it is on.
fn page_routes() -> Router<Arc<App>> {
    Router::new()
        .route("/", only("GET, HEAD", get(page::index)))
        .route("/page/{file}", only("GET, HEAD", get(page::file)))
}

/// A path's methods; any other is refused in our shape.
fn only(allowed: &'static str, methods: MethodRouter<Arc<App>>) -> MethodRouter<Arc<App>> {
    methods.fallback(move || async move { ApiError::method_not_allowed(allowed) })
}

/// Headers that scripts of other origins may send: those of the known clients, and those that tracing adds to every
/// request of an application (W3C Trace Context and Baggage, Sentry).
const CORS_HEADERS: [HeaderName; 11] = [
    AUTHORIZATION,
    CONTENT_RANGE,
    CONTENT_TYPE,
    RANGE,
    HeaderName::from_static("x-requested-with"),
    CACHE_CONTROL,
    ACCEPT,
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("baggage"),
    HeaderName::from_static("sentry-trace"),
];

/// CORS (protocol, section 9): every origin without credentials, or a reflected list.
fn cors(config: &Config) -> CorsLayer {
    let origins = match &config.cors_origins {
        None => AllowOrigin::any(),
        Some(list) => AllowOrigin::list(list.iter().map(|origin| origin.value().clone())),
    };
    let more = config.cors_headers.iter().map(CorsHeader::name);
    let headers: Vec<HeaderName> = CORS_HEADERS.into_iter().chain(more.cloned()).collect();
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::POST, Method::GET, Method::HEAD, Method::DELETE, Method::OPTIONS])
        .allow_headers(headers)
        .expose_headers([
            ACCEPT_RANGES,
            CONTENT_RANGE,
            CONTENT_LENGTH,
            CONTENT_ENCODING,
            RETRY_AFTER,
        ])
        .max_age(Duration::from_hours(24))
}

/// Answers a request.
pub async fn answer(
    app: Arc<App>,
    router: Router,
    request: Request<Incoming>,
    peer: IpAddr,
    share: Arc<Share>,
) -> Result<Response, Infallible> {
    let ambiguity = ambiguity(request.version(), request.headers());
    let client = Client::new(&app, peer, request.headers());
    let request = prepare(request, client, share, app.config.body.pace);
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let mut response = match ambiguity {
        Some(what) => ApiError::ambiguous(what).into_response(),
        None => router.oneshot(request).await?,
    };
    log_failure(&method, uri.path(), &response);
    if response.status().is_client_error() {
        client.hold_back(&app).await;
    }
    // No browser takes a reply for anything but its `Content-Type`: names that clients chose are in JSON, too.
    let nosniff = HeaderValue::from_static("nosniff");
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, nosniff);
    Ok(response)
}

/// What every request gets before it is routed: who sent it, a body at its pace whose refused rest is drained, the
/// host of its target if that has one (RFC 9112, section 3.2.2), and a path without doubled slashes.
fn prepare(
    request: Request<Incoming>,
    client: Client,
    share: Arc<Share>,
    pace: Pace,
) -> Request<Body> {
    let asks_first = request.headers().contains_key(EXPECT);
    let mut request = request.map(|body| Body::new(PacedBody::new(body, pace, asks_first)));
    request.extensions_mut().insert(client);
    request.extensions_mut().insert(share);
    let host = request.uri().authority().map(|host| HeaderValue::from_str(host.as_str()));
    if let Some(Ok(host)) = host {
        request.headers_mut().insert(HOST, host);
    }
    if let Some(uri) = undoubled(request.uri()) {
        *request.uri_mut() = uri;
    }
    request
}

/// What is wrong with a head that two readers may read in two ways (RFC 9112, sections 3.2, 6.1 and 11.2), if
/// something is. Lengths are hyper's business: it refuses all but one number, and ends the connection after a
/// request that has a length and chunks.
fn ambiguity(version: Version, headers: &HeaderMap) -> Option<&'static str> {
    let count = |name: HeaderName| headers.get_all(name).iter().count();
    let is_chunked = |value: &[u8]| value.trim_ascii().eq_ignore_ascii_case(b"chunked");
    if count(HOST) > 1 || (count(HOST) == 0 && version == Version::HTTP_11) {
        Some("a request has one Host header")
    } else if count(CONTENT_TYPE) > 1 || count(CONTENT_RANGE) > 1 {
        Some("Content-Type and Content-Range may be sent once")
    } else if count(TRANSFER_ENCODING) > 1
        || headers.get(TRANSFER_ENCODING).is_some_and(|value| !is_chunked(value.as_bytes()))
    {
        Some("Transfer-Encoding must be chunked, once")
    } else {
        None
    }
}

/// The path without doubled slashes (Fine Uploader's delete sends some) and none at its end; `None` when it has no
/// doubled ones.
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
    fn doubled_slashes_make_no_difference() {
        let undoubled =
            |uri: &str| super::undoubled(&uri.parse().unwrap()).map(|uri| uri.to_string());
        assert_eq!(undoubled("/api/v2/pm//upload/?done"), Some("/api/v2/pm/upload?done".into()));
        assert_eq!(undoubled("/api/v2/pm/upload//abc"), Some("/api/v2/pm/upload/abc".into()));
        assert_eq!(undoubled("/api/v2/pm/upload/"), None);
        assert_eq!(undoubled("/"), None);
        assert_eq!(undoubled("//"), Some("/".into()));
    }
}
