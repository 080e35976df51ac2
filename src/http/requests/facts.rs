//! What is known of a request.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, StatusCode};

use super::notes::Notes;
use super::route::Traffic;
use crate::http::error::Explained;
use crate::telemetry::RequestContext;

/// What is known of a request.
pub(super) struct Facts {
    pub(super) context: Arc<RequestContext>,
    pub(super) begun: Instant,
    pub(super) peer: IpAddr,
    pub(super) method: &'static str,
    pub(super) route: &'static str,
    pub(super) traffic: Traffic,
    pub(super) notes: Notes,
    /// `None`: there is no reply yet.
    pub(super) status: Option<StatusCode>,
    /// The error code and the cause of a refused request.
    pub(super) explained: Option<Explained>,
    /// Bytes of the reply's body that the connection has taken.
    pub(super) sent: u64,
    /// How long the client let the server wait for it to read the reply.
    pub(super) reader_waits: Duration,
    /// Whether the whole reply was sent.
    pub(super) complete: bool,
}

impl Facts {
    /// Whether its reply is a file.
    pub(super) fn is_download(&self) -> bool {
        let succeeded = self.status.is_some_and(|status| status.is_success());
        self.traffic == Traffic::Download && succeeded
    }

    /// Where its time has gone so far.
    pub(super) fn times(&self) -> Times {
        Times {
            all: self.begun.elapsed(),
            client: self.notes.received().waits() + self.reader_waits,
            limits: self.notes.all_waits(),
        }
    }
}

/// Where a request's time has gone.
pub(super) struct Times {
    pub(super) all: Duration,
    /// Waiting for the client.
    pub(super) client: Duration,
    /// Waiting because of a limit on users or addresses.
    pub(super) limits: Duration,
}

impl Times {
    /// What the server took.
    pub(super) fn server(&self) -> Duration {
        self.all.saturating_sub(self.client).saturating_sub(self.limits)
    }
}

/// The method; `OTHER` if HTTP doesn't define it, because a client can write anything there.
pub(super) fn method_name(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "OTHER",
    }
}
