//! Which pages of other origins may use the server, and how.

use std::time::Duration;

use http::header::{
    ACCEPT, ACCEPT_RANGES, AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_RANGE, CONTENT_TYPE, RANGE, RETRY_AFTER,
};
use http::{HeaderName, Method};
use serde::{Deserialize, Serialize};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::options::parsed_from_text;

/// What pages of other origins may do.
#[derive(Clone, Debug, Default)]
pub struct Cors {
    /// Origins whose pages may call the server; `None`: every origin, without credentials.
    pub origins: Option<Vec<Origin>>,
    /// Request headers that they may send beside those of the known clients and of tracing.
    pub headers: Vec<CorsHeader>,
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
pub fn layer(options: &Cors) -> CorsLayer {
    let origins = match &options.origins {
        None => AllowOrigin::any(),
        Some(list) => AllowOrigin::list(list.iter().map(|origin| origin.value().clone())),
    };
    let more = options.headers.iter().map(CorsHeader::name);
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

/// A web origin, as browsers send it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Origin(http::HeaderValue);

impl Origin {
    /// The header's value.
    pub fn value(&self) -> &http::HeaderValue {
        &self.0
    }
}

impl std::str::FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("\"{text}\" is no origin: it must look like https://chat.example.org");
        let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
        if !matches!(scheme, "http" | "https") || rest.is_empty() || rest.contains('/') {
            return Err(wrong());
        }
        http::HeaderValue::from_str(text).map(Self).map_err(|_| wrong())
    }
}

impl From<Origin> for String {
    fn from(origin: Origin) -> Self {
        origin.0.to_str().unwrap_or_default().to_owned()
    }
}

/// The name of a request header that pages of other origins may send.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CorsHeader(http::HeaderName);

impl CorsHeader {
    /// The header's name.
    pub fn name(&self) -> &http::HeaderName {
        &self.0
    }
}

impl std::str::FromStr for CorsHeader {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = http::HeaderName::from_bytes(text.trim().as_bytes());
        name.map(Self)
            .map_err(|_| format!("\"{text}\" is no header's name, such as x-client-version"))
    }
}

impl From<CorsHeader> for String {
    fn from(header: CorsHeader) -> Self {
        header.0.to_string()
    }
}

parsed_from_text!(Origin, CorsHeader);
