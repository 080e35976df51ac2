//! CORS: which pages on other origins may use the server, and how.

use std::str::FromStr;
use std::time::Duration;

use http::header::{
    ACCEPT, ACCEPT_RANGES, AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE, RETRY_AFTER,
};
use http::{HeaderName, Method};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::requests::X_REQUEST_ID;

/// What pages on other origins may do.
#[derive(Clone, Debug, Default)]
pub struct Cors {
    /// Origins whose pages may use the server; `None` means every origin, without credentials.
    pub origins: Option<Vec<Origin>>,
    /// Additional request headers that they may send, besides those of known clients and of tracing.
    pub headers: Vec<CorsHeader>,
}

/// Headers that scripts on other origins may always send: those of known clients, of the tus protocol, and those that
/// tracing tools add to every request (W3C Trace Context and Baggage, Sentry).
const CORS_HEADERS: [HeaderName; 20] = [
    AUTHORIZATION,
    CONTENT_RANGE,
    CONTENT_TYPE,
    RANGE,
    HeaderName::from_static("x-requested-with"),
    HeaderName::from_static("x-http-method-override"),
    X_REQUEST_ID,
    HeaderName::from_static("tus-resumable"),
    HeaderName::from_static("upload-length"),
    HeaderName::from_static("upload-defer-length"),
    HeaderName::from_static("upload-offset"),
    HeaderName::from_static("upload-metadata"),
    HeaderName::from_static("upload-checksum"),
    HeaderName::from_static("upload-concat"),
    CACHE_CONTROL,
    ACCEPT,
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("baggage"),
    HeaderName::from_static("sentry-trace"),
];

/// Headers of replies that such scripts may read.
const READABLE_HEADERS: [HeaderName; 21] = [
    ACCEPT_RANGES,
    CONTENT_RANGE,
    CONTENT_LENGTH,
    CONTENT_ENCODING,
    RETRY_AFTER,
    LOCATION,
    X_REQUEST_ID,
    HeaderName::from_static("tus-resumable"),
    HeaderName::from_static("tus-version"),
    HeaderName::from_static("tus-extension"),
    HeaderName::from_static("tus-max-size"),
    HeaderName::from_static("tus-checksum-algorithm"),
    HeaderName::from_static("upload-length"),
    HeaderName::from_static("upload-defer-length"),
    HeaderName::from_static("upload-offset"),
    HeaderName::from_static("upload-metadata"),
    HeaderName::from_static("upload-expires"),
    HeaderName::from_static("upload-concat"),
    HeaderName::from_static("file-uuid"),
    HeaderName::from_static("file-url"),
    HeaderName::from_static("file-state"),
];

/// The layer that adds CORS headers (protocol, section 9). It allows either every origin, without credentials, or the
/// listed ones.
pub fn layer(options: &Cors) -> CorsLayer {
    let origins = match &options.origins {
        None => AllowOrigin::any(),
        Some(list) => AllowOrigin::list(list.iter().map(|origin| origin.value().clone())),
    };
    let more = options.headers.iter().map(CorsHeader::name);
    let headers: Vec<HeaderName> = CORS_HEADERS.into_iter().chain(more.cloned()).collect();
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([
            Method::POST,
            Method::GET,
            Method::HEAD,
            Method::PATCH,
            Method::DELETE,
            Method::OPTIONS,
        ])
        .allow_headers(headers)
        .expose_headers(READABLE_HEADERS)
        .max_age(Duration::from_hours(24))
}

/// An entry of `--cors-origins`.
#[derive(Clone, Debug)]
pub enum AllowedOrigin {
    /// `*`, every origin.
    Every,
    /// `none`, no other origin.
    NoOther,
    /// This origin.
    One(Origin),
}

impl AllowedOrigin {
    /// The origins in a list; `None` means every origin.
    pub fn listed(list: Vec<Self>) -> Option<Vec<Origin>> {
        let mut origins = Vec::new();
        for allowed in list {
            match allowed {
                Self::Every => return None,
                Self::NoOther => {}
                Self::One(origin) => origins.push(origin),
            }
        }
        Some(origins)
    }
}

impl FromStr for AllowedOrigin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "*" => Ok(Self::Every),
            "none" => Ok(Self::NoOther),
            text => text.parse().map(Self::One),
        }
    }
}

/// A web origin, as browsers send it.
#[derive(Clone, Debug)]
pub struct Origin(http::HeaderValue);

impl Origin {
    /// The value for a header.
    pub fn value(&self) -> &http::HeaderValue {
        &self.0
    }
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "\"{text}\" is not an origin: write it like https://chat.example.org, or * for every origin"
            )
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
        if !matches!(scheme, "http" | "https") || rest.is_empty() || rest.contains('/') {
            return Err(wrong());
        }
        http::HeaderValue::from_str(text).map(Self).map_err(|_| wrong())
    }
}

/// The name of a request header that pages on other origins may send.
#[derive(Clone, Debug)]
pub struct CorsHeader(http::HeaderName);

impl CorsHeader {
    /// The header's name.
    pub fn name(&self) -> &http::HeaderName {
        &self.0
    }
}

impl FromStr for CorsHeader {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = http::HeaderName::from_bytes(text.trim().as_bytes());
        name.map(Self).map_err(|_| {
            format!("\"{text}\" is not the name of a header, such as x-client-version")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_means_every_origin_and_none_means_no_other() {
        let listed = |texts: &[&str]| {
            let list = texts.iter().map(|text| text.parse().unwrap());
            AllowedOrigin::listed(list.collect()).map(|origins| origins.len())
        };
        assert_eq!(listed(&["*"]), None);
        assert_eq!(listed(&["https://a.example", "*"]), None);
        assert_eq!(listed(&["none"]), Some(0));
        assert_eq!(listed(&["https://a.example", "http://b.example:81"]), Some(2));
    }
}
