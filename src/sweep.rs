//! What the server does by itself: takes up what a crash interrupted, removes expired uploads and bytes
//! that no record claims.

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
        let steps = [changed(&app).await, left_over(&app).await, expired(&app).await];
        let last =
            if count.is_multiple_of(UNCLAIMED_EVERY) { unclaimed(&app).await } else { Ok(()) };
        for error in steps.into_iter().chain([last]).filter_map(Result::err) {
            tracing::error!(%error, "a step of a sweep failed; the next sweep tries again");
        }
    }
}

/// Takes up what an earlier run could not end: files to finish, thumbnails to make.
async fn left_over(app: &App) -> Result<(), Refusal> {
    match app.uploads.resume_finalizing().await? {
        0 => {}
        count => tracing::info!(count, "files were finished that a crash had interrupted"),
    }
    app.uploads.draw_left_over().await?;
    Ok(())
}

/// Takes over what commands beside the server changed.
async fn changed(app: &App) -> Result<(), Refusal> {
    Ok(app.reload_link_keys().await?)
}

/// One whole sweep. Repeating it is harmless.
pub async fn once(app: &App) -> Result<(), Refusal> {
    changed(app).await?;
    left_over(app).await?;
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
    let age = app.config.body.pace.total + UNCLAIMED_MARGIN;
    match app.uploads.delete_unclaimed(age).await? {
        0 => {}
        count => tracing::info!(count, "blobs that no record claims were deleted"),
    }
    Ok(())
}
