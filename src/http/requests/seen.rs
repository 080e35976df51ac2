//! A request under way, from its head to the end of its reply.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, StatusCode};

use super::access::AccessLog;
use super::count;
use super::facts::{Facts, method_name};
use super::notes::Notes;
use super::route::{Route, Traffic};
use crate::http::error::Explained;
use crate::metrics::{HttpMetrics, IntGauge};
use crate::telemetry::RequestContext;

/// What happens with requests.
pub(super) struct Watching {
    pub(super) access: AccessLog,
    pub(super) metrics: HttpMetrics,
}

/// The head of a request.
pub(super) struct Head<'a> {
    pub(super) context: RequestContext,
    pub(super) peer: IpAddr,
    pub(super) method: &'a Method,
    pub(super) route: Route,
}

/// A request under way. When dropped, it is counted and the line about it is written; unless its whole reply was sent,
/// the line says that the connection was lost.
pub struct Seen {
    watching: Arc<Watching>,
    /// Counts it among those under way.
    in_flight: Option<IntGauge>,
    pub(super) facts: Facts,
}

impl Seen {
    pub(super) fn begin(watching: Arc<Watching>, head: Head<'_>) -> Self {
        let metrics = &watching.metrics;
        let in_flight = match (head.route.traffic, head.method) {
            (Traffic::Upload, &Method::POST | &Method::PATCH) => Some(metrics.uploads.clone()),
            (Traffic::Download, &Method::GET) => Some(metrics.downloads.clone()),
            _ => None,
        };
        if let Some(gauge) = &in_flight {
            gauge.inc();
        }
        let notes = Notes::counted_in(metrics.received.clone());
        if let Some(upload) = head.route.upload {
            notes.upload(upload);
        }
        let facts = Facts {
            context: Arc::new(head.context),
            begun: Instant::now(),
            peer: head.peer,
            method: method_name(head.method),
            route: head.route.pattern,
            traffic: head.route.traffic,
            notes,
            status: None,
            explained: None,
            sent: 0,
            reader_waits: Duration::ZERO,
            complete: false,
        };
        Self { watching, in_flight, facts }
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.facts.context.id
    }

    /// What its log lines and the stores need to know of it.
    pub fn context(&self) -> &Arc<RequestContext> {
        &self.facts.context
    }

    /// Its method; `OTHER` if HTTP doesn't define it.
    pub fn method(&self) -> &'static str {
        self.facts.method
    }

    /// The pattern of its route.
    pub fn route(&self) -> &'static str {
        self.facts.route
    }

    /// What its route learns about it.
    pub fn notes(&self) -> &Notes {
        &self.facts.notes
    }

    /// There is a reply.
    pub(super) fn replied(&mut self, status: StatusCode, explained: Option<Explained>) {
        self.facts.status = Some(status);
        self.facts.explained = explained;
    }

    /// The first byte of the reply's body is there.
    pub(super) fn first_byte(&self) {
        count::first_byte(&self.watching.metrics, &self.facts);
    }

    /// The connection has taken bytes of the reply, for which it was waiting so long.
    pub(super) fn sent(&mut self, bytes: u64, waited: Duration) {
        self.facts.sent += bytes;
        self.facts.reader_waits += waited;
        self.watching.metrics.sent.inc_by(bytes);
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        if let Some(gauge) = &self.in_flight {
            gauge.dec();
        }
        count::ended(&self.watching.metrics, &self.facts);
        self.watching.access.log(&self.facts);
    }
}
