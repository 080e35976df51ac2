//! What the server removes by itself: expired uploads, and bytes that no record claims.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::uploads::Refusal;

/// How often it looks.
const EVERY: Duration = Duration::from_mins(1);
/// Nothing expires earlier after a start: clients that could not reach the server meanwhile get the
/// chance to go on.
const GRACE: Duration = Duration::from_hours(1);
/// Unclaimed bytes may still be on their way into a record for as long as a body may take; they are left
/// for so much longer.
const UNCLAIMED_MARGIN: Duration = Duration::from_hours(1);

/// Sweeps until `stop`.
pub async fn run(app: Arc<App>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        if let Err(error) = once(&app).await {
            tracing::error!(%error, "a sweep failed; the next one tries again");
        }
    }
}

/// One sweep. Repeating it is harmless.
pub async fn once(app: &App) -> Result<(), Refusal> {
    if app.clock.uptime() < GRACE {
        return Ok(());
    }
    let expired = app.uploads.expire_idle().await?;
    let unclaimed = app
        .uploads
        .delete_unclaimed(app.config.body.total + UNCLAIMED_MARGIN)
        .await?;
    if expired + unclaimed > 0 {
        tracing::info!(expired, unclaimed, "swept");
    }
    Ok(())
}
