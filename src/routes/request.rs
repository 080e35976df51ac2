//! What routes read from the head of a request: who calls, under which address, and ids in paths.

use std::net::SocketAddr;

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Extensions, HeaderMap, StatusCode};

use crate::app::App;
use crate::auth::Caller;
use crate::ids::{UploadId, UserId};
use crate::wire::error::ApiError;
use crate::wire::reply::Replies;

/// The address a request came from.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// A header's text, if it is there and is text.
pub fn text(headers: &HeaderMap, name: impl http::header::AsHeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Who calls, user or backend. Of two tokens neither counts: a proxy may have looked at the other.
pub fn caller(app: &App, headers: &HeaderMap) -> Result<Caller, ApiError> {
    let is_one = headers.get_all(AUTHORIZATION).iter().count() == 1;
    Ok(app.auth.authenticate(text(headers, AUTHORIZATION).filter(|_| is_one))?)
}

/// The user who calls.
pub fn user(app: &App, headers: &HeaderMap) -> Result<UserId, ApiError> {
    match caller(app, headers)? {
        Caller::User(user) => Ok(user),
        Caller::Service => Err(ApiError::forbidden("this needs a user's token, not a service's")),
    }
}

/// Refuses a client that won't read JSON.
pub fn reads_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let readable = |accept: &str| {
        accept.split(',').any(|range| {
            let media_type = range.split(';').next().unwrap_or_default().trim();
            ["application/json", "application/*", "*/*", "*"]
                .iter()
                .any(|known| media_type.eq_ignore_ascii_case(known))
        })
    };
    match text(headers, ACCEPT) {
        Some(accept) if !readable(accept) && !accept.trim().is_empty() => Err(ApiError::new(
            StatusCode::NOT_ACCEPTABLE,
            "not_acceptable",
            "replies are application/json, which the Accept header excludes",
        )),
        _ => Ok(()),
    }
}

/// The media type of the body, in lower case and without parameters.
pub fn content_type(headers: &HeaderMap) -> String {
    let value = text(headers, CONTENT_TYPE).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The uuid in a path, as axum read it.
pub type PathUuid = Result<Path<String>, PathRejection>;

/// The id in a path; what can't be one names nothing.
pub fn id(path: PathUuid) -> Result<UploadId, ApiError> {
    let id = path.ok().and_then(|Path(text)| UploadId::parse(&text));
    id.ok_or_else(ApiError::not_found)
}

/// Replies whose links carry the address that the client used: the configured one, else that of the
/// request; a proxy's word counts only if it is a trusted one.
pub fn replies<'a>(app: &'a App, headers: &HeaderMap, extensions: &Extensions) -> Replies<'a> {
    Replies { links: &app.links, base: base(app, headers, extensions) }
}

/// Whether a trusted proxy passed the request on.
pub fn is_proxied(app: &App, extensions: &Extensions) -> bool {
    extensions.get::<Peer>().is_some_and(|Peer(peer)| {
        app.config.trusted_proxies.iter().any(|net| net.contains(&peer.ip().to_canonical()))
    })
}

fn base(app: &App, headers: &HeaderMap, extensions: &Extensions) -> String {
    if let Some(url) = &app.config.public_url {
        return url.as_str().to_owned();
    }
    let proxied = is_proxied(app, extensions);
    let forwarded = |name: &str| {
        let first = text(headers, name)?.split(',').next()?.trim();
        (proxied && !first.is_empty()).then_some(first)
    };
    let scheme = match forwarded("x-forwarded-proto") {
        Some(scheme) if scheme.eq_ignore_ascii_case("https") => "https",
        _ => "http",
    };
    let host = forwarded("x-forwarded-host").or_else(|| text(headers, HOST));
    // What isn't an authority must not become part of a link.
    let host = host.filter(|host| {
        host.parse::<http::uri::Authority>().is_ok_and(|a| !a.as_str().contains('@'))
    });
    match host {
        Some(host) => format!("{scheme}://{host}"),
        None => format!("{scheme}://{}", app.config.listen),
    }
}
