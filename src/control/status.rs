//! The state of a running server, for `haversack status`.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::app::{App, State};
use crate::metadata;
use crate::telemetry::{LoggedError, recent_errors};

/// The state of a running server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The program's version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// How long it has been running.
    pub uptime_secs: u64,
    /// The address that it listens on, the first if there are several.
    pub listen: SocketAddr,
    /// Requests that upload at this moment.
    pub uploads_in_flight: i64,
    /// Downloads at this moment.
    pub downloads_in_flight: i64,
    /// What is looked up.
    #[serde(flatten)]
    pub state: State,
    /// The last errors in the log, oldest first.
    pub errors: Vec<LoggedError>,
}

/// The state of this server.
pub(super) async fn of(app: &App) -> Result<Status, metadata::Error> {
    let requests = &app.metrics.http;
    Ok(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        uptime_secs: app.uptime().as_secs(),
        listen: app.config.http.listen,
        uploads_in_flight: requests.uploads.get(),
        downloads_in_flight: requests.downloads.get(),
        state: app.state.read().await?,
        errors: recent_errors(),
    })
}
