//! The access log: one line about a request.

use std::time::Duration;

use super::facts::{Facts, Times};
use crate::telemetry::{self, Line};

/// A request is slow from here on. Time in which the server waits for the client doesn't count, nor does the wait for the
/// request's turn.
const SLOW: Duration = Duration::from_secs(1);

/// Which requests get a line.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    clap::ValueEnum,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum AccessLog {
    /// None.
    Off,
    /// Those that were refused or failed (status 400 and above), and slow ones.
    #[default]
    Errors,
    /// All.
    All,
}

impl AccessLog {
    /// Writes the line about a request that has just ended, if it gets one.
    pub(super) fn log(self, request: &Facts) {
        let times = request.times();
        let is_error = request.status.is_some_and(|status| status.as_u16() >= 400);
        let is_wanted = match self {
            Self::Off => false,
            Self::Errors => is_error || times.server() >= SLOW,
            Self::All => true,
        };
        if !is_wanted {
            return;
        }
        let message = match request.status {
            _ if std::thread::panicking() => "request failed: its task panicked",
            None => "connection lost before the request was answered",
            Some(_) if !request.complete => "connection lost before the whole reply was sent",
            Some(_) => "request answered",
        };
        telemetry::log_access(Some(&request.context), message, |line| {
            request_fields(line, request, &times);
        });
    }
}

fn request_fields(line: &mut Line<'_>, request: &Facts, times: &Times) {
    line.text("method", request.method);
    line.text("route", request.route);
    let notes = &request.notes;
    if let Some(operation) = notes.known_operation() {
        line.text("operation", operation.name());
    }
    if let Some(status) = request.status {
        line.number("status", status.as_u16());
    }
    if let Some(explained) = &request.explained {
        line.text("code", explained.code);
        if let Some(reason) = &explained.reason {
            line.text("reason", reason);
        }
        if let Some(limit) = explained.limit {
            line.text("limit", limit);
        }
    }
    line.number("ms", tenths(times.all));
    line.number("client_ms", tenths(times.client));
    told(line, "wait_ms", times.limits);
    told(line, "database_ms", request.context.database());
    told(line, "files_ms", request.context.files());
    line.number("bytes_in", notes.received().bytes());
    line.number("bytes_out", request.sent);
    if let Some(user) = notes.known_user() {
        line.text("user", user);
    }
    if let Some(upload) = notes.known_upload() {
        line.displayed("upload", upload);
    }
    line.displayed("peer", request.peer);
}

/// Adds a time in milliseconds, if it took that long.
fn told(line: &mut Line<'_>, name: &str, time: Duration) {
    if time >= Duration::from_millis(1) {
        line.number(name, tenths(time));
    }
}

/// Milliseconds, with one decimal.
#[allow(clippy::cast_precision_loss)] // exact for centuries
fn tenths(time: Duration) -> f64 {
    (time.as_micros() / 100) as f64 / 10.0
}
