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

/// How often, in sweeps, the bytes are looked through: that takes a glance at every file.
const UNCLAIMED_EVERY: u32 = 60;

/// Sweeps until `stop`.
pub async fn run(app: Arc<App>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut count: u32 = 0;
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        count = count.wrapping_add(1);
        let swept = match count % UNCLAIMED_EVERY {
            0 => once(&app).await,
            _ => expired(&app).await,
        };
        if let Err(error) = swept {
            tracing::error!(%error, "a sweep failed; the next one tries again");
        }
    }
}

/// One whole sweep. Repeating it is harmless.
pub async fn once(app: &App) -> Result<(), Refusal> {
    expired(app).await?;
    unclaimed(app).await
}

async fn expired(app: &App) -> Result<(), Refusal> {
    if app.clock.uptime() < GRACE {
        return Ok(());
    }
    match app.uploads.expire_idle().await? {
        0 => {}
        count => tracing::info!(count, "unfinished uploads expired"),
    }
    Ok(())
}

async fn unclaimed(app: &App) -> Result<(), Refusal> {
    if app.clock.uptime() < GRACE {
        return Ok(());
    }
    let age = app.config.body.total + UNCLAIMED_MARGIN;
    match app.uploads.delete_unclaimed(age).await? {
        0 => {}
        count => tracing::info!(count, "blobs that no record claims were deleted"),
    }
    Ok(())
}
