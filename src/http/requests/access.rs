//! The access log: one line about a request.

use std::time::Duration;

use super::facts::Facts;
use super::notes::Operation;
use crate::telemetry::ACCESS;

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
    /// Writes the line about a request that has just ended, if it gets one. Call it in the request's span.
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
        let (notes, explained) = (&request.notes, request.explained.as_ref());
        tracing::info!(
            target: ACCESS,
            message,
            method = request.method,
            route = request.route,
            operation = notes.known_operation().map(Operation::name),
            status = request.status.map(|status| status.as_u16()),
            code = explained.map(|explained| explained.code),
            reason = explained.and_then(|explained| explained.reason.as_deref()),
            limit = explained.and_then(|explained| explained.limit),
            ms = tenths(times.all),
            client_ms = tenths(times.client),
            wait_ms = told(times.limits),
            database_ms = told(notes.spent().database()),
            files_ms = told(notes.spent().files()),
            bytes_in = notes.received().bytes(),
            bytes_out = request.sent,
            user = notes.known_user(),
            upload = notes.known_upload().map(tracing::field::display),
            peer = %request.peer,
        );
    }
}

/// Milliseconds, if it took that long.
fn told(time: Duration) -> Option<f64> {
    (time >= Duration::from_millis(1)).then(|| tenths(time))
}

/// Milliseconds, with one decimal.
#[allow(clippy::cast_precision_loss)] // exact for centuries
fn tenths(time: Duration) -> f64 {
    (time.as_micros() / 100) as f64 / 10.0
}
