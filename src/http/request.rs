//! What routes read from the head of a request: the caller and whether they are admitted, the address that they used,
//! and ids in paths.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use http::request::Parts;
use http::{Extensions, HeaderMap, StatusCode};

use crate::admission::{Address, Permit, forwarded};
use crate::auth::Caller;
use crate::http::context::Context;
use crate::http::error::ApiError;
use crate::http::requests::Notes;
use crate::ids::{UploadId, UserId};
use crate::metrics::Histogram;

/// The chain of clients, nearest last: each proxy appends the address from which it received the request.
const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// The value of a header, if it is present and is text.
pub fn text(headers: &HeaderMap, name: impl http::header::AsHeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// An authenticated caller who has been admitted. Counts as one of their concurrent requests until dropped. Extracting
/// it doesn't poll the body.
pub struct Admitted {
    /// A user or the backend.
    pub caller: Caller,
    notes: Notes,
    _permits: (Option<Permit<Address>>, Option<Permit<UserId>>),
}

impl Admitted {
    /// Returns the user, for a lookup: waits until the user's rate allows it.
    pub async fn lookup(&self, context: &Context) -> Result<UserId, ApiError> {
        let user = self.user()?;
        let lookup = context.admission.lookup(user.clone());
        timed(&context.waits.lookup, &self.notes, lookup).await?;
        Ok(user)
    }

    /// Returns the user. Fails if the caller is the backend.
    pub fn user(&self) -> Result<UserId, ApiError> {
        match &self.caller {
            Caller::User(user) => Ok(user.clone()),
            Caller::Service => {
                Err(ApiError::forbidden("this needs a user token, not a service token"))
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
        // Refuse two tokens, because a proxy may have checked the other one.
        let is_one = head.headers.get_all(AUTHORIZATION).iter().count() == 1;
        let token = text(&head.headers, AUTHORIZATION).filter(|_| is_one);
        let caller = context.auth.authenticate(token)?;
        let notes = Notes::of(&head.extensions);
        if let Caller::User(user) = &caller {
            notes.user(user);
        }
        let proxied = client.permit(context, &notes).await?;
        let user = match &caller {
            Caller::User(user) => {
                let permit = context.admission.user(user.clone());
                Some(timed(&context.waits.user, &notes, permit).await?)
            }
            Caller::Service => None,
        };
        Ok(Self { caller, notes, _permits: (proxied, user) })
    }
}

/// A caller without a token who has been admitted. Behind a proxy, waits for a permit of its address.
pub struct Stranger {
    /// Counts as one of the address's concurrent requests until dropped.
    pub permit: Option<Permit<Address>>,
}

impl FromRequestParts<Arc<Context>> for Stranger {
    type Rejection = ApiError;

    async fn from_request_parts(
        head: &mut Parts,
        context: &Arc<Context>,
    ) -> Result<Self, ApiError> {
        let client = Client::of(&head.extensions);
        Ok(Self { permit: client.permit(context, &Notes::of(&head.extensions)).await? })
    }
}

/// The client of a request; an extension of every request.
#[derive(Clone, Copy)]
pub struct Client {
    /// Its address, as far as trusted proxies tell.
    ip: IpAddr,
    /// The address that limits are counted by; `None` means no limits.
    address: Option<Address>,
    /// Whether a trusted proxy forwarded the request.
    proxied: bool,
}

/// Nobody: without limits, and no proxy is trusted.
impl Default for Client {
    fn default() -> Self {
        Self { ip: Ipv4Addr::UNSPECIFIED.into(), address: None, proxied: false }
    }
}

impl Client {
    /// The client of a request with these headers, on a connection from `peer`.
    pub fn new(context: &Context, peer: IpAddr, headers: &HeaderMap) -> Self {
        let peer = peer.to_canonical();
        if !is_trusted(context, peer) {
            return Self { ip: peer, address: context.admission.counted(peer), proxied: false };
        }
        let values = headers.get_all(X_FORWARDED_FOR).iter();
        let values: Vec<_> = values.map(|value| value.to_str().unwrap_or_default()).collect();
        let client = forwarded(peer, values.into_iter(), |ip| is_trusted(context, ip));
        Self { ip: client, address: context.admission.counted(client), proxied: true }
    }

    /// Its address. Behind a trusted proxy, the one that the proxy names.
    pub fn ip(&self) -> IpAddr {
        self.ip
    }

    /// Whether a trusted proxy passed the request on.
    pub fn is_proxied(&self) -> bool {
        self.proxied
    }

    fn of(extensions: &Extensions) -> Self {
        extensions.get().copied().unwrap_or_default()
    }

    /// Delays an error reply if its address causes many errors, because that costs the sender nothing. `guessed`: the
    /// token has a wrong signature. Clients send other bad tokens by mistake or too late, not to guess.
    pub async fn hold_back(self, context: &Context, notes: &Notes, guessed: bool) {
        let Some(address) = self.address else { return };
        let wait = context.admission.refusal(address, guessed);
        if wait.is_zero() {
            context.waits.refusal.observe(0.0);
            return;
        }
        let _permit = self.permit(context, notes).await; // meanwhile it holds one of the proxy's connections
        timed(&context.waits.refusal, notes, tokio::time::sleep(wait)).await;
    }

    /// Behind a proxy, requests are counted instead of connections.
    async fn permit(
        self,
        context: &Context,
        notes: &Notes,
    ) -> Result<Option<Permit<Address>>, ApiError> {
        match self.address.filter(|_| self.proxied) {
            Some(address) => {
                let permit = context.admission.proxied(address);
                Ok(Some(timed(&context.waits.address, notes, permit).await?))
            }
            None => Ok(None),
        }
    }
}

/// Measures how long a request waits because of a limit, and notes it: it is not time that the server takes.
async fn timed<T>(waits: &Histogram, notes: &Notes, permit: impl Future<Output = T>) -> T {
    let begun = Instant::now();
    let permit = permit.await;
    let waited = begun.elapsed();
    waits.observe(waited.as_secs_f64());
    notes.waited(waited);
    permit
}

/// Refuses a client that doesn't accept JSON.
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

/// The uuid in a path, as axum extracts it.
pub type PathUuid = Result<Path<String>, PathRejection>;

/// Parses the id in a path. An invalid id is not found.
pub fn id(path: PathUuid) -> Result<UploadId, ApiError> {
    let id = path.ok().and_then(|Path(text)| UploadId::parse(&text));
    id.ok_or_else(ApiError::not_found)
}

/// Whether a trusted proxy forwarded the request.
pub fn is_proxied(extensions: &Extensions) -> bool {
    Client::of(extensions).is_proxied()
}

fn is_trusted(context: &Context, ip: IpAddr) -> bool {
    context.options.trusted_proxies.iter().any(|net| net.contains(&ip))
}

/// The scheme and authority of links in a reply, without a trailing slash: the configured ones, or else those that the
/// client used. Headers of a proxy count only if it is trusted.
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
    // Only a valid authority may become part of a link.
    let host = host.filter(|host| {
        host.parse::<http::uri::Authority>().is_ok_and(|a| !a.as_str().contains('@'))
    });
    match host {
        Some(host) => format!("{scheme}://{host}"),
        None => format!("{scheme}://{}", context.options.listen),
    }
}
