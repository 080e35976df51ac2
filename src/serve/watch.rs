//! Checks once a minute whether uploads can be accepted.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::telemetry::chain;

/// How often to check.
const EVERY: Duration = Duration::from_mins(1);

/// Checks until `stop`, and logs an error each time if uploads are refused because a disk is full or missing.
pub(super) async fn run(app: Arc<App>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        for (what, outcome) in app.uploads.checks().await {
            if let Err(unready) = outcome {
                let (error, folder) = (chain(&unready), app.config.data_dir.display());
                tracing::error!(what, error, %folder, "refusing uploads");
            }
        }
    }
}
