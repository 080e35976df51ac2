//! The state of a running server, for `haversack status`.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::app::{App, State};
use crate::telemetry::{LoggedError, recent_errors};

/// The state of a running server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The server's version.
    pub version: String,
    /// The process id.
    pub pid: u32,
    /// How long the server has been running, in seconds.
    pub uptime_secs: u64,
    /// The address that the server listens on, the first one if there are several.
    pub listen: SocketAddr,
    /// Number of uploading requests in progress.
    pub uploads_in_flight: i64,
    /// Number of downloads in progress.
    pub downloads_in_flight: i64,
    /// Whatever is looked up.
    #[serde(flatten)]
    pub state: State,
    /// The last errors that were logged, oldest first.
    pub errors: Vec<LoggedError>,
}

/// Returns the state of this server.
pub(super) async fn status(app: &App) -> Status {
    let requests = &app.metrics.http;
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        uptime_secs: app.uptime().as_secs(),
        listen: app.config.http.listen,
        uploads_in_flight: requests.uploads.get(),
        downloads_in_flight: requests.downloads.get(),
        state: app.state.read().await,
        errors: recent_errors(),
    }
}
