//! What routes read from the head of a request: who calls, and whether they may go on; under which address; ids
//! in paths.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use http::request::Parts;
use http::{Extensions, HeaderMap, StatusCode};

use crate::admission::{Address, Turn, forwarded};
use crate::auth::{AuthError, Caller};
use crate::http::context::Context;
use crate::http::error::ApiError;
use crate::ids::{UploadId, UserId};

/// The clients that a request went through, the nearest last; each proxy appends whom it heard from.
const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// A header's text, if it is there and is text.
pub fn text(headers: &HeaderMap, name: impl http::header::AsHeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Who calls with a token, after waiting for their turn; it counts as one of their requests until dropped. Taking
/// it polls no body.
pub struct Admitted {
    /// User or backend.
    pub caller: Caller,
    _turns: (Option<Turn<Address>>, Option<Turn<UserId>>),
}

impl Admitted {
    /// The user who calls, and only asks for something: waits until the user's rate allows it.
    pub async fn lookup(&self, context: &Context) -> Result<UserId, ApiError> {
        let user = self.user()?;
        context.admission.lookup(user).await?;
        Ok(user)
    }

    /// The user who calls.
    pub fn user(&self) -> Result<UserId, ApiError> {
        match self.caller {
            Caller::User(user) => Ok(user),
            Caller::Service => {
                Err(ApiError::forbidden("this needs a user's token, not a service's"))
            }
        }
    }
}

impl FromRequestParts<Arc<Context>> for Admitted {
    type Rejection = ApiError;

    async fn from_request_parts(
        head: &mut Parts,
        context: &Arc<Context>,
    ) -> Result<Self, ApiError> {
        let client = Client::of(&head.extensions);
        // Of two tokens neither counts: a proxy may have looked at the other.
        let is_one = head.headers.get_all(AUTHORIZATION).iter().count() == 1;
        let token = text(&head.headers, AUTHORIZATION).filter(|_| is_one);
        let caller = checked(context, client, context.auth.authenticate(token))?;
        let proxied = client.turn(context).await?;
        let user = match caller {
            Caller::User(user) => Some(context.admission.user(user).await?),
            Caller::Service => None,
        };
        Ok(Self { caller, _turns: (proxied, user) })
    }
}

/// Somebody without a token, after waiting for the turn of their address, if it passed a proxy.
pub struct Stranger {
    client: Client,
    /// Counts as one of the address's requests until dropped.
    pub turn: Option<Turn<Address>>,
}

impl Stranger {
    /// The outcome of a check of a token that is not the caller's own.
    pub fn checked<T>(
        &self,
        context: &Context,
        outcome: Result<T, AuthError>,
    ) -> Result<T, ApiError> {
        checked(context, self.client, outcome)
    }
}

impl FromRequestParts<Arc<Context>> for Stranger {
    type Rejection = ApiError;

    async fn from_request_parts(
        head: &mut Parts,
        context: &Arc<Context>,
    ) -> Result<Self, ApiError> {
        let client = Client::of(&head.extensions);
        Ok(Self { client, turn: client.turn(context).await? })
    }
}

/// Where a request comes from. Every request carries it as an extension.
#[derive(Clone, Copy, Default)]
pub struct Client {
    /// What its limits count; `None`: nothing.
    address: Option<Address>,
    /// A trusted proxy passed it on.
    proxied: bool,
}

impl Client {
    /// Whoever sent a request with these headers over a connection from `peer`.
    pub fn new(context: &Context, peer: IpAddr, headers: &HeaderMap) -> Self {
        let peer = peer.to_canonical();
        if !is_trusted(context, peer) {
            return Self { address: context.admission.counted(peer), proxied: false };
        }
        let values = headers.get_all(X_FORWARDED_FOR).iter();
        let values: Vec<_> = values.map(|value| value.to_str().unwrap_or_default()).collect();
        let client = forwarded(peer, values.into_iter(), |ip| is_trusted(context, ip));
        Self { address: context.admission.counted(client), proxied: true }
    }

    fn of(extensions: &Extensions) -> Self {
        extensions.get().copied().unwrap_or_default()
    }

    /// Holds a refusal back where its address gets many: it costs whoever provokes it nothing.
    pub async fn hold_back(self, context: &Context) {
        let Some(address) = self.address else { return };
        let wait = context.admission.refusal(address);
        if !wait.is_zero() {
            let _turn = self.turn(context).await; // it goes on holding one of the proxy's connections
            tokio::time::sleep(wait).await;
        }
    }

    /// Behind a proxy, requests count as connections do elsewhere.
    async fn turn(self, context: &Context) -> Result<Option<Turn<Address>>, ApiError> {
        match self.address.filter(|_| self.proxied) {
            Some(address) => Ok(Some(context.admission.proxied(address).await?)),
            None => Ok(None),
        }
    }
}

/// The outcome of checking a token. One that nobody signed counts against the address; others are a client's
/// that is late or lost its token, and no attempt at guessing.
fn checked<T>(
    context: &Context,
    client: Client,
    outcome: Result<T, AuthError>,
) -> Result<T, ApiError> {
    if let (Err(error @ AuthError::Invalid), Some(address)) = (&outcome, client.address) {
        let too_many = |refusal| ApiError::from(refusal).because_of(*error);
        context.admission.bad_token(address).map_err(too_many)?;
    }
    Ok(outcome?)
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

/// Whether a trusted proxy passed the request on.
pub fn is_proxied(extensions: &Extensions) -> bool {
    Client::of(extensions).proxied
}

fn is_trusted(context: &Context, ip: IpAddr) -> bool {
    context.options.trusted_proxies.iter().any(|net| net.contains(&ip))
}

/// Scheme and authority that links in a reply begin with, without a slash at the end: the configured ones, else those
/// that the client used; a proxy's word counts only if it is a trusted one.
pub fn base(context: &Context, headers: &HeaderMap, extensions: &Extensions) -> String {
    if let Some(url) = &context.options.public_url {
        return url.as_str().to_owned();
    }
    let proxied = is_proxied(extensions);
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
        None => format!("{scheme}://{}", context.options.listen),
    }
}
