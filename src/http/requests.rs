//! What is seen of requests: each has an id, which every line logged meanwhile has, one line about it once its
//! reply has ended, and counts in the metrics. Knows no dialect.

mod access;
mod body;
mod count;
mod facts;
mod heads;
mod id;
mod notes;
mod route;
mod seen;

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Method};

pub use access::AccessLog;
pub use id::X_REQUEST_ID;
pub use notes::{Notes, Operation};
pub use route::{Route, Routes, Traffic};
pub use seen::Seen;

use crate::metrics::HttpMetrics;
use crate::telemetry::RequestContext;
use body::SeenBody;
use heads::RefusedHeads;
use id::Ids;
use seen::{Head, Watching};

/// Requests of the server.
pub struct Requests {
    ids: Ids,
    watching: Arc<Watching>,
    refused_heads: RefusedHeads,
}

impl Requests {
    /// Requests of which these get a line in the log, and all are counted.
    pub fn new(access: AccessLog, metrics: HttpMetrics) -> Self {
        let watching = Arc::new(Watching { access, metrics });
        Self { ids: Ids::default(), watching, refused_heads: RefusedHeads::default() }
    }

    /// A connection from `peer` ended because the head of a request was refused.
    pub fn head_refused(&self, peer: std::net::IpAddr, reason: &dyn std::error::Error) {
        self.refused_heads.log(self.watching.access, peer, reason);
    }

    /// A request from `peer` whose head has just been read. `proxied`: a trusted proxy passed it on, which may have
    /// given it an id.
    pub fn begin(
        &self,
        peer: std::net::IpAddr,
        proxied: bool,
        method: &Method,
        headers: &HeaderMap,
        route: Route,
    ) -> Seen {
        let id = proxied.then(|| id::sent(headers)).flatten();
        let id = id.map_or_else(|| self.ids.next(), ToOwned::to_owned);
        let context = RequestContext::new(id, id::traceparent(headers).map(ToOwned::to_owned));
        Seen::begin(Arc::clone(&self.watching), Head { context, peer, method, route })
    }
}

/// Gives a reply the id of its request, which goes on until the reply's body has ended.
pub fn reply(mut seen: Seen, mut response: Response) -> Response {
    seen.replied(response.status(), response.extensions_mut().remove());
    if let Ok(id) = HeaderValue::from_str(seen.id()) {
        response.headers_mut().insert(X_REQUEST_ID, id);
    }
    let (head, body) = response.into_parts();
    let body = SeenBody::new(seen, body, &head);
    Response::from_parts(head, Body::new(body))
}
